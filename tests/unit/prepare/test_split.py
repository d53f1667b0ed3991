"""Splits: sizes, determinism, strata, groups, time."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runwright_components.contract.config import SplitRules
from runwright_components.contract.outcome import StageError
from runwright_components.prepare.split import assign

RULES = SplitRules(strategy="stratified", by="x", seed=3)


@given(st.integers(3, 500), st.integers(0, 2**32))
def test_random_sizes_are_exact_and_the_seed_decides(rows: int, seed: int) -> None:
    rules = SplitRules(seed=seed)
    codes = assign(rows, rules)
    sizes = np.bincount(codes, minlength=3)
    assert sizes.min() >= 1
    assert abs(sizes - rows * np.array([0.7, 0.15, 0.15])).max() <= 1.5
    np.testing.assert_array_equal(codes, assign(rows, rules))


@given(st.lists(st.sampled_from("aabc"), min_size=60, max_size=200))
def test_strata_keep_their_shares(labels: list[str]) -> None:
    codes = assign(len(labels), RULES, pl.Series(labels))
    for label in set(labels):
        counts = np.bincount(codes[np.array(labels) == label], minlength=3)
        rows = labels.count(label)
        assert abs(counts - rows * np.array([0.7, 0.15, 0.15])).max() <= 2
        assert rows < 3 or counts.min() >= 1


@given(st.lists(st.integers(0, 12), min_size=80, max_size=200))
def test_groups_stay_whole(groups: list[int]) -> None:
    series = pl.Series(groups)
    if series.n_unique() < 3:
        return
    codes = assign(len(groups), SplitRules(strategy="group", by="g"), series)
    for group in set(groups):
        assert len(set(codes[np.array(groups) == group])) == 1


def test_groups_come_near_their_shares() -> None:
    groups = np.random.default_rng(0).integers(0, 300, 10_000)
    codes = assign(10_000, SplitRules(strategy="group", by="g"), pl.Series(groups))
    np.testing.assert_allclose(np.bincount(codes) / 10_000, [0.7, 0.15, 0.15], atol=0.01)


def test_time_is_not_torn_within_a_moment() -> None:
    times = pl.Series([i // 10 for i in range(100)]).shuffle(seed=1)
    codes = assign(100, SplitRules(strategy="time", by="t"), times)
    latest = [times.filter(pl.Series(codes == code)).max() for code in range(3)]
    earliest = [times.filter(pl.Series(codes == code)).min() for code in range(3)]
    assert latest[0] < earliest[1] <= latest[1] < earliest[2]  # type: ignore[operator]


def test_missing_groups_are_one_group_and_missing_times_the_earliest() -> None:
    groups = pl.Series([None, 1, 2, 3] * 10)
    codes = assign(40, SplitRules(strategy="group", by="g"), groups)
    assert len(set(codes[::4])) == 1
    times = pl.Series([5, None, 3, 9, 7, 8, 1, 2, 4, 6])
    assert assign(10, SplitRules(strategy="time", by="t", train=0.6, validation=0.2, test=0.2), times)[1] == 0


@pytest.mark.parametrize("rows", [0, 1, 2])
def test_too_few_rows(rows: int) -> None:
    with pytest.raises(StageError, match="would be empty"):
        assign(rows, SplitRules())
