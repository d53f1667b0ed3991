"""Runwright as an administrator installs it: its own image, its chart, the cluster's Kubeflow Pipelines."""

from __future__ import annotations

from collections.abc import Callable

from tests.cluster.tier.api import Api
from tests.cluster.waiting import eventually
from tests.doubles.kfp.process import Double
from tests.node.conftest import Node
from tests.node.pods import PATIENCE
from tests.node.tier.archives import pause_program

Logs = Callable[..., str]


def test_the_operator_runs_from_its_own_image(api: Api, installed: str, images: dict[str, str], logs: Logs) -> None:
    (pod,) = api.list("v1", "Pod", installed, labels="app.kubernetes.io/component=operator")
    (status,) = pod["status"]["containerStatuses"]
    assert status["ready"]
    assert status["restartCount"] == 0
    assert status["imageID"] == images["operator"]
    eventually(lambda: api.find("coordination.k8s.io/v1", "Lease", "runwright-operator", installed), PATIENCE)
    assert "Traceback" not in logs(installed, pod["metadata"]["name"])


def test_pipelines_answer_at_their_service(node: Node, kfp: Double) -> None:
    address = node.api.get("v1", "Service", "ml-pipeline", "kubeflow")["spec"]["clusterIP"]
    for url in (kfp.url, f"http://{address}:8888"):
        assert node.run(str(pause_program()), "get", f"{url}/apis/v2beta1/healthz")
