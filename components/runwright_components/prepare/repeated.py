"""Rows of a table that share a key."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import polars as pl

from runwright_components.contract.outcome import Reason, StageError
from runwright_components.prepare.clean import Cleaned, Mask, row_hashes
from runwright_components.prepare.infer import Plan


def key_plans(plans: Sequence[Plan], columns: Sequence[str], where: str) -> list[Plan]:
    """The plans of columns that the configuration names at `where`. Raises StageError for one that is not there or
    cannot be compared."""
    by_name = {plan.name: plan for plan in plans}
    for place, name in enumerate(columns):
        plan = by_name.get(name)
        nested = plan is not None and (plan.dtype.is_nested() or plan.dtype == pl.Object)
        if plan is None or nested:
            raise StageError(
                Reason.INVALID_CONFIG,
                f"column {name!r} holds lists or objects" if nested else f"the data have no column {name!r}",
                where=f"{where}[{place}]",
                cure=f"name columns of single values: {', '.join(list(by_name)[:20])}",
            )
    return [by_name[name] for name in columns]


def repeats(cleaned: Cleaned, plans: Sequence[Plan], usable: Mask, keep: Literal["first", "last"]) -> Mask:
    """The usable rows whose key another usable row has, but for the first or last of each; bool [rows]."""
    whole = usable.copy()
    for plan in plans:
        column = cleaned.column(plan.name)
        missing = column.is_null() | (column.is_nan() if column.dtype.is_float() else False)
        if plan.reader is not None and plan.name in cleaned.spellings:
            missing = pl.Series(cleaned.keys(plan.name) == 0)
        whole &= ~missing.to_numpy()
    rows = np.flatnonzero(whole)
    hashes = row_hashes(cleaned, plans).gather(rows)
    kept = hashes.is_first_distinct() if keep == "first" else hashes.is_last_distinct()
    repeated = np.zeros(cleaned.rows, dtype=np.bool_)
    repeated[rows[~kept.to_numpy()]] = True
    return repeated
