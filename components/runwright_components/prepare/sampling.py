"""What is told of raw data from a sample, and verified on all rows."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from runwright_components.prepare.dates import AMBIGUOUS
from runwright_components.prepare.infer import SAMPLE
from runwright_components.prepare.raw import RawData

_SLICES = 10


def sample(data: RawData, columns: Sequence[str] | None = None) -> pl.DataFrame:
    """All rows of a small table, else slices spread over it; of all columns, or some."""
    source = data.source if columns is None else data.source.select(columns)
    if data.rows <= SAMPLE:
        return source.collect(engine="streaming")
    step = data.rows // _SLICES
    slices = [source.slice(i * step, SAMPLE // _SLICES) for i in range(_SLICES)]
    return pl.concat(pl.collect_all(slices, engine="streaming"))


def evidence(data: RawData, column: str) -> tuple[int, int]:
    """How many dates have a first and how many a second number above 12, over all rows."""
    if data.rows <= SAMPLE:
        return (0, 0)  # the sample is the table
    parts = pl.col(column).cast(pl.String).str.extract_groups(AMBIGUOUS)
    first, second = (parts.struct.field(str(place)).cast(pl.Int32, strict=False) > 12 for place in (1, 2))
    counted = data.source.select(first.sum().alias("first"), second.sum().alias("second")).collect(engine="streaming")
    return counted.row(0)
