"""What the steps of every example hand to Kubeflow for its dashboard, read as Kubeflow reads it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from runwright_components.contract.evaluation import Evaluation
from tests.doubles.dashboard import confusion_matrix, roc_curve, scalars, stored
from tests.local.test_examples import EXAMPLES

pytestmark = pytest.mark.slow

PAGES = ("data_quality", "learning_curves", "report")


def shown(workspace: Path) -> dict[str, Any]:
    """The artifacts of the newest run by name, as executor_output.json has them."""
    newest = max((workspace / "artifacts").iterdir(), key=lambda folder: folder.stat().st_mtime)
    found: dict[str, Any] = {}
    for output in newest.glob("*/executor_output.json"):
        for name, listed in json.loads(output.read_text())["artifacts"].items():
            (found[name],) = listed["artifacts"]
    return found


EPOCHS = {"irises": 1, "delays": 20}
"""Of a mixture, which is fitted at once, and the rounds of trees."""


@pytest.mark.parametrize("name", EXAMPLES)
def test_example(name: str, finished: Callable[[str], Path]) -> None:
    artifacts = shown(finished(name))
    told = {key: stored(artifact["metadata"]) for key, artifact in artifacts.items()}
    evaluation = Path(artifacts["evaluation"]["uri"])
    document = Evaluation.read(evaluation, "evaluation.json")

    assert document.metrics.items() <= scalars(told["metrics"]).items()
    trained = scalars(told["training_metrics"])
    if trained.get("tuning_trials") != 2:  # the epochs of a search are the best trial's
        assert trained["epochs"] == EPOCHS.get(name, 2)
    assert told["evaluation"]["verdict"] == document.verdict
    matrix, curve = confusion_matrix(told["classification"]), roc_curve(told["classification"])
    if document.task == "classification":
        assert matrix is not None
        assert matrix.labels == list(document.labels)
        assert sum(map(sum, matrix.rows)) == document.rows
        assert (curve is not None) == (len(document.labels) == 2)
    else:
        assert matrix is curve is None

    for page in PAGES:
        path = Path(artifacts[page]["uri"])
        assert path.is_file(), "the page reads one file, and shows it alone in a frame without an origin"
        text = path.read_text(encoding="utf-8")
        assert text.lstrip().lower().startswith("<!doctype html>")
        assert "localStorage" not in text
    assert told["registration"]["version"] == 1
    assert told["package"]["model_digest"] == told["model"]["digest"] == document.model_digest
