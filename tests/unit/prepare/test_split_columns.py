"""Splits that a column names, and splits that a row's own digest decides."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from runwright_components.contract.artifacts import RAW_TEST, PreparedManifest
from runwright_components.contract.config import SPLITS, PrepareConfig, SplitRules
from runwright_components.contract.outcome import StageError
from runwright_components.features import load_split
from runwright_components.prepare.labelled import select
from runwright_components.prepare.split import assign
from runwright_components.prepare.split_columns import content, digest, named_splits

PrepareTable = Callable[..., tuple[Path, PreparedManifest]]
HASH = {"strategy": "hash"}


def table(rows: int) -> pl.DataFrame:
    random = np.random.default_rng(0)
    x = random.normal(size=rows)
    return pl.DataFrame(
        {
            "x": x,
            "who": [f"P{i}" for i in random.integers(0, rows // 4, rows)],
            "color": [["Red", "blue"][i] for i in random.integers(0, 2, rows)],
            "y": [["no", "yes"][i] for i in random.integers(0, 2, rows)],
        }
    )


def split_of(folder: Path) -> dict[int, str]:
    return {row: name for name in SPLITS for row in load_split(folder, name).row_id.tolist()}


def digests(frame: pl.DataFrame, seed: int = 0) -> list[int]:
    return frame.select(digest(content(frame.schema, frame.columns), seed).alias("digest")).to_series().to_list()


@pytest.mark.parametrize("split", [HASH, {**HASH, "by": "who"}], ids=["row", "by"])
def test_a_row_stays_in_its_split_when_the_data_grow(prepare_table: PrepareTable, split: dict[str, Any]) -> None:
    whole = table(400)
    first, _ = prepare_table(whole.head(200), "first", split=split)
    # Later: more rows, in another order, and labels that were mended.
    order = np.random.default_rng(1).permutation(400)
    mended = whole.with_columns(y=pl.when(pl.int_range(pl.len()) % 7 == 0).then(pl.lit("no")).otherwise("y"))
    later, manifest = prepare_table(mended[order.tolist()], "later", split=split)
    then, now = split_of(first), split_of(later)
    assert {row: now[place] for place, row in enumerate(order.tolist()) if row in then} == then
    assert 0.5 < manifest.rows["train"] / 400 < 0.85


def test_rows_of_one_identifier_stay_together_and_it_is_no_input(prepare_table: PrepareTable) -> None:
    frame = table(400)
    folder, manifest = prepare_table(frame, split={**HASH, "by": "who"})
    placed = split_of(folder)
    found = frame.with_columns(split=pl.Series([placed[row] for row in range(400)]))
    assert found.group_by("who").agg(pl.col("split").n_unique())["split"].max() == 1
    assert "who" in manifest.signature.ignored


def test_a_digest_depends_on_the_row_and_the_key_alone() -> None:
    frame = pl.DataFrame({"b": ["Red ", None], "a": [1.0, 2.5]})
    same = pl.DataFrame({"a": ["1", "2.5"], "b": [" red", None]})
    assert digests(frame) == digests(same)
    assert digests(frame) != digests(frame, seed=1)
    # Fixed for ever: another number would let test rows train.
    assert digests(pl.DataFrame({"a": ["x"]})) == [553119413196153741]


def test_shares_are_kept_by_chance_and_a_larger_test_takes_from_validation_first() -> None:
    values = pl.Series(digests(pl.DataFrame({"a": range(20_000)})), dtype=pl.UInt64)
    small = assign(len(values), SplitRules(strategy="hash"), values)
    large = assign(len(values), SplitRules(strategy="hash", train=0.7, validation=0.05, test=0.25), values)
    np.testing.assert_allclose(np.bincount(small) / len(values), [0.7, 0.15, 0.15], atol=0.01)
    assert not ((small == 2) & (large != 2)).any()
    assert not ((small == 0) & (large == 2)).any()


def test_the_column_names_the_split(prepare_table: PrepareTable) -> None:
    frame = table(60)
    names = ["Train", "valid", "TEST ", "train"] * 15
    folder, manifest = prepare_table(
        frame.with_columns(part=pl.Series(names)), split={"strategy": "predefined", "by": "part"}
    )
    wanted = {"t": "train", "v": "validation"}
    expected = {row: wanted.get(name.lower()[:1] if name != "TEST " else "", "test") for row, name in enumerate(names)}
    assert split_of(folder) == expected
    assert "part" in manifest.signature.ignored


def test_what_names_no_split_is_shown() -> None:
    with pytest.raises(StageError, match=r"2 of 3 rows are in no split: they say 'holdout', None") as caught:
        named_splits(pl.Series("part", ["train", "holdout", None]))
    assert "say train, validation or test" in caught.value.cure


def test_a_split_that_is_never_named_is_empty(prepare_table: PrepareTable) -> None:
    frame = table(60).with_columns(part=pl.Series(["train", "test"] * 30))
    with pytest.raises(StageError, match="the validation split would be empty") as caught:
        prepare_table(frame, split={"strategy": "predefined", "by": "part"})
    assert "let column part say validation" in caught.value.cure


# ---------------------------------------------------------------- texts, images and documents


def contents(*, images: bool = False) -> pl.DataFrame:
    texts = [f"document {row}" for row in range(90)]
    return pl.DataFrame(
        {
            "row_id": range(90),
            "content": [text.encode() for text in texts] if images else texts,
            "target": ["a", "b", "b"] * 30,
            "by": ["train", "Validation", "test"] * 30,
        },
        schema_overrides={"row_id": pl.UInt32},
    )


@pytest.mark.parametrize("images", [False, True], ids=["texts", "images"])
def test_contents_stay_where_their_digest_puts_them(images: bool) -> None:
    config = PrepareConfig.model_validate(
        {"modality": "text", "task": "classification", "target": "label", "split": {"strategy": "hash"}}
    )
    whole = contents(images=images)
    first = dict(select(whole.head(60), config, "text").rows.select("row_id", "split").iter_rows())
    later = dict(
        select(whole.sample(fraction=1, shuffle=True, seed=1), config, "text")
        .rows.select("row_id", "split")
        .iter_rows()
    )
    assert first == {row: later[row] for row in first}
    assert set(later.values()) == {0, 1, 2}


def test_contents_lie_where_their_column_says() -> None:
    config = PrepareConfig.model_validate(
        {
            "modality": "text",
            "task": "classification",
            "target": "label",
            "split": {"strategy": "predefined", "by": "part"},
        }
    )
    rows = select(contents().with_columns(target=pl.Series(["a", "a", "a", "b", "b", "b"] * 15)), config, "text").rows
    assert rows["split"].to_list() == [0, 1, 2] * 30


@pytest.mark.parametrize("by", [None, "author"])
def test_documents_stay_where_their_digest_puts_them(prepare_table: PrepareTable, by: str | None) -> None:
    frame = pl.DataFrame(
        {"text": [f"Story {row} of a long winter." for row in range(80)], "author": [f"A{row}" for row in range(80)]}
    )
    config: dict[str, Any] = {
        "modality": "text",
        "task": "generation",
        "target": "",
        "text": {"vocabulary": 300, "max_tokens": 32},
        "split": {"strategy": "hash", "by": by},
    }
    first, _ = prepare_table(frame.head(50), "first", **config)
    later, _ = prepare_table(frame.reverse(), "later", **config)
    then, now = (set(pl.read_parquet(folder / RAW_TEST)["text"]) for folder in (first, later))
    assert then
    assert then == now & set(frame["text"].head(50))


def test_documents_lie_where_their_column_says(prepare_table: PrepareTable) -> None:
    frame = pl.DataFrame({"text": [f"Story {row} of it." for row in range(30)], "part": ["train", "val", "test"] * 10})
    folder, manifest = prepare_table(
        frame,
        modality="text",
        task="generation",
        target="",
        text={"vocabulary": 300, "max_tokens": 32},
        split={"strategy": "predefined", "by": "part"},
    )
    assert manifest.rows == {"train": 10, "validation": 10, "test": 10}
    assert set(pl.read_parquet(folder / RAW_TEST)["part"]) == {"test"}
