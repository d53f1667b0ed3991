"""Life after the first model: better, worse, the old one again, a pin, a retraining; a client asks all the while."""

from __future__ import annotations

import time
from typing import Any

import pytest

from tests.cluster.operator.runs import condition, revision, states, status
from tests.node import examples
from tests.node.team import Team, figures

pytestmark = pytest.mark.slow

NAME = "penguins"
SMALL = {"cpu": "250m", "memory": "1500Mi"}
RUNS = {"epochs": 30, "resources": SMALL}


def test_a_model_is_changed_and_changed_back_without_a_failed_request(team: Team) -> None:
    first = team.example(NAME, train=RUNS)
    team.apply(first)
    team.serving(NAME, 1)
    rows = examples.rows(NAME, 20)
    answers = {1: _answers(team, rows)}
    took: dict[str, float] = {}
    with team.asking(NAME, rows[:2]) as client:
        _change(team, took, "a changed hyperparameter", 2, train={**RUNS, "learningRate": 0.003})
        answers[2] = _answers(team, rows)
        assert answers[2] != answers[1]

        _rejected(team)
        assert _answers(team, rows) == answers[2], "the rejected model changed nothing"

        trained = team.jobs()
        began = time.monotonic()
        team.apply(first)
        team.wait("the InferenceService carries the old model", lambda: team.model_digest(NAME) == _digest(team, 1))
        took["the old YAML, until the InferenceService carries its model"] = time.monotonic() - began
        team.serving(NAME, 1)
        took["the old YAML, until its model serves"] = time.monotonic() - began
        assert _answers(team, rows) == answers[1]

        _change(team, took, "deploy.revision: 2", 2, deploy={"revision": 2}, train=RUNS)
        assert _answers(team, rows) == answers[2]
        _change(team, took, "the pin taken away", 1, train=RUNS)
        assert team.jobs() == trained, "nothing was trained for any of this"

        _retrained(team, took)
        assert _answers(team, rows) == pytest.approx(answers[1], abs=1e-4), (
            "the same recipe, the same data, the same seed"
        )
    print("\n" + "\n".join(f"{what}: {seconds:.1f} s" for what, seconds in took.items()))
    print(f"the client asked {client['asked']} times: {client['answers']}")
    assert client["asked"] > 100
    assert not client["failures"], client["failures"]


def _change(team: Team, took: dict[str, float], what: str, number: int, **changes: Any) -> None:
    began = time.monotonic()
    team.apply(team.example(NAME, **changes))
    team.serving(NAME, number)
    took[what] = time.monotonic() - began


def _rejected(team: Team) -> None:
    """A worse recipe: its model is judged, kept and not served."""
    team.apply(team.example(NAME, train={**RUNS, "epochs": 1, "learningRate": 0.00001}))
    run = team.wait_run("revision 3 is rejected", NAME, lambda run: states(run).get(3) == "Rejected")
    assert condition(run, "EvaluationPassed")["reason"] == "GateRejected"
    assert status(run)["serving"]["revision"] == 2
    assert team.model_digest(NAME) == _digest(team, 2)


def _retrained(team: Team, took: dict[str, float]) -> None:
    began = time.monotonic()
    patch = {"metadata": {"annotations": {"runwright.dev/retrain": "november"}}}
    team.api.merge("runwright.dev/v1alpha1", "TrainingRun", NAME, patch, team.namespace)
    run = team.serving(NAME, 4)
    took["retrained"] = time.monotonic() - began
    assert revision(run, 4)["recipe"] == revision(run, 1)["recipe"]


def _digest(team: Team, number: int) -> str:
    return str(revision(team.run(NAME), number)["artifact"]["modelDigest"])


def _answers(team: Team, rows: list[dict[str, Any]]) -> list[float]:
    return figures(team.ask(NAME, rows))
