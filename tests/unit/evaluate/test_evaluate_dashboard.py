"""What the dashboard of Kubeflow Pipelines shows of an evaluation: shapes that it takes, and the right numbers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from kfp import dsl

from runwright_components.contract.evaluation import PREDICTIONS, Evaluation
from runwright_components.contract.progress import silent
from runwright_components.evaluate import evaluate
from runwright_components.steps import metadata
from tests.doubles.dashboard import confusion_matrix, roc_curve, scalars, stored


def judged(case, out: Path, *weights: float) -> Evaluation:
    model = case.model([weights]) if weights else case.model()
    return evaluate(case.config(), model=model, prepared=case.prepared, out=out, progress=silent())


def test_the_confusion_matrix_counts_truth_by_row(classify, tmp_path: Path) -> None:
    found = judged(classify, tmp_path / "out", -0.3, 0.3)
    drawn = confusion_matrix(metadata.classification(found))
    assert drawn is not None
    assert drawn.labels == list(found.labels)
    table = pl.read_parquet(tmp_path / "out" / PREDICTIONS)
    names = list(found.labels)
    for row, truth in enumerate(names):
        for column, prediction in enumerate(names):
            pairs = zip(_labels(table["truth"], names), _labels(table["prediction"], names), strict=True)
            assert drawn.rows[row][column] == sum(pair == (truth, prediction) for pair in pairs)


def _labels(column: pl.Series, names: list[str]) -> list[str]:
    """Predictions are kept as labels, or as their numbers."""
    return [names[value] if isinstance(value, int) else str(value) for value in column.to_list()]


def test_the_roc_curve_of_two_classes_runs_from_corner_to_corner(classify, tmp_path: Path) -> None:
    found = judged(classify, tmp_path / "out", -0.3, 0.3)
    assert len(found.labels) == 2
    drawn = roc_curve(metadata.classification(found))
    assert drawn is not None
    x, y = [point.false_positives for point in drawn], [point.recall for point in drawn]
    assert (x[0], y[0]) == (0, 0)
    assert (x[-1], y[-1]) == (1, 1)
    assert x == sorted(x)
    assert np.trapezoid(y, x) == pytest.approx(found.metrics["rocAuc"], abs=1e-4)
    assert all(0 <= point.threshold <= 1 for point in drawn)
    assert [point.threshold for point in drawn] == sorted((point.threshold for point in drawn), reverse=True)


def test_kfps_own_way_of_logging_gives_the_same(classify, tmp_path: Path) -> None:
    found = judged(classify, tmp_path / "out")
    theirs = dsl.ClassificationMetrics()
    theirs.log_confusion_matrix(list(found.labels), [list(row) for row in found.confusion])
    curve = found.roc[-1]
    theirs.log_roc_curve(list(curve.fpr), list(curve.tpr), [min(one, 1.0) for one in curve.thresholds])
    assert stored(metadata.classification(found)) == stored(theirs.metadata)


def test_a_regression_has_numbers_and_no_empty_figures(regress, tmp_path: Path) -> None:
    found = judged(regress, tmp_path / "out")
    assert metadata.classification(found) == {}
    shown = scalars(metadata.metrics(found))
    assert shown["r2"] == found.metrics["r2"]
    assert {"rmse", "mae", "latencyP50Ms", "latencyP99Ms", "rowsPerSecond"} <= set(shown)


def test_the_numbers_of_a_classification(classify, tmp_path: Path) -> None:
    found = judged(classify, tmp_path / "out")
    shown = scalars(metadata.metrics(found))
    assert found.metrics.items() <= shown.items()
    assert stored(metadata.evaluation(found))["verdict"] == "passed"


def test_labels_may_hold_anything(classify, tmp_path: Path) -> None:
    found = judged(classify, tmp_path / "out")
    strange = found.model_copy(update={"labels": ('"{{$}}"', "ß中\u202e")})
    drawn = confusion_matrix(metadata.classification(strange))
    assert drawn is not None
    assert drawn.labels == ['"{{$}}"', "ß中\u202e"]
