"""What the trials of a search run as, and what that asks of the rest of the TrainingRun."""

from typing import Any

import pytest

from runwright_api.loading import load_object
from runwright_api.names import is_job_of
from runwright_api.problems import SpecError
from runwright_api.recipe import recipe_digest

RATE = {"name": "learningRate", "type": "float", "min": 1e-4, "max": 0.1, "log": True}


def run(name: str = "churn", train: dict[str, Any] | None = None, **tune: Any) -> dict[str, Any]:
    return {
        "apiVersion": "runwright.dev/v1alpha1",
        "kind": "TrainingRun",
        "metadata": {"name": name},
        "spec": {
            "data": {"sources": [{"path": "a.csv"}]},
            "prepare": {"target": "churned"},
            "train": {"task": "tabular-classification", **(train or {})},
            "tune": {"searchSpace": [RATE], **tune},
        },
    }


def test_trials_that_are_jobs_may_take_several_nodes() -> None:
    found = load_object(run(train={"resources": {"nodes": 4}}, backend="jobs", parallel=8)).spec
    assert found.tune is not None
    assert (found.tune.backend, found.train.resources.nodes) == ("jobs", 4)


def test_names_leave_room_for_the_trials() -> None:
    load_object(run("n" * 40, backend="jobs"))
    load_object(run("n" * 50))
    with pytest.raises(SpecError) as caught:
        load_object(run("n" * 41, backend="jobs"))
    (problem,) = caught.value.problems
    assert (problem.path, "at most 40 characters" in problem.message) == ("metadata.name", True)
    assert "shorter name" in problem.cure


def test_where_the_study_lies_does_not_train_again() -> None:
    kept = run(backend="jobs", storage={"secretRef": {"name": "study"}})
    assert recipe_digest(load_object(kept), {}) == recipe_digest(load_object(run(backend="jobs")), {})
    assert recipe_digest(load_object(run(backend="jobs")), {}) != recipe_digest(load_object(run()), {})


def test_own_code_is_searched_by_what_it_reads() -> None:
    load_object(run(train={"code": {"path": "train.py"}}))


@pytest.mark.parametrize(
    ("job", "is_one"),
    [("churn-r3", True), ("churn-r3-t0", True), ("churn-r3-t17", True)]
    + [(other, False) for other in ("churn-r30", "churn-r3-t", "churn-r3-t1x", "churn-r30-t1", "other-r3-t1")],
)
def test_jobs_of_a_revision_are_known_by_their_names(job: str, is_one: bool) -> None:
    assert is_job_of(job, "churn", 3) == is_one
