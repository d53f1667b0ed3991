"""Which kind of job trains, and what it asks of the rest of the TrainingRun."""

from typing import Any

import pytest

from runwright_api.loading import load_object
from runwright_api.problems import SpecError

CODE = {"path": "train.py"}


def run(name: str = "churn", **train: Any) -> dict[str, Any]:
    return {
        "apiVersion": "runwright.dev/v1alpha1",
        "kind": "TrainingRun",
        "metadata": {"name": name},
        "spec": {
            "data": {"sources": [{"path": "a.csv"}]},
            "prepare": {"target": "churned"},
            "train": {"task": "tabular-classification", **train},
        },
    }


def problems(raw: dict[str, Any]) -> list[tuple[str, str, str]]:
    with pytest.raises(SpecError) as caught:
        load_object(raw)
    return [(problem.path, problem.message, problem.cure) for problem in caught.value.problems]


@pytest.mark.parametrize(
    "train", [{}, {"backend": "pytorchjob"}, {"backend": "trainjob"}, {"backend": "rayjob", "code": CODE}]
)
def test_every_kind_of_job_can_be_asked_for(train: dict[str, Any]) -> None:
    assert load_object(run(**train)).spec.train.backend == train.get("backend", "pytorchjob")


def test_ray_is_for_the_users_own_code() -> None:
    ((path, message, cure),) = problems(run(backend="rayjob"))
    assert path == "spec.train.backend"
    assert message == "`backend: rayjob` runs the user's own code"
    assert "train.code" in cure


@pytest.mark.parametrize("train", [{"backend": "trainjob"}, {"backend": "rayjob", "code": CODE}])
def test_names_leave_room_for_what_others_append(train: dict[str, Any]) -> None:
    load_object(run("n" * 40, **train))
    load_object(run("n" * 50))
    ((path, message, cure),) = problems(run("n" * 41, **train))
    assert path == "metadata.name"
    assert "at most 40 characters" in message
    assert "shorter name" in cure
