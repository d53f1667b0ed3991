"""What was mended while numbers, truth values and times were read, told from the cleaned columns and a few samples."""

from __future__ import annotations

import numpy as np
import polars as pl

from runwright_components.features.values import Notation, holds_text
from runwright_components.prepare.clean import Cleaned
from runwright_components.prepare.infer import Plan
from runwright_components.prepare.notations import describe
from runwright_components.prepare.quality import SAMPLES, Repair
from runwright_components.prepare.raw import RawData


def number_repairs(plan: Plan, data: RawData, cleaned: Cleaned, column: pl.Series) -> list[Repair]:
    """The repairs of a numeric, boolean or datetime column; `column` is the cleaned one."""
    if plan.reader is None:
        return []
    found = []
    broken = ~column.is_finite().fill_null(True)
    count = int(broken.sum())
    if not holds_text(plan.dtype):
        if count and plan.type == "numeric":
            found.append(Repair(kind="infinite", rows=count, note="NaN and infinities count as missing"))
        elif count:
            found.append(Repair(kind="unreadable", rows=count, samples=_samples(plan, data, broken, column)))
        return found
    if count:
        note = "could not be read; count as missing"
        found.append(Repair(kind="unreadable", rows=count, note=note, samples=_samples(plan, data, broken, column)))
    words = column.null_count() - cleaned.nulls.get(plan.name, 0)
    if words > 0:
        found.append(Repair(kind="missing", rows=words, note="words that mean missing"))
    read = cleaned.rows - column.null_count() - count
    reader = plan.reader
    if plan.type == "boolean":
        found.append(Repair(kind="boolean", rows=read, note=plan.reason, samples=_first(plan, data, column)))
    elif plan.type == "datetime":
        found.append(Repair(kind="date", rows=read, note=plan.reason, samples=_first(plan, data, column)))
    elif reader.notation != Notation():
        mended = max(0, read - cleaned.plain.get(plan.name, 0))
        kind = "unit" if reader.notation.units else "number"
        samples = _first(plan, data, column)
        found.append(
            Repair.model_validate({"kind": kind, "rows": mended, "note": describe(reader.notation), "samples": samples})
        )
    return found


def _first(plan: Plan, data: RawData, column: pl.Series) -> tuple[tuple[str, str], ...]:
    return _samples(plan, data, column.is_finite().fill_null(False), column)


def _samples(plan: Plan, data: RawData, rows: pl.Series, column: pl.Series) -> tuple[tuple[str, str], ...]:
    places = rows.arg_true().head(SAMPLES).to_list()
    raw = data.rows_at(places)
    return tuple((str(row[plan.name]), _shown(plan, column[place])) for row, place in zip(raw, places, strict=True))


def _shown(plan: Plan, value: float) -> str:
    if value is None or not np.isfinite(value):
        return "missing"
    if plan.type == "datetime":
        return str(np.datetime64(int(value) // 1_000_000, "s")).replace("T", " ")
    if plan.type == "boolean":
        return "true" if value else "false"
    return f"{value:.15g}"
