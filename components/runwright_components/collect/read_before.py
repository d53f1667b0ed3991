"""What collect keeps of an incremental source, beside its rows: INCREMENTAL in the raw data."""

from __future__ import annotations

from typing import Literal

from runwright_components.contract.artifacts import Document

INCREMENTAL = "incremental.json"


class Mark(Document):
    """How far a source was read: the greatest value of its cursor, as text that gives back the very value."""

    kind: Literal["int", "float", "decimal", "date", "datetime", "text"]
    value: str


class Piece(Document):
    """A file of a source as it was read. Its rows follow those of the piece before it."""

    name: str
    sign: tuple[str | int, ...] = ()  # what changes when the file does; of a database nothing
    digest: str
    bytes: int
    rows: int


class SourceRead(Document):
    """What was read of one source. `layout` is the digest of all that decides which rows come of its files."""

    source: str
    layout: str
    format: str
    file: str  # the Parquet file of its rows, relative to the raw data
    pieces: tuple[Piece, ...]
    mark: Mark | None = None


class ReadBefore(Document):
    """What was read of all incremental sources."""

    sources: tuple[SourceRead, ...] = ()
