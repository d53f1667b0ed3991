"""How Kubeflow Pipelines 2.17 stores the metadata of an artifact, and what its page makes of it.

The launcher reads executor_output.json strictly and knows no null; the page checks the shapes of figures before it
draws them, and shows a red banner in their place if they are others. A value that neither takes raises AssertionError.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any, NamedTuple

Metadata = Mapping[str, Any]

LARGEST = 4 * 2**20
"""Bytes of a message that the launcher may send: the limit of gRPC."""
GIVEN = {"display_name"}
"""Keys that Kubeflow itself writes."""


class Point(NamedTuple):
    """Of a ROC curve."""

    threshold: float
    false_positives: float
    recall: float


class Matrix(NamedTuple):
    """`rows` are the truth, columns the prediction."""

    labels: list[str]
    rows: list[list[float]]


def stored(metadata: Metadata) -> dict[str, Any]:
    """What is stored of it: through JSON, with nothing in it that the launcher refuses."""
    text = json.dumps(metadata, allow_nan=False)
    assert len(text) < LARGEST, f"{len(text)} bytes of metadata"
    assert not GIVEN & set(metadata)
    found: dict[str, Any] = json.loads(text)
    for name, value in found.items():
        assert value is not None, f"{name} is null"
    return found


def scalars(metadata: Metadata) -> dict[str, float]:
    """The table of a Metrics artifact; anything but a number would be shown as JSON."""
    found = stored(metadata)
    for name, value in found.items():
        assert _is_number(value), f"{name}: {value!r}"
    return found


def confusion_matrix(metadata: Metadata) -> Matrix | None:
    """The figure of a ClassificationMetrics artifact; None where there is none."""
    drawn = stored(metadata).get("confusionMatrix")
    if drawn is None:
        return None
    labels = [spec["displayName"] for spec in drawn["annotationSpecs"]]
    rows = [row["row"] for row in drawn["rows"]]
    assert all(isinstance(label, str) for label in labels)
    assert len(rows) == len(labels)
    assert all(len(row) == len(labels) and all(map(_is_number, row)) for row in rows)
    return Matrix(labels, rows)


def roc_curve(metadata: Metadata) -> list[Point] | None:
    """The figure of a ClassificationMetrics artifact; None where there is none."""
    drawn = stored(metadata).get("confidenceMetrics")
    if drawn is None:
        return None
    names = ("confidenceThreshold", "falsePositiveRate", "recall")
    points = [Point(*(point[name] for name in names)) for point in drawn]
    assert all(_is_number(value) for point in points for value in point)
    return points


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
