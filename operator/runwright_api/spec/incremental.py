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


_PLACES = ("path", "s3", "gcs", "azure", "pvc")
_WHOLE = ("delta", "iceberg", "images", "text")  # formats


def _has_a_place(source: Any) -> bool:
    files = any(getattr(source, place) is not None for place in _PLACES)
    return source.sql is not None or (files and source.format not in _WHOLE)


SOURCE_RULES = (
    Rule(
        message=f"tables in files ({', '.join(_PLACES)}) and sql can be read incrementally",
        broken=lambda source: unless(source.incremental is None or _has_a_place(source), "incremental"),
        cel=(
            "!has(self.incremental) || has(self.sql) || (("
            + " || ".join(f"has(self.{place})" for place in _PLACES)
            + f") && (!has(self.format) || !(self.format in {list(_WHOLE)})))"
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
