"""Record batches of a table format, one after the other into one Parquet file."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq


def write_batches(
    target: Path, schema: pa.Schema, batches: Iterable[pa.RecordBatch], limit: int | None, tell: Callable[[int], None]
) -> None:
    """Write the rows, at most `limit`; `tell` is called with their number after each batch."""
    done = 0
    with pq.ParquetWriter(target, schema) as file:
        for batch in batches:
            wanted = batch if limit is None else batch.slice(0, limit - done)
            file.write_batch(wanted)
            done += wanted.num_rows
            tell(done)
            if done == limit:
                break
