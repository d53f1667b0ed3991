"""Misspelled categories merged with the right ones, and rows that are unlike the rest left out of training."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from sklearn.ensemble import IsolationForest

from runwright_components.contract.artifacts import QUALITY, RAW_TEST, PreparedManifest
from runwright_components.features import Preprocessing, load_split
from runwright_components.features.tabular import TabularPreprocessing
from runwright_components.prepare.quality import Quality
from runwright_components.prepare.typos import corrections, distance

PrepareTable = Callable[..., tuple[Path, PreparedManifest]]


@pytest.mark.parametrize(
    ("one", "other", "letters"),
    [
        ("chicago", "chicago", 0),
        ("chcago", "chicago", 1),
        ("hcicago", "chicago", 1),
        ("", "abc", 3),
        ("kitten", "sitting", 3),
    ],
)
def test_distance_counts_letters(one: str, other: str, letters: int) -> None:
    assert distance(one, other) == distance(other, one) == letters


def test_only_rare_and_near_categories_are_merged() -> None:
    rows = {
        "chicago": 400, "boston": 300, "philadelphia": 200, "north": 90, "zone 12": 90, "increase": 300,
        "chcago": 2, "bostno": 1, "phladelhpia": 1,  # a letter, a swap, two of twelve
        "south": 3, "zone 13": 2, "decrease": 4,  # other words
        "bosston": 40,  # not rare
        "nort": 1, "bos": 1,
    }  # fmt: skip
    assert corrections(rows) == {
        "chcago": "chicago",
        "bostno": "boston",
        "phladelhpia": "philadelphia",
        "nort": "north",
    }


def test_what_is_as_near_to_two_categories_is_left_alone() -> None:
    assert corrections({"stone": 100, "store": 100, "stoe": 1}) == {}
    assert corrections({"stone": 100, "stoe": 1}) == {"stoe": "stone"}


def test_misspelled_categories_are_merged_in_batch_and_online(prepare_table: PrepareTable) -> None:
    rows = 300
    cities = np.array(["Chicago", "Boston"], dtype=object)[np.arange(rows) % 2]
    cities[[5, 100, 200, 250]] = "Chcago"
    cities[[7, 77]] = "BOSTNO"
    frame = pl.DataFrame({"city": cities.tolist(), "x": np.arange(rows) * 0.5, "y": ["n", "p", "p"] * 100})
    folder, _ = prepare_table(frame, categorical={"typos": "merge"})
    preprocessing = Preprocessing.load(folder / "preprocessing")
    assert isinstance(preprocessing, TabularPreprocessing)
    assert preprocessing.state.categorical[0].keys == ("boston", "chicago")
    test = load_split(folder, "test")
    raw = pl.read_parquet(folder / RAW_TEST)
    np.testing.assert_array_equal(preprocessing.transform(raw)["categorical"], test.inputs["categorical"])
    asked = pl.DataFrame({"city": ["chcago", "Chicago", "Denver"], "x": [1.0, 1.0, 1.0]})
    assert preprocessing.transform(asked)["categorical"].ravel().tolist() == [2, 2, 0]
    (found,) = Quality.read(folder, QUALITY).findings
    assert "'chcago' is 'chicago'" in found.text
    folder, _ = prepare_table(frame, "kept")
    assert "chcago" in TabularPreprocessing.read(folder / "preprocessing").state.categorical[0].keys


def test_isolated_rows_are_left_out_of_training_alone(prepare_table: PrepareTable) -> None:
    random = np.random.default_rng(0)
    values = random.normal(size=(400, 3))
    odd = np.arange(0, 400, 40)
    values[odd] = random.choice([-6.0, 6.0], (len(odd), 3)) + random.normal(size=(len(odd), 3))
    frame = pl.DataFrame(values, schema=["a", "b", "c"]).with_columns(y=pl.Series(["n", "p"] * 200))
    folder, manifest = prepare_table(frame, outliers={"rule": "isolation", "action": "drop", "share": 0.025})
    (dropped,) = Quality.read(folder, QUALITY).dropped
    assert dropped.reason == "isolated in several columns at once, in the training split"
    assert dropped.rows == 7 == 280 - manifest.rows["train"]
    assert manifest.rows["validation"] == manifest.rows["test"] == 60
    left = set(range(400)) - {
        int(row) for name in ("train", "validation", "test") for row in load_split(folder, name).row_id
    }
    plain, _ = prepare_table(frame, "plain")
    rows = np.sort(load_split(plain, "train").row_id)
    forest = IsolationForest(max_samples=256, random_state=0).fit(values[rows])
    assert left == set(rows[np.argsort(forest.score_samples(values[rows]))[:7]].tolist())
