"""The prepare step with SparkApplications and RayJobs: the API server is real and has the operators' own CRDs. The test
plays the Spark operator, which no registry carries: it makes the pods of the templates and tells their state."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import yaml

from runwright_components.cluster.manifests.data_job import data_job
from runwright_components.cluster.preparing import work
from runwright_components.contract.artifacts import Lineage, PreparedManifest, RawManifest
from runwright_components.contract.cluster import ClusterRun, DataJobConfig, PodAmounts, StageRecord, StorageConfig
from runwright_components.contract.config import PrepareConfig
from runwright_components.contract.outcome import ExitCode
from tests.cluster.step_cases import Case
from tests.cluster.step_process import StepProcess
from tests.cluster.tier.api import Api, Refused
from tests.cluster.waiting import eventually

CRD = Path(__file__).parents[3] / "shared/crds/sparkapplications.yaml"
KIND = ("sparkoperator.k8s.io/v1beta2", "SparkApplication")
NAME = "churn-r1-data"
CLAIM = "shared"
CONFIG = PrepareConfig(modality="tabular", task="classification", target="churned")


@pytest.fixture(scope="session")
def spark_applications(api: Api) -> None:
    """The cluster has SparkApplications."""

    def served() -> bool:
        try:
            return bool(api.path(*KIND))
        except (LookupError, Refused):
            return False

    if served():
        return
    if not CRD.is_file():
        pytest.skip(f"no registry carries the CRD of SparkApplications: {CRD.name} is looked for beside the repository")
    api.create(yaml.load(CRD.read_text(), Loader=yaml.CSafeLoader))
    eventually(served)


@dataclass
class Spark:
    """The TrainingRun, its prepare step, and the Spark operator."""

    case: Case
    step: StepProcess | None = None
    made: list[str] = field(default_factory=list)

    def start(self) -> StepProcess:
        self.step = self.case.prepare(CONFIG, _raw(self.case.folder / "raw"))
        return self.step

    def application(self) -> dict[str, Any] | None:
        return self.case.api.find(*KIND, NAME, self.case.namespace)

    def waited_for(self) -> dict[str, Any]:
        return eventually(self.application)

    def says(self, state: str, error: str = "") -> None:
        told = {"driverInfo": {"podName": f"{NAME}-driver"}, "applicationState": {"state": state}}
        told["applicationState"] |= {"errorMessage": error} if error else {}
        status = {"status": told}
        self.case.api.merge(*KIND, NAME, status, self.case.namespace, subresource="status")

    def submit(self, **simulated: str) -> dict[str, Any]:
        """Make the pods as spark-submit and the driver do; `simulated` is the life of the driver's."""
        application = self.waited_for()
        self.pod(application, "driver", f"{NAME}-driver", {f"sim/{key}": text for key, text in simulated.items()})
        for number in range(application["spec"]["executor"]["instances"]):
            self.pod(application, "executor", f"{NAME}-5e1f-exec-{number + 1}", {})
        self.says("RUNNING")
        return application

    def pod(self, application: dict[str, Any], role: str, name: str, annotations: dict[str, str]) -> None:
        template = application["spec"][role]["template"]
        owner = {"apiVersion": KIND[0], "kind": KIND[1], "name": NAME, "uid": application["metadata"]["uid"]}
        labels = {"sparkoperator.k8s.io/app-name": NAME, "spark-role": role}
        metadata = {
            "name": name,
            "namespace": self.case.namespace,
            "labels": {**template["metadata"]["labels"], **labels},
            "annotations": {**template["metadata"]["annotations"], **annotations},
            "ownerReferences": [owner],
        }
        spec = {**template["spec"], "restartPolicy": "Never"}
        self.case.api.create({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})
        self.made.append(name)

    def runs(self) -> None:
        """Wait until the pods do."""
        for name in self.made:
            eventually(lambda name=name: self.phase(name) == "Running", 60)

    def phase(self, name: str) -> str:
        return str(self.case.api.get("v1", "Pod", name, self.case.namespace).get("status", {}).get("phase"))

    def compute(self, application: dict[str, Any]) -> None:
        """What the driver's program does, as its pod is told to."""
        (driver,) = application["spec"]["driver"]["template"]["spec"]["containers"]
        told = {one["name"]: one["value"] for one in driver["env"]}
        run = ClusterRun.model_validate_json(told["RUNWRIGHT_CLUSTER"])
        config = PrepareConfig.model_validate_json(told["RUNWRIGHT_PREPARE"])
        work(run, config, out_uri=told["RUNWRIGHT_PREPARED"], folder=self.case.folder / "driver")

    def record(self) -> StageRecord:
        found = self.case.record("prepare")
        assert found is not None
        return found


def _raw(folder: Path) -> Path:
    if folder.exists():
        return folder
    folder.mkdir()
    frame = pl.DataFrame({"age": [20.5 + row / 3 for row in range(40)], "churned": ["no", "yes"] * 20})
    frame.write_parquet(folder / "rows.parquet")
    RawManifest(
        digest="sha256:raw",
        rows=len(frame),
        columns={name: str(kind) for name, kind in frame.schema.items()},
        sources=(),
        files=("rows.parquet",),
        lineage=Lineage(stage="collect", config="", inputs={}),
    ).write(folder)
    return folder


def _asking(run: ClusterRun, engine: str, **changes: Any) -> ClusterRun:
    amounts = {name: PodAmounts(cpu="500m", memory="1Gi") for name in ("driver", "executor")}
    data = {"engine": engine, "image": "registry.example/spark:1", "claim": CLAIM, "executors": 1, **amounts, **changes}
    return run.model_copy(update={"data": DataJobConfig.model_validate(data)})


