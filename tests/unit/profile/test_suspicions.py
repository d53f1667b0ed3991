"""What is odd about values, spellings and columns."""

import numpy as np
import polars as pl
import pytest

from runwright_components.prepare.quality import Relation
from runwright_components.profile.suspicions import copies, foretold, leaks, near_spellings, outside, sentinels, uneven

RANDOM = np.random.default_rng(0)


@pytest.mark.parametrize(
    ("odd", "expected"),
    [
        ([-999.0] * 4, [(-999.0, 4)]),
        ([-999.0] * 4 + [9999.0] * 3, [(-999.0, 4), (9999.0, 3)]),
        ([-999.0], []),  # once may be a slip
        ([-1.0] * 9, []),  # as near as the others are to each other
        ([1234.0] * 9, []),  # an outlier, no sign
    ],
)
def test_numbers_that_stand_for_missing(odd: list[float], expected: list[tuple[float, int]]) -> None:
    values = np.concatenate([RANDOM.uniform(0, 100, 500), odd, [np.nan]])
    assert sorted(sentinels(values)) == expected


def test_far_values_are_counted_without_the_sentinels() -> None:
    values = np.concatenate([RANDOM.normal(size=500), [50.0, -60.0], [-999.0] * 5])
    assert outside(values, [-999.0])[0] == 2
    assert outside(np.zeros(500))[0] == 0


@pytest.mark.parametrize(
    ("rare", "found"),
    [("Birscoe", True), ("Bisco", True), ("Bicsoe", True), ("Bisxoe", True), ("Biscuit", False), ("Dream", False)],
)
def test_rare_words_a_letter_away_are_told(rare: str, found: bool) -> None:
    table = pl.DataFrame({"label": ["Biscoe", rare], "rows": [100, 2]})
    assert near_spellings(table) == ([(rare, "Biscoe", 2)] if found else [])


def test_codes_and_frequent_words_are_no_typos() -> None:
    for labels, rows in ((["AB12", "AB13"], [100, 1]), (["hard", "herd"], [100, 90])):
        assert near_spellings(pl.DataFrame({"label": labels, "rows": rows})) == []


def test_what_tells_the_target_is_found_for_numbers_and_classes() -> None:
    celsius = RANDOM.normal(10, 8, 4000)
    noise = RANDOM.normal(size=4000)
    classes = (celsius > 10).astype(np.int64)
    assert foretold(celsius * 1.8 + 32, celsius) > 0.99
    assert foretold(noise, celsius) < 0.05
    assert foretold(celsius, classes) > 0.98
    assert foretold(noise, classes) < 0.2
    assert foretold(classes, classes) == 1.0
    assert foretold(np.arange(4000), classes) == 0.0  # every row is a category of its own
    assert leaks({"y": classes, "copy": 1 - classes, "noise": noise}, "y") == {"copy": 1.0}


def test_copies_are_told_but_for_the_target() -> None:
    related = [
        Relation(left="y", right="a", measure="spearman", strength=1.0),
        Relation(left="a", right="b", measure="spearman", strength=-0.9995),
        Relation(left="a", right="c", measure="spearman", strength=0.98),
    ]
    assert [(each.column, "'a'" in each.note) for each in copies(related, "y")] == [("b", True)]


def test_uneven_classes() -> None:
    assert uneven({"no": 500, "yes": 20}) == "500 rows are 'no', 20 are 'yes'"
    assert uneven({"no": 500, "yes": 50}) == ""
