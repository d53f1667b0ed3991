"""Folds of a cross-validation: every row that is not the test judges once, and nothing is fitted on what judges."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from runwright_components.contract.artifacts import PreparedManifest, fold_folder
from runwright_components.contract.config import PrepareConfig, SplitRules
from runwright_components.contract.outcome import StageError
from runwright_components.features import load_split
from runwright_components.features.tabular import TabularPreprocessing
from runwright_components.prepare.folds import LEFT_OUT, Fold
from runwright_components.prepare.labelled import select
from runwright_components.prepare.split import assign

PrepareTable = Callable[..., tuple[Path, PreparedManifest]]
ROWS = 240


def rules(strategy: str, **more: Any) -> SplitRules:
    by = {"by": "by"} if strategy in ("group", "time") else {}
    return SplitRules.model_validate({"strategy": strategy, "folds": 4, **by, **more})


def column(strategy: str) -> pl.Series | None:
    random = np.random.default_rng(0)
    if strategy == "stratified":
        return pl.Series(random.choice(3, ROWS, p=[0.7, 0.2, 0.1]))
    if strategy == "group":
        return pl.Series(random.integers(0, 40, ROWS))
    return pl.Series(random.permutation(ROWS)) if strategy == "time" else None


@pytest.mark.parametrize("strategy", ["random", "stratified", "group", "time"])
def test_every_row_that_is_not_the_test_judges_once(strategy: str) -> None:
    split, by = rules(strategy), column(strategy)
    whole = assign(ROWS, split, by)
    folds = [Fold(number, 4).codes(whole, split, by) for number in range(4)]
    held = np.stack([codes == 2 for codes in folds])
    assert not held[:, whole == 2].any()
    assert all((codes[whole == 2] == LEFT_OUT).all() for codes in folds)
    judged = held.sum(axis=0)[whole != 2]
    assert judged.max() == 1
    if strategy != "time":
        assert judged.min() == 1
        assert all((codes[whole != 2] != LEFT_OUT).all() for codes in folds)
    for codes in folds:
        assert 0.12 < (codes == 1).sum() / ((codes == 1) | (codes == 0)).sum() < 0.24  # 0.15 of 0.85


def test_classes_keep_their_shares_and_groups_stay_whole() -> None:
    by = column("stratified")
    assert by is not None
    split = rules("stratified")
    codes = Fold(1, 4).codes(assign(ROWS, split, by), split, by)
    shares = [np.bincount(by.to_numpy()[codes == code], minlength=3) / (codes == code).sum() for code in range(3)]
    assert np.abs(shares[0] - shares[2]).max() < 0.03
    by = column("group")
    assert by is not None
    split = rules("group")
    for number in range(4):
        codes = Fold(number, 4).codes(assign(ROWS, split, by), split, by)
        groups = [set(by.filter(pl.Series(codes == code)).to_list()) for code in range(3)]
        assert groups[0].isdisjoint(groups[1] | groups[2])
        assert groups[1].isdisjoint(groups[2])


def test_with_time_a_fold_is_judged_by_what_comes_after_all_that_it_learned_from() -> None:
    split, by = rules("time"), column("time")
    assert by is not None
    times, whole = by.to_numpy(), assign(ROWS, split, by)
    sizes = []
    for number in range(4):
        codes = Fold(number, 4).codes(whole, split, by)
        assert times[codes == 0].max() < times[codes == 1].min() < times[codes == 1].max() < times[codes == 2].min()
        assert times[codes == 2].max() < times[whole == 2].min()
        sizes.append(int((codes == 0).sum()))
    assert sizes == sorted(sizes)


def test_more_folds_than_groups_are_refused() -> None:
    by = pl.Series([0, 1, 2, 3] * 10)
    split = rules("group")
    with pytest.raises(StageError, match="too few for 4 folds"):
        Fold(0, 4).codes(assign(40, split, by), split, by)


def test_each_fold_is_prepared_by_its_own_rows(prepare_table: PrepareTable) -> None:
    random = np.random.default_rng(0)
    frame = pl.DataFrame({"x": random.normal(size=ROWS), "y": random.choice(["a", "b"], ROWS)})
    plain, before = prepare_table(frame, "plain", split={"strategy": "stratified"})
    folder, manifest = prepare_table(frame, "folds", split={"strategy": "stratified", "folds": 3})
    assert (manifest.folds, before.folds, manifest.rows) == (3, 0, before.rows)
    assert manifest.digest != before.digest
    test = set(load_split(plain, "test").row_id.tolist())
    judged = set()
    for number in range(3):
        place = fold_folder(folder, number)
        rows = {name: load_split(place, name).row_id.tolist() for name in ("train", "validation", "test")}
        fitted = TabularPreprocessing.load(place / "preprocessing").state.numeric[0]
        assert fitted.offset == pytest.approx(frame["x"].gather(rows["train"]).mean())
        assert PreparedManifest.read(place).rows == {name: len(found) for name, found in rows.items()}
        judged |= set(rows["test"])
    assert judged == set(range(ROWS)) - test


def test_a_fold_that_cannot_be_prepared_is_named(prepare_table: PrepareTable) -> None:
    frame = pl.DataFrame({"x": range(12), "y": [0.0, 1.0] * 6})
    with pytest.raises(StageError) as caught:
        prepare_table(frame, task="regression", split={"strategy": "random", "folds": 20})
    assert caught.value.where.startswith("fold 1 of 20")


def test_folds_of_texts() -> None:
    table = pl.DataFrame(
        {
            "row_id": pl.Series(range(60), dtype=pl.UInt32),
            "content": [f"text {number}" for number in range(60)],
            "target": ["a" if number % 2 else "b" for number in range(60)],
        }
    )
    config = PrepareConfig(modality="text", task="classification", target="label", split=rules("stratified"))
    whole = select(table, config, "text")
    folds = [select(table, config, "text", fold=Fold(number, 4)) for number in range(4)]
    judged = sorted(row for fold in folds for row in fold.of("test")["row_id"])
    assert judged == sorted([*whole.of("train")["row_id"], *whole.of("validation")["row_id"]])
    assert all(fold.memory is None for fold in folds)
