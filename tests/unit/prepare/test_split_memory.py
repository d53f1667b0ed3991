"""A row that once was a test row trains no later revision, however the data grow and whatever the split is."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from runwright_components.contract.artifacts import QUALITY, PreparedManifest
from runwright_components.contract.config import SPLITS, PrepareConfig, SplitRules
from runwright_components.contract.outcome import StageError
from runwright_components.features import load_split
from runwright_components.prepare import left_for_the_next
from runwright_components.prepare.labelled import select
from runwright_components.prepare.memory import FILE, Memory, Recall
from runwright_components.prepare.quality import KeptSplits, Quality
from runwright_components.prepare.split import UNKNOWN, assign

PrepareTable = Callable[..., tuple[Path, PreparedManifest]]
SPLITTINGS: list[dict[str, Any]] = [
    {"strategy": "random"},
    {"strategy": "stratified"},
    {"strategy": "group", "by": "who"},
    {"strategy": "hash"},
]


def table(rows: int, seed: int = 0) -> pl.DataFrame:
    random = np.random.default_rng(seed)
    return pl.DataFrame(
        {
            "x": random.normal(size=rows),
            "who": [f"P{i}" for i in random.integers(0, rows // 4, rows)],
            "number": random.permutation(rows) + 2**53,
            "color": [["Red", "blue"][i] for i in random.integers(0, 2, rows)],
            "y": [["no", "yes"][i] for i in random.integers(0, 2, rows)],
        }
    )


def split_of(folder: Path) -> dict[int, str]:
    return {row: name for name in SPLITS for row in load_split(folder, name).row_id.tolist()}


def told(folder: Path) -> KeptSplits:
    kept = Quality.read(folder, QUALITY).kept
    assert kept is not None
    return kept


@pytest.mark.parametrize("split", SPLITTINGS, ids=lambda split: split["strategy"])
def test_rows_keep_their_split_when_the_data_grow(prepare_table: PrepareTable, split: dict[str, Any]) -> None:
    whole = table(300)
    first, _ = prepare_table(whole.head(200), "first", split=split)
    # Later: more rows in another order and from another kind of file, labels mended, a column more, another seed.
    order = np.random.default_rng(1).permutation(300)
    later = whole.with_columns(
        x=pl.col("x").cast(pl.String),
        color=pl.format(" {} ", pl.col("color").str.to_uppercase()),
        y=pl.when(pl.int_range(pl.len()) % 7 == 0).then(pl.lit("no")).otherwise("y"),
        more=pl.int_range(pl.len()) % 5,
    )[order.tolist()]
    second, manifest = prepare_table(later, "later", former=first, split={**split, "seed": 1})
    then, now = split_of(first), split_of(second)
    assert {row: now[place] for place, row in enumerate(order.tolist()) if row in then} == then
    assert (told(first).known, told(second).known >= 200, told(second).unrecognizable) == (0, True, 0)
    assert told(second).known + told(second).new == 300
    assert 0.6 < manifest.rows["train"] / 300 < 0.8


def test_a_test_row_that_was_away_for_a_revision_is_one_again(prepare_table: PrepareTable) -> None:
    whole = table(200)
    first, _ = prepare_table(whole, "first")
    away = {row for row, name in split_of(first).items() if name == "test"}
    half = {*sorted(away)[::2]}
    second, _ = prepare_table(whole[[row for row in range(200) if row not in half]], "second", former=first)
    third, _ = prepare_table(whole, "third", former=second)
    assert away <= {row for row, name in split_of(third).items() if name == "test"}


def test_a_group_of_a_former_test_row_is_in_the_test(prepare_table: PrepareTable) -> None:
    whole = table(200)
    first, _ = prepare_table(whole, "first")  # by rows
    second, _ = prepare_table(whole, "second", former=first, split={"strategy": "group", "by": "who"})
    then, now = split_of(first), split_of(second)
    assert {row for row, name in then.items() if name == "test"} <= {r for r, name in now.items() if name == "test"}
    assert told(second).columns == ("who",)


def test_rows_that_nothing_tells_apart_are_not_remembered(prepare_table: PrepareTable) -> None:
    frame = table(200).select("color", "y")
    first, _ = prepare_table(frame, "first", duplicates="keep")
    assert told(first).unrecognizable == 200
    second, _ = prepare_table(frame, "second", former=first, duplicates="keep")
    assert split_of(second) == split_of(first)  # dealt as the first time


def test_who_remembers_nothing_keeps_nothing(prepare_table: PrepareTable) -> None:
    frame = table(200)
    for name, split in (("own", {"remember": False}), ("time", {"strategy": "time", "by": "number"})):
        folder, _ = prepare_table(frame, name, split=split)
        assert FILE not in left_for_the_next(folder)
        assert Quality.read(folder, QUALITY).kept is None


def test_it_is_told_when_no_row_is_recognized(prepare_table: PrepareTable) -> None:
    first, _ = prepare_table(table(200), "first")
    for name, other in (("changed", table(200, seed=1)), ("gone", table(200).drop("x"))):
        folder, _ = prepare_table(other, name, former=first)
        quality = Quality.read(folder, QUALITY)
        assert quality.kept is not None
        assert quality.kept.lost
        assert any("its test rows may train this time" in warning for warning in quality.warnings)
    assert set(left_for_the_next(first)) == {FILE, QUALITY}


def test_a_memory_is_read_as_it_was_written(tmp_path: Path) -> None:
    digests = np.random.default_rng(0).integers(0, 2**64, 1000, dtype=np.uint64)
    codes = np.tile(np.array([0, 0, 1, 2], dtype=np.uint8), 250)
    recall = Recall.of(None, lambda _names: digests, columns=["b", "a", "y"], target="y", by=None)
    memory, _ = recall.record(codes)
    assert memory.columns == ("a", "b")
    memory.write(tmp_path)
    again = Memory.read(tmp_path)
    assert again is not None
    assert (again.codes(digests) == codes).all()
    assert (again.codes(digests + np.uint64(4)) == UNKNOWN).all()
    assert (tmp_path / FILE).stat().st_size < 8 * 1000
    (tmp_path / FILE).write_bytes(b"of another version")
    assert Memory.read(tmp_path) is None
    assert Memory.read(None) is None


def test_a_former_test_that_is_larger_than_its_share_takes_no_new_rows() -> None:
    known = np.full(100, UNKNOWN, dtype=np.uint8)
    known[:40] = 2
    codes = assign(100, SplitRules(), None, known)
    assert np.bincount(codes, minlength=3).tolist() == [49, 11, 40]


def test_known_rows_that_leave_a_split_empty_are_told_with_the_cure() -> None:
    with pytest.raises(StageError, match="remember: false"):
        assign(10, SplitRules(), None, np.array([0] * 9 + [1], dtype=np.uint8))


def test_texts_keep_their_split() -> None:
    texts = [f"text number {number}" for number in range(120)]
    frame = pl.DataFrame(
        {
            "row_id": pl.Series(range(120), dtype=pl.UInt32),
            "content": texts,
            "target": ["a" if number % 2 else "b" for number in range(120)],
            "by": [f"p{number % 30}" for number in range(120)],
        }
    )
    for strategy, by, columns in (("random", None, ("text",)), ("group", "by", ("by",))):
        split = SplitRules.model_validate({"strategy": strategy, "by": by})
        config = PrepareConfig(modality="text", task="classification", target="label", split=split)
        rows = frame if by else frame.drop("by")
        first = select(rows.head(80), config, "text")
        reseeded = config.model_copy(update={"split": split.model_copy(update={"seed": 3})})
        later = select(rows.reverse(), reseeded, "text", first.memory)
        assert later.kept is not None
        assert later.kept.columns == columns
        for name in SPLITS:
            assert set(first.of(name)["row_id"]) <= set(later.of(name)["row_id"])
