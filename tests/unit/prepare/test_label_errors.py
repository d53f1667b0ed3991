"""Labels that seem wrong, found among labels that were turned round on purpose."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from sklearn.datasets import load_wine

from runwright_components.contract.artifacts import QUALITY, PreparedManifest
from runwright_components.features import load_split
from runwright_components.prepare.label_errors import suspicious
from runwright_components.prepare.quality import Quality

PrepareTable = Callable[..., tuple[Path, PreparedManifest]]


def test_a_row_counts_for_the_class_whose_threshold_it_reaches() -> None:
    # Thresholds: the mean of class 0's own probabilities is 0.6, of class 1's 0.7.
    probabilities = np.array([[0.9, 0.1], [0.7, 0.3], [0.2, 0.8], [0.1, 0.9], [0.35, 0.65], [0.45, 0.55]])
    given = np.array([0, 0, 0, 1, 1, 1])
    assert suspicious(probabilities, given).tolist() == [2]


def wine(wrong: int) -> tuple[pl.DataFrame, set[int]]:
    """The wines, of which so many have another's label."""
    data = load_wine()
    random = np.random.default_rng(0)
    turned = random.choice(len(data.target), wrong, replace=False)
    labels = data.target.copy()
    labels[turned] = (labels[turned] + random.integers(1, 3, wrong)) % 3
    frame = pl.DataFrame(data.data, schema=list(data.feature_names)).with_columns(
        y=pl.Series([f"k{i}" for i in labels])
    )
    return frame, set(turned.tolist())


def test_wrong_labels_of_a_real_table_are_found(prepare_table: PrepareTable) -> None:
    frame, turned = wine(15)
    folder, _ = prepare_table(frame, label_errors="warn")
    wrong = turned & set(load_split(folder, "train").row_id.tolist())
    (found,) = Quality.read(folder, QUALITY).findings
    assert found.kind == "label"
    assert 0.8 * len(wrong) <= found.rows <= 1.5 * len(wrong)
    assert len(turned.intersection(found.samples)) >= 4
    assert found.score == pytest.approx(found.rows / 124, abs=0.01)
    assert f"row {found.samples[0]} is 'k" in found.text


def test_nothing_is_told_unless_asked_for(prepare_table: PrepareTable) -> None:
    folder, _ = prepare_table(wine(15)[0])
    assert not Quality.read(folder, QUALITY).findings


def test_classes_with_fewer_rows_than_folds_are_not_judged(prepare_table: PrepareTable) -> None:
    frame = wine(0)[0].with_row_index("n").filter((pl.col("y") != "k0") | (pl.col("n") < 5)).drop("n")
    folder, _ = prepare_table(frame, label_errors="warn")
    assert not Quality.read(folder, QUALITY).findings
