"""`spec.data.sources[].iceberg`: which rows of an Iceberg table are read."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from runwright_api.part import Lax, Part, Rule, unless
from runwright_api.text import ColumnName, Instant, SnapshotId, Text


class IcebergOptions(Part):
    """Which rows of an Iceberg table are read."""

    snapshot: SnapshotId | None = None
    """Number of the snapshot, in quotes. Default: the current one."""
    time: Instant | None = None
    """The snapshot that was current then: 2026-01-31T00:00:00Z."""
    columns: Annotated[tuple[ColumnName, ...], Field(max_length=1024), Lax] = ()
    """Columns that are read. Default: all."""
    filter: Text | None = None
    """Rows that are read: price > 10 and country in ('DE', 'FR'). Default: all."""

    rules = (
        Rule(
            message="a snapshot is given by its number or by a time, not both",
            broken=lambda iceberg: unless(iceberg.snapshot is None or iceberg.time is None, "time"),
            cel="!has(self.snapshot) || !has(self.time)",
            cure="remove one of them",
        ),
    )
