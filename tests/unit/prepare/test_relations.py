"""Relations between columns, and columns that are missing together."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from scipy import stats

from runwright_components.contract.artifacts import QUALITY, PreparedManifest
from runwright_components.prepare.quality import MissingPattern, Quality, Relation
from runwright_components.prepare.relations import missing_patterns, relations


def strength(left: np.ndarray, right: np.ndarray) -> Relation:
    [found] = relations({"left": left, "right": right})
    return found


def test_numbers_are_related_by_their_ranks() -> None:
    random = np.random.default_rng(0)
    left = random.normal(size=300)
    right = np.exp(left) + random.normal(size=300)
    found = strength(left, right)
    assert found.measure == "spearman"
    assert found.strength == pytest.approx(stats.spearmanr(left, right).statistic)


def test_categories_are_related_by_cramers_v_without_its_bias() -> None:
    random = np.random.default_rng(1)
    left, right = random.integers(4, size=(2, 500))
    table = stats.contingency.crosstab(left, right).count
    plain = stats.contingency.association(table, method="cramer", correction=False)
    assert strength(left, right).strength < plain
    assert strength(left, left).strength == pytest.approx(1.0)


def test_categories_and_numbers_are_related_by_eta() -> None:
    codes = np.repeat([0, 1, 2], 20)
    values = codes * 10.0 + np.tile([0.0, 1.0], 30)
    found = strength(values, codes)
    assert found.measure == "eta"
    assert 0.9 < found.strength < 1


def test_what_has_one_value_or_few_rows_is_related_to_nothing() -> None:
    varied = np.arange(30.0)
    assert relations({"left": varied, "right": np.zeros(30)}) == ()
    assert relations({"left": varied, "right": np.where(varied < 25, np.nan, varied)}) == ()


def test_columns_that_are_missing_together() -> None:
    gaps = {
        "a": np.array([np.nan, np.nan, 1.0, 1.0]),
        "b": np.array([-1, -1, -1, 0]),
        "c": np.array([1.0, 2.0, 3.0, 4.0]),
    }
    assert missing_patterns(gaps) == (
        MissingPattern(columns=("a", "b"), share=0.5),
        MissingPattern(columns=("b",), share=0.25),
    )
    assert missing_patterns({"c": gaps["c"]}) == ()


def test_the_quality_of_a_table_tells_both(prepare_table: Callable[..., tuple[Path, PreparedManifest]]) -> None:
    frame = pl.DataFrame(
        {
            "a": [None if i % 7 == 0 else i for i in range(70)],
            "b": ["?" if i % 7 == 0 else str(2 * i) for i in range(70)],
            "y": ["u", "v"] * 35,
        }
    )
    folder, _ = prepare_table(frame)
    quality = Quality.read(folder, QUALITY)
    assert quality.missing_together == (MissingPattern(columns=("a", "b"), share=1 / 7),)
    by_pair = {(each.left, each.right): each for each in quality.relations}
    assert by_pair["a", "b"].strength == pytest.approx(1.0)
    assert set(by_pair) == {("y", "a"), ("y", "b"), ("a", "b")}
