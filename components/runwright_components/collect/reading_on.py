"""What an incremental source consists of: rows that the revision before has read, and the files that came since."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import polars as pl

from runwright_components.collect.read_before import INCREMENTAL, Mark, Piece, ReadBefore, SourceRead
from runwright_components.collect.tables import OnBytes, Table, explain_broken
from runwright_components.contract.files import link_or_copy

APART = "incremental"  # the folder of rows that do not stay as they were written


@dataclass(frozen=True, slots=True)
class Part:
    """One file in the order of the rows: a new one with its table, or one whose rows lie in the former Parquet file
    from `start` on."""

    piece: Piece  # of a new one without digest and rows, which are known when it is written
    table: Table | None = None
    start: int = 0


@dataclass(frozen=True, slots=True)
class Reading:
    """How an incremental source is read. `former` is the Parquet file of the rows that were read before, if any."""

    layout: str
    parts: tuple[Part, ...]
    mark: Mark | None = None
    former: Path | None = None

    def tables(self, source: str) -> list[Table]:
        """The rows of all parts in order; what lies together in the former file is one table."""
        found: list[Table] = []
        for is_new, group in groupby(self.parts, key=lambda part: part.table is not None):
            parts = list(group)
            if is_new:
                found += [part.table for part in parts if part.table is not None]
            else:
                found += [self._slice(run, source) for run in _runs(parts)]
        return found

    def unlike(self, schema: Mapping[str, pl.DataType]) -> str:
        """Why the former rows are not those of a full read that gives `schema`: a wider type was made of the narrower
        one's values, which are gone. Empty when they are."""
        if self.former is None:
            return ""
        kept = dict(pl.scan_parquet(self.former, glob=False).collect_schema())
        name = next((name for name in schema if kept.get(name) != schema[name]), None)
        return "" if name is None else f"column {name!r} is {schema[name]} now, and was kept as {kept.get(name)}"

    def written(self, source: str, kind: str, digests: Mapping[str, str], file: str, rows: int) -> SourceRead | None:
        """What the next revision is told once all is written to `file`; None when its rows are not those of the parts,
        which then cannot be told apart."""
        fresh = [part for part in self.parts if part.table is not None]
        counts = iter(_counted([part.table for part in fresh if part.table is not None]))
        pieces = [
            part.piece.model_copy(update={"digest": digests[part.piece.name], "rows": next(counts)})
            if part.table is not None
            else part.piece
            for part in self.parts
        ]
        if sum(piece.rows for piece in pieces) != rows:
            return None
        return SourceRead(
            source=source, layout=self.layout, format=kind, file=file, pieces=tuple(pieces), mark=self.mark
        )

    def _slice(self, run: Sequence[Part], source: str) -> Table:
        assert self.former is not None
        rows, size = (sum(getattr(part.piece, what) for part in run) for what in ("rows", "bytes"))
        digests = {part.piece.name: part.piece.digest for part in run}
        display = f"the rows of {source} that were read before"

        def check(on_bytes: OnBytes) -> Mapping[str, str]:
            on_bytes(size)
            return digests

        frame = pl.scan_parquet(self.former, glob=False).slice(run[0].start, rows)
        return Table(display, frame, check, explain_broken(display))


class Kept:
    """What of the raw data in `folder` the next revision may go on from. `apart`: the rows do not stay as they were
    written, so that a copy is kept beside them."""

    def __init__(self, folder: Path, *, apart: bool) -> None:
        self._folder, self._apart = folder, apart
        self._read: list[SourceRead] = []

    def add(self, source: str, reading: Reading, kind: str, digests: Mapping[str, str], shard: Path, rows: int) -> None:
        """Keep what was written of a source to `shard`."""
        file = f"{APART}/{len(self._read):05}.parquet" if self._apart else shard.relative_to(self._folder).as_posix()
        read = reading.written(source, kind, digests, file, rows)
        if read is None:
            return
        if self._apart:
            link_or_copy(shard, self._folder / file)
        self._read.append(read)

    def write(self) -> None:
        """Write the document that tells of them."""
        if self._read:
            ReadBefore(sources=tuple(self._read)).write(self._folder, INCREMENTAL)


def _runs(parts: Sequence[Part]) -> Iterator[list[Part]]:
    """Parts whose rows lie one after the other in the former file."""
    run: list[Part] = []
    for part in parts:
        if run and part.start != run[-1].start + run[-1].piece.rows:
            yield run
            run = []
        run.append(part)
    if run:
        yield run


def _counted(tables: Sequence[Table]) -> list[int]:
    """The rows of each table; of most formats known without reading them."""
    frames = pl.collect_all([table.frame.select(pl.len()) for table in tables], engine="streaming")
    return [int(frame.item()) for frame in frames]


def parts_before(read: SourceRead) -> list[Part]:
    """The parts of a source as the revision before has read it."""
    parts, start = [], 0
    for piece in read.pieces:
        parts.append(Part(piece, start=start))
        start += piece.rows
    return parts
