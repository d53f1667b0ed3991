"""Nothing simulated: `kubectl apply` of each kind of example, pods that compute, the right numbers from the Service."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable

import pytest

from tests.cluster.operator.runs import is_true, revision, status
from tests.node import examples
from tests.node.team import Team, figures

pytestmark = pytest.mark.slow

TOLERANCE = 1e-6
ROWS = 40
SMALL = {"cpu": "250m", "memory": "1500Mi"}


def test_a_messy_table_trains_on_three_pods_and_serves_the_right_numbers(
    team: Team, kubectl: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    began = time.monotonic()
    resources = {**SMALL, "nodes": 3}
    team.apply(team.example("birdstrikes", train={"resources": resources, "epochs": 6}))
    watch = subprocess.Popen(
        [*kubectl_command(team, "get", "trun", "birdstrikes", "-w")], stdout=subprocess.PIPE, text=True
    )
    try:
        pods = team.wait("master and workers run together", lambda: _all_three(team))
        assert [pod["metadata"]["labels"]["training.kubeflow.org/replica-type"] for pod in pods] == [
            "master",
            "worker",
            "worker",
        ]
        run = team.serving("birdstrikes", 1)
    finally:
        watch.terminate()
    print(f"\nbirdstrikes on three pods, from apply to Ready: {time.monotonic() - began:.0f} s")
    print(watch.communicate()[0])
    for kind in ("Accepted", "Compiled", "Submitted", "Trained", "EvaluationPassed", "Packaged", "Deployed", "Ready"):
        assert is_true(run, kind), kind
    assert status(run)["phase"] == "Serving"
    assert revision(run, 1)["metrics"]["rocAuc"] > 0.75
    same_answers(team, "birdstrikes")


def test_images_and_texts_end_in_a_served_model_too(team: Team) -> None:
    began = time.monotonic()
    short = {"epochs": 3, "resources": SMALL}
    for example in ("digits", "languages"):
        team.apply(team.example(example, train=short, evaluate={"gate": [{"metric": "accuracy", "min": 0.2}]}))
    for example in ("digits", "languages"):
        team.serving(example, 1)
        print(f"\n{example}, side by side, from apply to Ready: {time.monotonic() - began:.0f} s")
        same_answers(team, example)


def same_answers(team: Team, name: str) -> None:
    """The Service answers as `runwright predict` does on the package that lies in storage."""
    rows = examples.rows(name, ROWS)
    predicted = figures(team.predict(team.package(name, 1), rows))
    served = figures(team.ask(name, rows))
    assert served == pytest.approx(predicted, abs=TOLERANCE)
    assert len(set(served)) > ROWS / 4, "the rows tell something"


def kubectl_command(team: Team, *arguments: str) -> list[str]:
    from tests.cluster.tier.binaries import binary

    return [str(binary("kubectl")), "--kubeconfig", str(team.node.kubeconfig), "-n", team.namespace, *arguments]


def _all_three(team: Team) -> list[dict[str, object]] | None:
    pods = team.training_pods("birdstrikes")
    return pods if len(pods) == 3 else None
