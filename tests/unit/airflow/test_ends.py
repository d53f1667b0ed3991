"""What a task of Airflow makes of a TrainingRun; Airflow itself is asked in tests/cluster/airflow."""

from __future__ import annotations

import json
from typing import Any

import pytest

from runwright_airflow.ends import LONGEST_TOKEN, End, end_of, request, result_of, to_cancel, token_of
from runwright_airflow.manifests import written
from runwright_airflow.provider import get_provider_info
from runwright_api.problems import SpecError
from runwright_api.status import TrainingRunStatus
from runwright_cli.cluster.stages import Wanted
from tests.doubles.runs.objects import condition, revision, run, status, stored

TOKEN = "airflow/weekly/trains/2026-01-05"


def _status(*revisions: dict[str, Any]) -> TrainingRunStatus:
    return TrainingRunStatus.model_validate(status(*revisions))


@pytest.mark.parametrize(
    ("state", "asked_by", "attempt", "retrain", "expected"),
    [
        ("Succeeded", None, 1, False, None),
        ("Succeeded", None, 1, True, TOKEN),
        ("Succeeded", TOKEN, 1, True, None),  # this very run of the DAG has made it
        ("Succeeded", f"{TOKEN}#2", 3, True, None),
        ("Succeeded", None, 2, True, TOKEN),  # the worker was lost before it asked
        ("Running", None, 2, True, None),
        ("Failed", None, 1, False, None),  # the task fails, and says why
        ("Failed", None, 2, False, f"{TOKEN}#2"),
        ("Cancelled", TOKEN, 3, True, f"{TOKEN}#3"),
        ("Rejected", None, 2, False, None),
    ],
)
def test_when_a_training_is_asked_for(
    state: str, asked_by: str | None, attempt: int, retrain: bool, expected: str | None
) -> None:
    found = _status(revision(1, state, request=asked_by))
    assert request(found, token=TOKEN, retrain=retrain, attempt=attempt) == expected


def test_the_first_revision_starts_by_itself() -> None:
    assert request(_status(), token=TOKEN, retrain=True, attempt=1) is None


def test_tokens_are_bounded_and_told_apart() -> None:
    assert token_of("weekly", "trains", "2026-01-05") == TOKEN
    long = [token_of("d" * 250, "trains", name) for name in ("a", "b")]
    assert len(set(long)) == 2
    assert all(len(token) <= LONGEST_TOKEN for token in long)


def test_an_end_travels_through_an_event() -> None:
    conditions = [condition("Ready", "True", "Serving", "it serves")]
    end = end_of(stored(run(), status(revision(1), serving=1, conditions=conditions)), Wanted(generation=1))
    assert end is not None
    assert End(**json.loads(json.dumps(end.event()))) == end
    assert (end.ready, end.message, end.result["revision"]) == (True, "Serving: it serves", 1)


def test_what_is_not_there_yet_is_none() -> None:
    found = result_of(stored(run()))
    assert (found["name"], found["namespace"], found["metrics"]) == ("penguins", "zoo", {})
    assert found["revision"] is found["model_uri"] is found["serving_url"] is found["pipeline_url"] is None


@pytest.mark.parametrize(
    ("state", "after", "expected"), [("Running", None, 1), ("Running", 1, None), ("Pending", 0, 1), ("Failed", 0, None)]
)
def test_only_what_is_waited_for_is_cancelled(state: str, after: int | None, expected: int | None) -> None:
    assert to_cancel(stored(run(), status(revision(1, state))), Wanted(after=after)) == expected


def test_a_manifest_is_a_mapping_or_a_text() -> None:
    assert written(run()).content == run()
    assert written(json.dumps(run())).run.name == "penguins"
    with pytest.raises(SpecError, match="manifest is list"):
        written([run()])  # type: ignore[arg-type]
    with pytest.raises(SpecError, match="manifest:1"):
        written("kind: [")


def test_the_provider_names_what_there_is() -> None:
    assert get_provider_info()["package-name"] == "runwright"
