"""Kubeflow with profiles: the operator shows a token of its own to a KFP behind TLS with a private authority, and each
TrainingRun has an experiment in its own namespace."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.cluster.operator import rights
from tests.cluster.operator.runs import condition, serves, status
from tests.cluster.operator.world import Cluster, World
from tests.doubles.kfp.access import AUDIENCE
from tests.doubles.kfp.process import Double, running

PAGE = "https://kubeflow.example.com/pipeline"
VERBS = ["get", "list", "create", "terminate", "archive"]


@pytest.fixture(scope="module")
def profiles(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Double]:
    """KFP in multi-user mode, with TLS; it asks the cluster who may do what."""
    options = ("--kubeconfig", str(cluster.path), "--multi-user", "--check-access", "--tls", "--pending", "0.2")
    with running(tmp_path_factory.mktemp("profiles"), *options) as double:
        yield double


@pytest.fixture
def settings(profiles: Double, tmp_path: Path) -> dict[str, str]:
    return {
        "pipelines_endpoint": profiles.url,
        "pipelines_multi_user": "true",
        "pipelines_token_file": str(tmp_path / "token"),
        "pipelines_ca_file": str(profiles.state / "ca.crt"),
        "pipelines_page": PAGE,
    }


@pytest.fixture
def world(make_world: Callable[..., World], settings: dict[str, str], tmp_path: Path) -> World:
    """With the token that a Deployment projects for the operator, and the rights of the chart's multi-user mode."""
    found = make_world()
    token = found.api.token(found.namespace, rights.OPERATOR, audiences=[AUDIENCE])
    (tmp_path / "token").write_text(token)
    rbac, home = "rbac.authorization.k8s.io", {"name": "pipelines", "namespace": found.namespace}
    rules = [{"apiGroups": ["pipelines.kubeflow.org"], "resources": ["runs", "experiments"], "verbs": VERBS}]
    account = {"kind": "ServiceAccount", "name": rights.OPERATOR, "namespace": found.namespace}
    found.api.apply({"apiVersion": f"{rbac}/v1", "kind": "Role", "metadata": home, "rules": rules})
    role = {"apiGroup": rbac, "kind": "Role", "name": "pipelines"}
    binding = {"apiVersion": f"{rbac}/v1", "kind": "RoleBinding", "metadata": home}
    found.api.apply({**binding, "roleRef": role, "subjects": [account]})
    return found


def test_a_run_has_its_experiment_in_its_namespace_and_a_link(
    world: World, settings: dict[str, str], profiles: Double
) -> None:
    world.add_operator(**settings)
    world.apply("mine")
    run = world.wait_run("it serves", lambda run: serves(run, 1), "mine")
    (seen,) = [one for one in profiles.runs() if one["name"].startswith("mine-")]
    assert seen["namespace"] == world.namespace
    link = f"{PAGE}/#/runs/details/{seen['id']}"
    assert status(run)["revisions"][0]["pipelineRun"]["url"] == link
    assert condition(run, "Submitted")["message"] == link
    events = world.api.list("v1", "Event", world.namespace, fields="involvedObject.name=mine")
    assert any(link in event["message"] for event in events if event["reason"] == "PipelineStarted")


def test_a_token_that_kfp_does_not_take_is_a_condition(world: World, settings: dict[str, str], tmp_path: Path) -> None:
    wrong = tmp_path / "wrong"
    wrong.write_text(world.token())  # another audience
    operator = world.add_operator(start=False, **{**settings, "pipelines_token_file": str(wrong)})
    operator.start(wait=False)
    world.apply("refused")
    run = world.wait_run(
        "it says so",
        lambda run: condition(run, "Submitted").get("reason") == "PipelinesUnavailable",
        "refused",
    )
    assert condition(run, "Stalled")["status"] == "False"
    assert operator.running
    assert world.token() not in str(run)
