"""TrainingRuns to compile and lower."""

from collections.abc import Callable
from typing import Any

import pytest

from runwright_api.loading import load_object
from runwright_api.trainingrun import TrainingRun

MakeRun = Callable[..., TrainingRun]


@pytest.fixture
def make_run() -> MakeRun:
    """`make_run(train={...}, ...)`: a tabular classification, with parts of its spec replaced."""

    def make(**parts: Any) -> TrainingRun:
        spec: dict[str, Any] = {
            "data": {"sources": [{"path": "data.csv"}]},
            "prepare": {"target": "species"},
            "train": {"task": "tabular-classification"},
            **parts,
        }
        return load_object(
            {"apiVersion": "runwright.dev/v1alpha1", "kind": "TrainingRun", "metadata": {"name": "demo"}, "spec": spec}
        )

    return make
