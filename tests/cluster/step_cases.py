"""A TrainingRun in a namespace of its own, and the artifacts that its steps read, made without training anything."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from runwright_components.cluster.records import read_record
from runwright_components.cluster.storage import MODEL, place, store_folder
from runwright_components.contract.artifacts import (
    HISTORY,
    Epoch,
    Field,
    History,
    Lineage,
    ModelManifest,
    PackageManifest,
    PreparedManifest,
    Registration,
    Signature,
    Tensor,
)
from runwright_components.contract.cluster import (
    ClusterRun,
    JobConfig,
    ServiceConfig,
    StageRecord,
    StorageConfig,
    record_name,
)
from runwright_components.contract.config import DeployConfig, ModelConfig, PrepareConfig, TrainConfig
from runwright_components.contract.files import files_digest, folder_files
from tests.cluster.step_process import StepProcess
from tests.cluster.tier.api import Api

ACCOUNT = "runwright-run"
RECIPE = "sha256:" + "a" * 64
JOB = ("kubeflow.org/v1", "PyTorchJob")
TRAIN_JOB = ("trainer.kubeflow.org/v1alpha1", "TrainJob")
RAY_JOB = ("ray.io/v1", "RayJob")
JOBS = {"pytorchjob": JOB, "trainjob": TRAIN_JOB, "rayjob": RAY_JOB}
SERVICE = ("serving.kserve.io/v1beta1", "InferenceService")
# As the table in runwright_components.cluster says; the tests show that the steps need no more.
RULES = [
    {"apiGroups": ["runwright.dev"], "resources": ["trainingruns"], "verbs": ["get"]},
    {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get", "create", "patch"]},
    {
        "apiGroups": ["kubeflow.org"],
        "resources": ["pytorchjobs"],
        "verbs": ["get", "list", "create", "patch", "delete"],
    },
    {"apiGroups": ["trainer.kubeflow.org"], "resources": ["trainjobs"], "verbs": ["get", "create", "patch", "delete"]},
    {"apiGroups": ["trainer.kubeflow.org"], "resources": ["trainingruntimes"], "verbs": ["create", "patch"]},
    {"apiGroups": ["jobset.x-k8s.io"], "resources": ["jobsets"], "verbs": ["get", "delete"]},
    {"apiGroups": ["ray.io"], "resources": ["rayjobs"], "verbs": ["get", "create", "patch", "delete"]},
    {
        "apiGroups": ["sparkoperator.k8s.io"],
        "resources": ["sparkapplications"],
        "verbs": ["get", "create", "patch", "delete"],
    },
    {"apiGroups": ["serving.kserve.io"], "resources": ["inferenceservices"], "verbs": ["get", "create", "patch"]},
    {"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list"]},
    {"apiGroups": [""], "resources": ["events"], "verbs": ["list"]},
]
CONFIG = TrainConfig(task="classification", modality="tabular", model=ModelConfig(name="mlp"))
SIGNATURE = Signature(
    task="classification",
    modality="tabular",
    inputs=(Field(name="x", type="numeric"),),
    labels=("no", "yes"),
    tensors=(Tensor(name="numeric", dtype="float32", shape=(None, 1)),),
)


@dataclass
class Case:
    """One TrainingRun, its revision 1 and the KFP run that its status names."""

    api: Api
    namespace: str
    kubeconfig: Path
    folder: Path
    run: ClusterRun
    run_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    started: list[StepProcess] = field(default_factory=list)

    def with_job(self, **changes: Any) -> Case:
        self.run = self.run.model_copy(update={"job": self.run.job.model_copy(update=changes)})
        return self

    def with_service(self, **changes: Any) -> Case:
        assert self.run.service is not None
        self.run = self.run.model_copy(update={"service": self.run.service.model_copy(update=changes)})
        return self

    def name_run(self, run_id: str, state: str = "Running") -> None:
        """Have the TrainingRun's status name this KFP run and its revision's state, as the operator does."""
        named = {"id": run_id, "attempt": f"{self.run.name}-{self.run.uid[:8]}-r1-a1"}
        revision = {"number": 1, "recipe": RECIPE, "state": state, "pipelineRun": named}
        kind = ("runwright.dev/v1alpha1", "TrainingRun")
        status = {"status": {"observedGeneration": 1, "revisions": [revision]}}
        self.api.merge(*kind, self.run.name, status, self.namespace, subresource="status")

    def train(self, run_id: str = "", config: TrainConfig = CONFIG) -> StepProcess:
        artifacts = {name: self.folder / name for name in ("prepared_data", "model", "training_metrics")}
        artifacts["learning_curves"] = self.folder / "curves.html"
        if not artifacts["prepared_data"].exists():
            prepared(artifacts["prepared_data"])
        return self._start("train", artifacts, run_id, config=config.canonical(), base=str(self.folder))

    def prepare(self, config: PrepareConfig, raw: Path) -> StepProcess:
        artifacts = {"raw_data": raw, "prepared_data": self.folder / "prepared_data"}
        artifacts["data_quality"] = self.folder / "quality.html"
        return self._start("prepare", artifacts, "", config=config.canonical(), base=str(self.folder))

    def deploy(self, model: str = "one", verdict: str = "passed") -> StepProcess:
        registration = registered(self.folder / "registry", self.run.name, model)
        registration.write(self.folder, "registration.json")
        artifacts = {"registration": self.folder / "registration.json", "deployment": self.folder / "deployment.json"}
        config = DeployConfig(name=self.run.name, mode="Standard").canonical()
        return self._start("deploy", artifacts, "", config=config, verdict=verdict)

    def _start(self, name: str, artifacts: dict[str, Path], run_id: str, **parameters: str) -> StepProcess:
        step = StepProcess.start(
            name,
            self.folder,
            kubeconfig=self.kubeconfig,
            cluster=self.run.canonical(),
            run_id=run_id or self.run_id,
            artifacts=artifacts,
            **parameters,
        )
        self.started.append(step)
        return step

    def keep_model(self) -> None:
        """Put a model where the training pods would: the simulated ones compute nothing."""
        store_folder(model(self.folder / "made-model"), place(self.run.storage).under(MODEL))

    def record(self, stage: str) -> StageRecord | None:
        name = record_name(self.run.name, self.run.revision)
        return read_record(self.api.find("v1", "ConfigMap", name, self.namespace), stage)

    def job(self) -> dict[str, Any] | None:
        kind = JOBS[self.run.job.backend]
        return self.api.find(*kind, record_name(self.run.name, self.run.revision), self.namespace)

    def service(self) -> dict[str, Any] | None:
        return self.api.find(*SERVICE, self.run.name, self.namespace)


@contextmanager
def case(
    api: Api,
    namespace: str,
    folder: Path,
    trainingrun: dict[str, Any],
    as_account: Callable[[str, str], Path],
) -> Iterator[Case]:
    """The TrainingRun in the namespace, a ServiceAccount with the steps' rights, and storage in `folder`."""
    account = {"name": ACCOUNT, "namespace": namespace}
    rbac = "rbac.authorization.k8s.io"
    api.create({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": account})
    api.create({"apiVersion": f"{rbac}/v1", "kind": "Role", "metadata": account, "rules": RULES})
    binding = {
        "roleRef": {"apiGroup": rbac, "kind": "Role", "name": ACCOUNT},
        "subjects": [{"kind": "ServiceAccount", **account}],
    }
    api.create({"apiVersion": f"{rbac}/v1", "kind": "RoleBinding", "metadata": account, **binding})
    made = api.create(trainingrun)
    run = ClusterRun(
        namespace=namespace,
        name=made["metadata"]["name"],
        uid=made["metadata"]["uid"],
        revision=1,
        recipe=RECIPE,
        storage=StorageConfig(uri=f"file://{folder}/storage"),
        job=JobConfig(image="registry.example/train:1", gpus_per_node=1),
        service=ServiceConfig(image="registry.example/serve:1"),
    )
    found = Case(api, namespace, as_account(namespace, ACCOUNT), folder, run)
    found.name_run(found.run_id)
    try:
        yield found
    finally:
        for step in found.started:
            step.stop()


def prepared(folder: Path) -> Path:
    folder.mkdir(parents=True)
    (folder / "train.parquet").write_bytes(b"rows")
    PreparedManifest(
        digest="sha256:prepared",
        modality="tabular",
        task="classification",
        rows={"train": 8, "validation": 2, "test": 2},
        signature=SIGNATURE,
        lineage=Lineage(stage="prepare", config="sha256:c"),
    ).write(folder)
    return folder


def model(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "weights.safetensors").write_bytes(b"weights")
    ModelManifest(
        digest="sha256:model",
        model=CONFIG.model,
        task="classification",
        modality="tabular",
        parameters=3,
        classes=2,
        steps=10,
        best_epoch=1,
        precision="fp32",
        device="cuda",
        world_size=1,
        seconds=1.5,
        files=folder_files(folder, without=("manifest.json", HISTORY)),
        signature=SIGNATURE,
        lineage=Lineage(stage="train", config="sha256:c"),
    ).write(folder)
    epoch = Epoch(
        epoch=1,
        step=10,
        train_loss=0.5,
        validation_loss=0.6,
        validation_metric=0.9,
        learning_rate=1e-3,
        seconds=1.5,
        samples_per_second=100.0,
    )
    History(epochs=(epoch,), best_epoch=1, stopped="epochs").write(folder, HISTORY)
    return folder


def registered(registry: Path, name: str, content: str) -> Registration:
    """A package whose model is named by `content`."""
    home = registry / name / content
    home.mkdir(parents=True, exist_ok=True)
    (home / "model.onnx").write_text(content)
    files = folder_files(home, without=("manifest.json",))
    manifest = PackageManifest(
        digest=files_digest(files),
        name=name,
        model_digest=files_digest({"model.onnx": content}),
        task="classification",
        modality="tabular",
        files=files,
    )
    manifest.write(home)
    return Registration(name=name, version=1, uri=f"file://{home}", digest=manifest.digest, created=True)
