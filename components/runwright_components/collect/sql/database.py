"""What every dialect gives: a connection that reads, its rows in batches, and its errors in our words."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa

BATCH_BYTES = 16 << 20  # what a batch should not exceed by much: memory is a few batches for each connection
BATCH_ROWS = 65_536
_FIRST_ROWS = 1024  # fetched at once while their size is not known yet
_ROWS = 4096  # fetched at once: their values are still in the processor's cache when they become columns


@dataclass(frozen=True, slots=True)
class Rows:
    """The rows of a statement as they come from the database."""

    schema: pa.Schema
    batches: Iterator[pa.RecordBatch]

    def first(self) -> tuple[Any, ...]:
        """The first row's values; to be called once."""
        return next(tuple(column[0].as_py() for column in batch.columns) for batch in self.batches if batch.num_rows)


class Database(Protocol):
    """An open connection in a transaction that only reads, for one thread at a time but for `cancel`."""

    def rows(self, statement: str) -> Rows:
        """Run one SELECT. The rows of the statement before are lost."""

    def twin(self) -> Database:
        """Another connection, of the same state of the data where the database can share one."""

    def cancel(self) -> None:
        """End what runs on the connection, from another thread; what was running raises."""

    def close(self) -> None:
        """Let go of everything, whatever still runs."""


class Fault(Enum):
    """What goes wrong with databases."""

    ADDRESS = "the database's address does not do"
    AWAY = "the database does not answer"
    DENIED = "the database refuses to let us read"
    MISSING = "the database does not have what is asked for"
    WRITES = "the statement would write, and a source is only read"
    STATEMENT = "the database refuses the statement"
    REPEATED = "the result has several columns of one name"
    VALUE = "a value cannot be read"
    FILE = "the file cannot be read as a database"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a database is: a server's address (a secret), or a file."""

    address: Any = None  # sqlalchemy.engine.URL
    file: Path | None = None
    scratch: Path | None = None  # a folder that the database may spill to


@dataclass(frozen=True, slots=True)
class Driver:
    """One dialect: how to connect, which exceptions its library raises, and what one of them means."""

    connect: Callable[[Place], Database]
    errors: tuple[type[Exception], ...]
    meaning: Callable[[Exception], tuple[Fault, str]]


class RowsError(Exception):
    """Rows that we cannot take, found on our side."""

    def __init__(self, fault: Fault, words: str) -> None:
        super().__init__(words)
        self.fault = fault


def from_reader(
    reader: pa.RecordBatchReader, meaning: Callable[[Exception], tuple[Fault, str]]
) -> Iterator[pa.RecordBatch]:
    """The batches of a library's reader, whose errors Arrow dresses as those of files."""
    while True:
        try:
            batch = reader.read_next_batch()
        except StopIteration:
            return
        except (OSError, pa.ArrowException) as error:
            raise RowsError(*meaning(error)) from None
        yield batch


def in_batches(
    fetch: Callable[[int], Sequence[tuple[Any, ...]]],
    schema: pa.Schema,
    column: Callable[[tuple[Any, ...], pa.Field], pa.Array],
) -> Iterator[pa.RecordBatch]:
    """Rows of tuples as Arrow batches of about `BATCH_BYTES`. `fetch` gives at most so many rows; `column` converts."""
    number, pieces, size = _FIRST_ROWS, list[pa.RecordBatch](), 0
    while rows := fetch(number):
        columns = [column(values, field) for values, field in zip(zip(*rows, strict=True), schema, strict=True)]
        piece = pa.RecordBatch.from_arrays(columns, schema=schema)
        pieces.append(piece)
        size += piece.nbytes
        if size >= BATCH_BYTES or sum(each.num_rows for each in pieces) >= BATCH_ROWS:
            yield pa.concat_batches(pieces)
            pieces, size = [], 0
        number = max(1, min(_ROWS, BATCH_BYTES * piece.num_rows // max(1, piece.nbytes)))
    if pieces:
        yield pa.concat_batches(pieces)


def refuse_names(names: list[str]) -> None:
    """Raises RowsError when two columns have one name, or there is no column."""
    if not names:
        raise RowsError(Fault.STATEMENT, "it gives no columns")
    repeated = next((name for name in names if names.count(name) > 1), None)
    if repeated is not None:
        raise RowsError(Fault.REPEATED, json.dumps(repeated, ensure_ascii=False))
