"""TrainingRuns to start from, and changes by path."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest

Content = dict[str, Any]

SMALLEST = """\
apiVersion: runwright.dev/v1alpha1
kind: TrainingRun
metadata:
  name: penguins
spec:
  data:
    sources:
      - path: data/penguins.csv
  prepare:
    target: species
  train:
    task: tabular-classification
"""


def _smallest() -> Content:
    return {
        "apiVersion": "runwright.dev/v1alpha1",
        "kind": "TrainingRun",
        "metadata": {"name": "penguins"},
        "spec": {
            "data": {"sources": [{"path": "data/penguins.csv"}]},
            "prepare": {"target": "species"},
            "train": {"task": "tabular-classification"},
        },
    }


@pytest.fixture
def smallest_yaml() -> str:
    return SMALLEST


@pytest.fixture
def make() -> Callable[..., Content]:
    """`make({"spec.train.epochs": 3})`: the smallest run with these changes; None removes the field."""

    def build(changes: dict[str, Any] | None = None) -> Content:
        run = _smallest()
        for path, value in (changes or {}).items():
            *parents, last = path.split(".")
            part: Any = run
            for parent in parents:
                part = part[int(parent)] if parent.isdigit() else part.setdefault(parent, {})
            if value is None:
                part.pop(last, None)
            elif isinstance(part, list):
                part[int(last)] = copy.deepcopy(value)
            else:
                part[last] = copy.deepcopy(value)
        return run

    return build
