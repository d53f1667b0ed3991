"""The parts of a table: rows that one task takes, each with a file of its own for what becomes of them."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import polars as pl

ROW_GROUP = 65_536 * 4  # rows


@dataclass(frozen=True)
class Part:
    """`rows` rows of the table from number `first` on; all of them where it is `whole`. `path` has them cleaned."""

    first: int
    rows: int
    path: Path
    whole: bool = False

    @property
    def read(self) -> Path:
        """Where they are while spellings have a number of their own in each part."""
        return self.path if self.whole else self.path.with_suffix(".read")

    def of(self, source: pl.LazyFrame) -> pl.LazyFrame:
        """These rows of the raw data."""
        return source if self.whole else source.slice(self.first, self.rows)


def cut(rows: int, count: int, folder: Path) -> list[Part]:
    """A table of `rows` rows in `count` parts of about one size, in order; none without a row."""
    count = max(1, min(count, rows))
    bounds = [rows * place // count for place in range(count + 1)]
    return [
        Part(first, last - first, folder / f".cleaned-{place:05}.arrow", whole=count == 1)
        for place, (first, last) in enumerate(pairwise(bounds))
    ]


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Another path to write to, which takes the place of `path` when it is whole: engines begin a task anew, or twice
    at a time."""
    new = path.with_name(f"{path.name}.{uuid.uuid4().hex}")
    try:
        yield new
        new.replace(path)
    finally:
        new.unlink(missing_ok=True)


def write_parquet(frame: pl.LazyFrame, path: Path) -> None:
    """Stream the rows, in their order, into a file whose bytes do not depend on the machine."""
    # lz4: the files are read back at once by training, and random digits gain nothing from zstd.
    frame.sink_parquet(path, compression="lz4", row_group_size=ROW_GROUP, maintain_order=True)


def assemble(pieces: Sequence[Path], path: Path) -> None:
    """Put Parquet files one below the other into one, and remove them."""
    if len(pieces) == 1:
        pieces[0].replace(path)
        return
    write_parquet(pl.scan_parquet(list(pieces), glob=False), path)
    for piece in pieces:
        piece.unlink()
