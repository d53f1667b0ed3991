"""KFP in single-user mode runs every step in its own namespace: by an account there, with rights in the team's."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.cluster.operator import rights
from tests.cluster.operator.runs import serves
from tests.cluster.operator.world import Cluster, World
from tests.doubles.kfp.process import Double, running

HOME = "kubeflow"


@pytest.fixture(scope="module")
def single(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Double]:
    options = ("--kubeconfig", str(cluster.path), "--namespace", HOME, "--pending", "0.2")
    with running(tmp_path_factory.mktemp("single"), *options) as double:
        yield double


def test_steps_in_the_namespace_of_kfp_reach_the_teams(make_world: Callable[..., World], single: Double) -> None:
    world = make_world(pipelines_endpoint=single.url)
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": rights.RUN, "namespace": HOME}}
    world.api.apply(account)
    world.add_operator()
    world.apply("single")
    world.wait_run("it serves", lambda run: serves(run, 1), "single")
    world.wait_closed("single")
    world.wait("its pipeline run ends", lambda: [one["state"] for one in single.runs()] == ["SUCCEEDED"])
