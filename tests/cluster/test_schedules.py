"""The examples of schedules on a real API server, with the rights that they give and no more."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cluster.cli.commands import KIND
from tests.cluster.tier.api import Api, Refused
from tests.cluster.waiting import eventually
from tests.doubles.runs.objects import NAME, run

SCHEDULES = Path(__file__).parents[2] / "examples" / "schedules"
RETRAIN = "runwright.dev/retrain"


@pytest.fixture
def cronjob(kubectl: Callable[..., Any], api: Api, namespace: str) -> dict[str, Any]:
    """The container of the applied CronJob; a TrainingRun of its name is there."""
    api.create(run(namespace=namespace))
    kubectl("apply", "-n", namespace, "-f", str(SCHEDULES / "cronjob.yaml"))
    found = api.get("batch/v1", "CronJob", "retrain-penguins", namespace)
    return dict(found["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"][0])


def _as_the_pod(container: dict[str, Any], config: Path, namespace: str) -> subprocess.CompletedProcess[str]:
    """Run the container's command as a process of this machine, with the token of its account."""
    python, *arguments = container["command"]
    assert python == "python"
    environment = {**os.environ, "KUBECONFIG": str(config), "POD_NAMESPACE": namespace}
    return subprocess.run(
        [sys.executable, *arguments], env=environment, capture_output=True, text=True, check=False, timeout=120
    )


def test_the_cronjob_asks_for_a_training_with_its_account_alone(
    cronjob: dict[str, Any], api: Api, namespace: str, as_account: Callable[[str, str], Path]
) -> None:
    config = as_account(namespace, "retrain-penguins")
    done = _as_the_pod(cronjob, config, namespace)
    assert done.returncode == 0, done.stderr
    found = api.get(*KIND, NAME, namespace)
    assert found["metadata"]["annotations"][RETRAIN] in done.stdout
    assert found["spec"] == run()["spec"]
    api.create(run(namespace=namespace, name="seals"))
    other = {**cronjob, "command": [*cronjob["command"][:-1], "seals"]}
    refused = _as_the_pod(other, config, namespace)
    assert refused.returncode == 1
    assert "cannot ask for a training of seals" in refused.stderr
    assert "forbidden" in refused.stderr
    api.delete(*KIND, NAME, namespace)
    assert (
        f"there is no TrainingRun penguins in namespace {namespace}" in _as_the_pod(cronjob, config, namespace).stderr
    )


def test_the_pods_of_the_cronjob_fit_pod_security_restricted(cronjob: dict[str, Any], api: Api, namespace: str) -> None:
    """Its template, as the pod that a Job would make of it: the namespace enforces `restricted`."""
    found = api.get("batch/v1", "CronJob", "retrain-penguins", namespace)
    spec = found["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    api.create({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "now", "namespace": namespace}, "spec": spec})


@pytest.fixture
def annotations_only(kubectl: Callable[..., Any]) -> Iterator[None]:
    kubectl("apply", "-f", str(SCHEDULES / "annotations-only.yaml"))
    yield
    kubectl("delete", "-f", str(SCHEDULES / "annotations-only.yaml"))


def test_who_may_ask_may_not_change_what_is_trained(
    cronjob: dict[str, Any],
    annotations_only: None,
    namespace: str,
    as_account: Callable[[str, str], Path],
) -> None:
    config = as_account(namespace, "retrain-penguins")
    schedule, epochs = Api.from_kubeconfig(config), count(1)

    def refusal() -> str | None:
        """A policy is in force some moments after it was made."""
        try:
            schedule.merge(*KIND, NAME, {"spec": {"train": {"epochs": next(epochs)}}}, namespace)
        except Refused as error:
            return str(error)
        return None

    assert "may change annotations alone" in eventually(refusal)
    assert _as_the_pod(cronjob, config, namespace).returncode == 0


def test_the_sensors_patch_is_one_that_the_api_server_takes(
    cronjob: dict[str, Any], kubectl: Callable[..., Any], api: Api, namespace: str
) -> None:
    """Argo Events is not here: what its Sensor would send is."""
    documents = list(yaml.safe_load_all((SCHEDULES / "argo-events.yaml").read_text()))
    sensor = next(one for one in documents if one["kind"] == "Sensor")
    trigger = sensor["spec"]["triggers"][0]["template"]["k8s"]
    assert trigger["operation"] == "patch"
    assert trigger["parameters"][0]["dest"].replace("\\.", "%").split(".")[2].replace("%", ".") == RETRAIN
    content = yaml.safe_dump(trigger["source"]["resource"])
    kubectl("patch", "trun", NAME, "-n", namespace, "--type=merge", "--patch", content)
    assert api.get(*KIND, NAME, namespace)["metadata"]["annotations"][RETRAIN] == "replaced"