@pytest.fixture
def spark(spark_applications: None, churn: Case) -> Spark:
    churn.run = _asking(churn.run, "spark")
    return Spark(churn)


@pytest.fixture
def volume(churn: Case) -> Iterator[None]:
    """The claim, and the volume that it is bound to."""
    name = f"shared-{churn.namespace}"
    what = {"accessModes": ["ReadWriteMany"], "storageClassName": ""}
    claim = {"namespace": churn.namespace, "name": CLAIM}
    spec = {
        **what,
        "capacity": {"storage": "1Gi"},
        "claimRef": claim,
        "nfs": {"server": "nfs.example", "path": "/"},
    }
    churn.api.create({"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": name}, "spec": spec})
    wanted = {**what, "volumeName": name, "resources": {"requests": {"storage": "1Gi"}}}
    churn.api.create({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": claim, "spec": wanted})
    yield
    churn.api.delete("v1", "PersistentVolume", name)


@pytest.mark.usefixtures("volume")
def test_a_driver_prepares_and_the_step_has_the_data(spark: Spark) -> None:
    step = spark.start()
    application = spark.submit()
    spark.runs()
    spark.compute(application)
    spark.says("COMPLETED")
    assert step.wait(120) == 0, step.said()
    assert PreparedManifest.read(spark.case.folder / "prepared_data").rows["train"] == 28
    assert spark.record().state == "succeeded"


@pytest.mark.usefixtures("volume")
def test_a_step_whose_pod_was_lost_finds_its_application(spark: Spark) -> None:
    step = spark.start()
    application = spark.submit()
    step.process.send_signal(signal.SIGKILL)
    step.process.wait()
    again = spark.start()
    spark.compute(application)
    spark.says("COMPLETED")
    assert again.wait(120) == 0, again.said()
    found = spark.application()
    assert found is not None
    assert found["metadata"]["uid"] == application["metadata"]["uid"]


@pytest.mark.usefixtures("volume")
def test_what_the_driver_said_is_the_failure(spark: Spark) -> None:
    step = spark.start()
    words = '{"reason":"DataInvalid","message":"column churned is empty","cure":"give it labels"}'
    spark.submit(**{"run-ms": "500", "exit-code": "10", "message": words})
    eventually(lambda: spark.phase(f"{NAME}-driver") == "Failed", 60)
    spark.says("FAILED", "driver container failed with ExitCode: 10, Reason: Error")
    assert step.wait(120) == ExitCode.USER, step.said()
    fault = spark.record().fault
    assert fault is not None
    assert (fault.reason, fault.message, fault.exit_code) == ("DataInvalid", "column churned is empty", 10)


def test_a_claim_that_is_not_there_is_told_and_everything_goes_with_the_training_run(spark: Spark) -> None:
    step = spark.start()
    spark.submit()
    eventually(lambda: spark.record().waiting is not None, 60)
    waiting = spark.record().waiting
    assert waiting is not None
    assert waiting.reason == "Unschedulable"
    assert f'persistentvolumeclaim "{CLAIM}" not found' in waiting.message
    spark.case.api.delete("runwright.dev/v1alpha1", "TrainingRun", "churn", spark.case.namespace)
    assert step.wait(60) == ExitCode.CANCELLED, step.said()
    for kind in (KIND, ("v1", "Pod")):
        eventually(lambda kind=kind: spark.case.api.list(*kind, spark.case.namespace) == [], 60)


@pytest.mark.parametrize("engine", ["spark", "ray"])
def test_every_option_is_admitted(
    spark_applications: None, churn: Case, engine: str, request: pytest.FixtureRequest
) -> None:
    if engine == "ray":
        request.getfixturevalue("kuberay")
    storage = StorageConfig(uri="s3://b/{{x}}/$(HOME)", endpoint="http://store", region="r", secret="storage-access")
    amounts = {"driver": PodAmounts(cpu="2", memory="16Gi"), "executor": PodAmounts(cpu="7500m", memory="64G")}
    image = "registry.example/spark@sha256:" + "b" * 64
    run = _asking(churn.run.model_copy(update={"storage": storage}), engine, executors=2, image=image, **amounts)
    job = data_job(run.preparing(), config=CONFIG, out_uri="s3://b/p", given="sha256:given")
    made = churn.api.create(job)
    assert _without(job["spec"], made["spec"]) == [], "the API server prunes what the CRD does not know"
    if engine == "ray":
        pods = eventually(lambda: found if len(found := _ray_pods(churn)) == 3 else None, 60)
        assert all("persistentVolumeClaim" in str(pod["spec"]["volumes"]) for pod in pods)


def _ray_pods(churn: Case) -> list[dict[str, Any]]:
    return churn.api.list("v1", "Pod", churn.namespace, labels="ray.io/cluster")


def _without(wanted: Any, found: Any, path: str = "") -> list[str]:
    """Places of what was wanted that are not there."""
    if isinstance(wanted, dict):
        if not isinstance(found, dict):
            return [path]
        return [one for key, value in wanted.items() for one in _without(value, found.get(key), f"{path}.{key}")]
    if isinstance(wanted, list):
        pairs = zip(wanted, found or [None] * len(wanted), strict=False)
        return [one for index, pair in enumerate(pairs) for one in _without(*pair, f"{path}[{index}]")]
    return [] if wanted == found else [path]
