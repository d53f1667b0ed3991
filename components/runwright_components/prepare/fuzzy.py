"""Rows of a table whose texts nearly agree: one thing written in two ways."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl

from runwright_components.contract.artifacts import ROW_ID
from runwright_components.contract.config.duplicates import DuplicatesFuzzy
from runwright_components.features.values import text_of
from runwright_components.prepare import minhash
from runwright_components.prepare.clean import Cleaned, Mask, row_hashes
from runwright_components.prepare.clusters import joined
from runwright_components.prepare.infer import Plan
from runwright_components.prepare.near_duplicates import Told, without
from runwright_components.prepare.raw import RawData
from runwright_components.prepare.repeated import key_plans

_WHERE = "prepare.duplicatesFuzzy"


def without_alike(
    data: RawData, cleaned: Cleaned, plans: Sequence[Plan], usable: Mask, rules: DuplicatesFuzzy
) -> tuple[Mask, Told]:
    """The usable rows that are like none before them, bool [rows], and what is told of the others.

    Candidates come from MinHash sketches in bands; each is compared exactly. A chain of like rows is one thing. Raises
    StageError for a column that is not there or cannot be compared.
    """
    compared = key_plans(plans, rules.columns, f"{_WHERE}.columns")
    same = key_plans(plans, rules.same, f"{_WHERE}.same")
    rows = np.flatnonzero(usable)
    texts = _texts(data, compared).gather(rows)
    pairs = minhash.pairs(texts, rules.similarity, minhash.Shingling("characters", rules.shingle))
    if same:
        keys = row_hashes(cleaned, same).gather(rows).to_numpy()
        pairs = pairs[keys[pairs[:, 0]] == keys[pairs[:, 1]]]
    numbered = pl.DataFrame({ROW_ID: rows})
    kept, told = without(numbered, joined(len(rows), pairs), rules, ", ".join(rules.columns))
    left: Mask = np.zeros_like(usable)
    left[kept[ROW_ID].to_numpy()] = True
    return left, told


def _texts(data: RawData, plans: Sequence[Plan]) -> pl.Series:
    """The texts of each row, one after the other, in single spaces; empty where there are none."""
    parts = [text_of(pl.col(plan.name), plan.dtype).str.replace_all(r"\s+", " ").str.strip_chars(" ") for plan in plans]
    row = pl.concat_str(parts, separator="\n", ignore_nulls=True).str.strip_chars("\n")
    return data.source.select(text=row).collect(engine="streaming").to_series()
