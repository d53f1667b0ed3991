"""Drift against the former revision: columns that came, went or changed, and how far values moved."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from runwright_components.cache import ResultCache
from runwright_components.contract.artifacts import PreparedManifest
from runwright_components.prepare.describe import categories, numbers
from runwright_components.prepare.drift import SHIFTED, drift_since, sentences, stability
from runwright_components.prepare.quality import Summary
from runwright_components.report import quality_page

RANDOM = np.random.default_rng(0)


def of_words(**rows: int) -> Summary:
    return categories(pl.DataFrame({"value": list(rows), "rows": list(rows.values())}), 0)


@pytest.mark.parametrize(
    ("before", "after", "shifted"),
    [
        (RANDOM.normal(size=3000), RANDOM.normal(size=3000), False),
        (RANDOM.normal(size=3000), RANDOM.normal(1, 1, 3000), True),
        (RANDOM.integers(0, 4, 3000) * 1.0, RANDOM.integers(0, 4, 2000) * 1.0, False),
        (RANDOM.integers(0, 4, 3000) * 1.0, RANDOM.integers(2, 6, 3000) * 1.0, True),
        (np.ones(500), np.where(np.arange(500) % 2, np.nan, 1.0), True),
    ],
)
def test_numbers_that_move_or_go_missing_have_a_large_index(
    before: np.ndarray, after: np.ndarray, shifted: bool
) -> None:
    index = stability(numbers(before), numbers(after))
    assert index is not None
    assert (index >= SHIFTED) is shifted
    assert stability(numbers(before), numbers(before)) == pytest.approx(0.0)


def test_the_index_of_categories_is_that_of_the_formula() -> None:
    index = stability(of_words(a=500, b=500), of_words(a=800, b=200))
    assert index == pytest.approx(0.3 * np.log(1.6) - 0.3 * np.log(0.4))
    assert stability(of_words(a=40), of_words(a=40)) is None  # too few rows to tell


def test_the_page_and_the_warnings_tell_what_changed(
    prepare_table: Callable[..., tuple[Path, PreparedManifest]], tmp_path: Path
) -> None:
    rows = range(200)
    table = pl.DataFrame({"a": [i * 7 % 50 for i in rows], "b": ["u", "v"] * 100, "y": ["p", "q"] * 100})
    former, _ = prepare_table(table, "former")
    later, _ = prepare_table(
        table.select(pl.col("a") + 40, b=pl.int_range(200) * 3 % 19, c="b", y="y"), "later", duplicates="keep"
    )
    told = list(sentences(drift_since(former, later)))
    assert [words.split(": ")[0].removeprefix("since the former revision, column ") for words in told] == [
        "'c' is new", "'b' is retyped", "'a' is shifted",
    ]  # fmt: skip
    assert "categorical became numeric" in told[1]
    assert "Since the former revision" in quality_page(later, drift_since(former, later))
    assert "Since the former revision" not in quality_page(later)
    assert drift_since(None, later) == drift_since(tmp_path, later) == ()


def test_the_former_revision_is_the_result_used_last(tmp_path: Path) -> None:
    cache = ResultCache(tmp_path / "cache")
    assert cache.newest("prepare", "data") is None
    for key in ("one", "two"):
        source = tmp_path / key
        source.mkdir()
        cache.put("prepare", key, {"data": source})
    assert cache.newest("prepare", "data") == tmp_path / "cache/prepare/two/data"
    assert cache.take("prepare", "one", {"data": tmp_path / "out"})
    assert cache.newest("prepare", "data") == tmp_path / "cache/prepare/one/data"
