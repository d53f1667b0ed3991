"""`spec.data.sources[].incremental`: reading only what is new since the revision before."""

from __future__ import annotations

from typing import Any

from runwright_api.part import Part, Rule, unless
from runwright_api.text import ColumnName


class Incremental(Part):
    """Only what is new since the revision before is read; the rows are those of a full read."""

    cursor: ColumnName | None = None
    """Of sql: column that only grows and that every row has. Rows with a greater value than the greatest known are new.
    Files need none: the new ones are told by their names."""


def _has_a_place(source: Any) -> bool:
    files = source.path or source.s3 or source.gcs or source.azure
    return source.sql is not None or (files is not None and source.format not in ("delta", "iceberg", "images", "text"))


SOURCE_RULES = (
    Rule(
        message="tables in files (path, s3, gcs, azure) and sql can be read incrementally",
        broken=lambda source: unless(source.incremental is None or _has_a_place(source), "incremental"),
        cel=(
            "!has(self.incremental) || has(self.sql) || ((has(self.path) || has(self.s3) || has(self.gcs)"
            " || has(self.azure)) && (!has(self.format) || !(self.format in ['delta', 'iceberg', 'images', 'text'])))"
        ),
        cure="remove it; the source is read whole",
    ),
    Rule(
        message="of sql a cursor says which rows are new, and of files nothing does",
        broken=lambda source: unless(
            source.incremental is None or (source.sql is not None) == (source.incremental.cursor is not None),
            "incremental",
            "cursor",
        ),
        cel="!has(self.incremental) || has(self.sql) == has(self.incremental.cursor)",
        cure="of sql name a column that only grows, such as a number that the database gives; of files remove it",
    ),
    Rule(
        message="an incremental source has no watermark: the cursor is one",
        broken=lambda source: unless(
            source.incremental is None or source.sql is None or source.sql.watermark is None, "sql", "watermark"
        ),
        cel="!has(self.incremental) || !has(self.sql) || !has(self.sql.watermark)",
        cure="remove sql.watermark",
    ),
)
"""Rules of a source for reading on."""
