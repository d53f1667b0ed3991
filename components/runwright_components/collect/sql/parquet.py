"""Batches of rows into a Parquet file, looked over on the way."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from runwright_components.collect.sql.database import Fault, Rows, RowsError

# From 4713 BC, where calendars of databases begin, to where 64 bits end; what databases call infinity lies beyond.
_DAYS = (-2_500_000, 106_000_000)
_MICROSECONDS = (-213_000_000_000_000_000, 9_200_000_000_000_000_000)


def write_rows(rows: Rows, target: Path, *, limit: int | None, on_rows: Callable[[int], None]) -> int:
    """Write at most `limit` rows, a row group a batch; gives their number. Memory is that of a few batches.

    Raises RowsError for dates that are none.
    """
    written = 0
    with pq.ParquetWriter(target, rows.schema, compression="lz4", write_statistics=False) as writer:
        for batch in _first(rows.batches, limit):
            for field, column in zip(batch.schema, batch.columns, strict=True):
                _refuse_infinity(field, column)
            writer.write_batch(batch)
            written += batch.num_rows
            on_rows(batch.num_rows)
    return written


def _first(batches: Iterator[pa.RecordBatch], limit: int | None) -> Iterator[pa.RecordBatch]:
    if limit is None:
        yield from batches
        return
    for batch in batches:
        yield batch.slice(0, limit)
        limit -= batch.num_rows
        if limit <= 0:
            return


def _refuse_infinity(field: pa.Field, column: pa.Array) -> None:
    """A date of infinity reaches us as a number at the end of its range."""
    if pa.types.is_date32(field.type):
        least, most = _DAYS
        numbers = column.view(pa.int32())
    elif pa.types.is_timestamp(field.type) and field.type.unit == "us":
        least, most = _MICROSECONDS
        numbers = column.view(pa.int64())
    else:
        return
    found = pc.min_max(numbers).as_py()
    if found["min"] is not None and not (least <= found["min"] and found["max"] <= most):
        raise RowsError(Fault.VALUE, f"column {field.name!r} holds a date of infinity")
