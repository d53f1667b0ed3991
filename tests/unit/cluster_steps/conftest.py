"""A run of a cluster, and a small Kubernetes API that its steps talk to."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from runwright_components.cluster.client import Kubernetes
from runwright_components.contract.cluster import ClusterRun, JobConfig, ServiceConfig, StorageConfig
from tests.databases.postgres import postgres
from tests.doubles.kubernetes_api import KubernetesApi, kubernetes_api

RUN_ID = "3f1c9f0e-run"
RUN_PATH = "/apis/runwright.dev/v1alpha1/namespaces/team/trainingruns/churn"
JOB_PATH = "/apis/kubeflow.org/v1/namespaces/team/pytorchjobs/churn-r3"
RECORD_PATH = "/api/v1/namespaces/team/configmaps/churn-r3"
SERVICE_PATH = "/apis/serving.kserve.io/v1beta1/namespaces/team/inferenceservices/churn"


@pytest.fixture
def run(tmp_path: Path) -> ClusterRun:
    return ClusterRun(
        namespace="team",
        name="churn",
        uid="uid-of-churn",
        revision=3,
        recipe="sha256:" + "a" * 64,
        storage=StorageConfig(uri=f"file://{tmp_path}/storage"),
        job=JobConfig(image="registry.example/runwright-train:1"),
        service=ServiceConfig(image="registry.example/runwright-serve:1"),
    )


@pytest.fixture(scope="session")
def address() -> Iterator[str]:
    """The address of a database that keeps studies."""
    with postgres() as found:
        yield found


@pytest.fixture
def api(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[KubernetesApi]:
    """The API, with the TrainingRun whose status names RUN_ID; steps find it by KUBECONFIG."""
    with kubernetes_api() as started:
        started.put(RUN_PATH, training_run(RUN_ID))
        path = tmp_path / "kubeconfig"
        path.write_text(yaml.safe_dump(started.kubeconfig()))
        monkeypatch.setenv("KUBECONFIG", str(path))
        yield started


@pytest.fixture
def kubernetes(api: KubernetesApi) -> Kubernetes:
    return Kubernetes.connect(patience=5)


def training_run(run_id: str | None, *, uid: str = "uid-of-churn") -> dict[str, object]:
    """The TrainingRun as the operator keeps it; its status names the KFP run of revision 3."""
    named = {"pipelineRun": {"id": run_id, "attempt": "churn-uid-of-c-r3-a1"}} if run_id is not None else {}
    return {
        "metadata": {"name": "churn", "namespace": "team", "uid": uid},
        "status": {"revisions": [{"number": 2, "pipelineRun": {"id": "older"}}, {"number": 3, **named}]},
    }


class FakeTime:
    """A clock that only `sleep` moves; real sleeping is a millisecond, so that servers get their turn."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        time.sleep(0.001)


@pytest.fixture
def clock() -> FakeTime:
    return FakeTime()
