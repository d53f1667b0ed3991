"""The jobs that prepare data on an engine: what they are made of, and how the prepare step follows one, against a small
API where the test plays the Spark operator."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from runwright_components.cluster.client import Kubernetes
from runwright_components.cluster.data_jobs import Given, prepare_in_cluster
from runwright_components.cluster.ending import ClusterError
from runwright_components.cluster.manifests.data_job import data_job
from runwright_components.cluster.preparing import work
from runwright_components.cluster.records import RecordWriter
from runwright_components.cluster.storage import place
from runwright_components.cluster.training import Pace
from runwright_components.contract.artifacts import Lineage, PreparedManifest, RawManifest
from runwright_components.contract.cluster import ClusterRun, DataJobConfig, PodAmounts, StageFault
from runwright_components.contract.config import PrepareConfig
from runwright_components.contract.outcome import Reason, StageError
from runwright_components.contract.progress import Progress
from tests.doubles.kubernetes_api import KubernetesApi

from .conftest import RUN_ID, FakeTime

CONFIG = PrepareConfig(modality="tabular", task="classification", target="churned")
APPLICATION = "/apis/sparkoperator.k8s.io/v1beta2/namespaces/team/sparkapplications/churn-r3-data"
PODS = "/api/v1/namespaces/team/pods"
Scene = Callable[[], None]


def asking(run: ClusterRun, engine: str = "spark", **changes: Any) -> ClusterRun:
    amounts = {"driver": PodAmounts(cpu="500m", memory="4Gi"), "executor": PodAmounts(cpu="3", memory="16G")}
    data = {"engine": engine, "image": "registry.example/spark:1", "claim": "shared", "executors": 2, **amounts}
    return run.model_copy(update={"data": DataJobConfig.model_validate({**data, **changes})})


def job_of(run: ClusterRun, engine: str, **changes: Any) -> dict[str, Any]:
    its = asking(run, engine, **changes).preparing()
    return data_job(its, config=CONFIG, out_uri="s3://bucket/prepared", given="sha256:given")


def container(pod: dict[str, Any]) -> dict[str, Any]:
    (found,) = pod["spec"]["containers"]
    return dict(found)


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    folder = tmp_path / "raw"
    folder.mkdir()
    rows = 40
    frame = pl.DataFrame({"age": [20.5 + row / 3 for row in range(rows)], "churned": ["no", "yes"] * (rows // 2)})
    frame.write_parquet(folder / "rows.parquet")
    RawManifest(
        digest="sha256:raw",
        rows=rows,
        columns={name: str(kind) for name, kind in frame.schema.items()},
        sources=(),
        files=("rows.parquet",),
        lineage=Lineage(stage="collect", config="", inputs={}),
    ).write(folder)
    return folder


def test_a_spark_application_is_a_driver_with_our_program_and_executors(run: ClusterRun) -> None:
    job = job_of(run, "spark")
    assert (job["apiVersion"], job["kind"]) == ("sparkoperator.k8s.io/v1beta2", "SparkApplication")
    assert job["metadata"]["name"] == "churn-r3-data"
    assert job["metadata"]["labels"]["runwright.dev/stage"] == "prepare"
    assert job["metadata"]["annotations"]["runwright.dev/input"] == "sha256:given"
    spec = job["spec"]
    assert (spec["restartPolicy"], spec["image"]) == ({"type": "Never"}, "registry.example/spark:1")
    assert spec["sparkConf"]["spark.default.parallelism"] == "6"
    driver, executor = spec["driver"], spec["executor"]
    assert (driver["serviceAccount"], executor["instances"]) == ("runwright-spark", 2)
    assert (driver["cores"], driver["coreRequest"]) == (1, "500m")
    assert (driver["memory"], driver["memoryOverhead"]) == ("1024m", "3072m")
    assert (executor["memory"], executor["memoryOverhead"]) == ("3814m", "11444m")
    pod = driver["template"]
    program = pod["metadata"]["annotations"]["runwright.dev/program"]
    assert "run_module('runwright_components.cluster.preparing'" in program
    compile(program, "main.py", "exec")
    assert {"name": "shared", "persistentVolumeClaim": {"claimName": "shared"}} in pod["spec"]["volumes"]
    assert pod["spec"]["automountServiceAccountToken"] is True


@pytest.mark.parametrize("engine", ["spark", "ray"])
def test_workers_get_the_volume_and_no_credentials(run: ClusterRun, engine: str) -> None:
    storage = run.storage.model_copy(update={"secret": "models"})
    spec = job_of(run.model_copy(update={"storage": storage}), engine)["spec"]
    if engine == "spark":
        driver, worker = spec["driver"]["template"], spec["executor"]["template"]
    else:
        cluster = spec["rayClusterSpec"]
        (group,) = cluster["workerGroupSpecs"]
        driver, worker = cluster["headGroupSpec"]["template"], group["template"]
        assert group["replicas"] == 2
        assert container(worker)["resources"]["limits"] == {"memory": "16G"}
        assert container(driver)["resources"]["requests"] == {"cpu": "500m", "memory": "4Gi"}
        assert spec["entrypoint"] == "python -m runwright_components.cluster.preparing"
    assert container(driver)["envFrom"] == [{"secretRef": {"name": "models"}}]
    assert container(worker)["envFrom"] == []
    assert [one["name"] for one in container(worker)["env"]] == ["HOME"]
    assert worker["spec"]["automountServiceAccountToken"] is False
    for pod in (driver, worker):
        assert {"name": "shared", "mountPath": "/runwright/shared"} in container(pod)["volumeMounts"]
        assert container(pod)["securityContext"]["readOnlyRootFilesystem"] is True


def test_too_little_memory_for_spark_is_told(run: ClusterRun) -> None:
    with pytest.raises(StageError, match="512Mi of memory is too little for Spark") as caught:
        job_of(run, "spark", executor=PodAmounts(cpu="1", memory="512Mi"))
    assert (caught.value.reason, caught.value.where) == (Reason.INVALID_CONFIG, "data.cluster.executor.memory")
    assert caught.value.cure == "give 1Gi or more"


class Step:
    """The prepare step, and a script: each pause plays the next scene."""

    def __init__(self, api: KubernetesApi, kubernetes: Kubernetes, run: ClusterRun, clock: FakeTime, raw: Path) -> None:
        self.api, self.kubernetes, self.run, self.clock = api, kubernetes, asking(run), clock
        self.given = Given(CONFIG, raw)
        self.out = raw.parent / "out"
        self.script: list[Scene] = []

    def follow(self, run_id: str = RUN_ID) -> RecordWriter:
        record = RecordWriter(self.kubernetes, self.run, run_id=run_id, stage="prepare", clock=self.clock)
        prepare_in_cluster(
            self.kubernetes,
            self.run,
            run_id,
            self.given,
            out=self.out,
            record=record,
            progress=Progress("prepare", sink=record.heard),
            pace=Pace(restart=2.0),
            clock=self.clock,
            sleep=self.sleep,
        )
        return record

    def fails(self) -> StageFault:
        with pytest.raises(ClusterError) as caught:
            self.follow()
        return caught.value.fault

    def sleep(self, seconds: float) -> None:
        self.clock.sleep(seconds)
        if APPLICATION in self.api.objects:
            assert self.script, "the step waits for more than the script plays"
            self.script.pop(0)()

    def says(self, state: str, error: str = "") -> None:
        live = self.api.objects[APPLICATION]
        status = {"driverInfo": {}, "applicationState": {"state": state, "errorMessage": error}}
        self.api.put(APPLICATION, {**live, "status": status})

    def pod(self, role: str, phase: str, message: str = "", code: int = 0, reason: str = "Error") -> None:
        labels = {"sparkoperator.k8s.io/app-name": "churn-r3-data", "spark-role": role}
        status: dict[str, Any] = {"phase": phase}
        if phase == "Failed":
            at = f"2026-01-01T00:00:0{role == 'driver':d}Z"  # a driver ends after its executors
            ended = {"exitCode": code, "reason": reason, "message": message, "finishedAt": at}
            status["containerStatuses"] = [{"name": f"spark-kubernetes-{role}", "state": {"terminated": ended}}]
        name = "churn-r3-data-driver" if role == "driver" else "churn-r3-data-5e1f-exec-1"
        self.api.put(f"{PODS}/{name}", {"metadata": {"labels": labels, "uid": f"uid-of-{role}"}, "status": status})

    def runs(self) -> None:
        self.pod("driver", "Running")
        self.pod("executor", "Running")
        self.says("RUNNING")

    def computes(self) -> None:
        """What the driver does: the very program of its pod, on the very configuration."""
        env = self.api.objects[APPLICATION]["spec"]["driver"]["template"]["spec"]["containers"][0]["env"]
        told = {one["name"]: one["value"] for one in env}
        its = ClusterRun.model_validate_json(told["RUNWRIGHT_CLUSTER"])
        config = PrepareConfig.model_validate_json(told["RUNWRIGHT_PREPARE"])
        work(its, config, out_uri=told["RUNWRIGHT_PREPARED"], folder=self.out.with_name(f"{self.out.name}-driver"))

    def completes(self) -> None:
        self.computes()
        self.pod("driver", "Succeeded")
        self.says("COMPLETED")

    def fails_with(self, message: str, code: int) -> Scene:
        def play() -> None:
            self.pod("driver", "Failed", message, code)
            self.says("FAILED", f"driver container failed with ExitCode: {code}, Reason: Error")

        return play


@pytest.fixture
def step(api: KubernetesApi, kubernetes: Kubernetes, run: ClusterRun, clock: FakeTime, raw: Path) -> Step:
    return Step(api, kubernetes, run, clock, raw)


def test_a_preparation_that_goes_well(step: Step) -> None:
    step.script = [step.runs, step.completes]
    record = step.follow().record
    assert PreparedManifest.read(step.out).rows["train"] == 28
    assert (record.failures, record.preemptions) == (0, 0)
    assert place(step.run.storage).under("prepared").files() >= {"manifest.json", ".index.json"}, "train looks there"
    live = step.api.objects[APPLICATION]
    assert live["metadata"]["annotations"]["runwright.dev/pipeline-run"] == RUN_ID
    assert live["metadata"]["ownerReferences"][0]["uid"] == "uid-of-churn"


def test_a_step_that_was_started_again_finds_its_job(step: Step) -> None:
    step.script = [step.runs, step.completes]
    step.follow()
    uid = step.api.objects[APPLICATION]["metadata"]["uid"]
    step.out = step.out.parent / "again"
    step.follow()
    assert step.api.objects[APPLICATION]["metadata"]["uid"] == uid
    assert PreparedManifest.read(step.out).rows["train"] == 28


def test_a_job_that_was_given_other_data_is_replaced(step: Step) -> None:
    step.script = [step.runs, step.completes]
    step.follow()
    uid = step.api.objects[APPLICATION]["metadata"]["uid"]
    step.given = Given(CONFIG.model_copy(update={"duplicates": "keep"}), step.given.raw)
    step.out = step.out.parent / "again"
    step.script = [step.runs, step.completes]
    step.follow()
    assert step.api.objects[APPLICATION]["metadata"]["uid"] != uid


def test_what_the_driver_says_is_told_and_not_tried_again(step: Step) -> None:
    words = '{"reason":"DataInvalid","message":"column churned is empty","cure":"give it labels"}'
    step.script = [step.runs, step.fails_with(words, 10)]
    fault = step.fails()
    assert (fault.reason, fault.message, fault.exit_code) == ("DataInvalid", "column churned is empty", 10)
    assert fault.pod == "churn-r3-data-driver"


def test_a_lost_executor_is_sparks_to_replace_and_decides_no_failure(step: Step) -> None:
    def evict() -> None:
        step.pod("executor", "Failed", code=137)

    words = '{"reason":"DataInvalid","message":"column churned is empty"}'
    step.script = [step.runs, evict, lambda: None, step.fails_with(words, 10)]
    assert step.fails().reason == "DataInvalid"


def test_an_executor_without_memory_is_the_cause_when_the_driver_gives_up(step: Step) -> None:
    step.run = step.run.model_copy(update={"job": step.run.job.model_copy(update={"failures": 0})})

    def kill() -> None:
        step.pod("executor", "Failed", code=137, reason="OOMKilled")
        step.fails_with('{"reason":"WorkerFailed","message":"Spark gave up"}', 20)()

    step.script = [step.runs, kill]
    fault = step.fails()
    assert (fault.reason, fault.pod) == ("OOMKilled", "churn-r3-data-5e1f-exec-1")
    assert "data.cluster.executor" in fault.cure


def test_a_driver_that_may_not_be_made_is_told(step: Step) -> None:
    step.run = step.run.model_copy(update={"job": step.run.job.model_copy(update={"failures": 0})})
    said = 'failed to run spark-submit: pods "churn-r3-data-driver" is forbidden: error looking up service account'
    step.script = [lambda: step.says("SUBMISSION_FAILED", said)]
    fault = step.fails()
    assert (fault.reason, fault.message) == ("NotAllowed", said)
    assert "run.spark" in fault.cure


def test_a_failure_of_the_outside_world_is_tried_again(step: Step) -> None:
    said = "failed to run spark-submit: WARN something\nException in thread main java.net.UnknownHostException: store"
    step.script = [lambda: step.says("SUBMISSION_FAILED", said), step.runs, step.completes]
    assert step.follow().record.failures == 1
    assert not step.script
