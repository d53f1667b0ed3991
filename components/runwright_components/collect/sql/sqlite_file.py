"""SQLite files, whose values have types and whose columns have none.

A first pass asks for the types of all values of each column. ADBC's driver tells them from the first rows instead, and
fails on a column that begins with NULL (apache/arrow-adbc#581).
"""

from __future__ import annotations

import sqlite3
from typing import Any
from urllib.parse import quote

import pyarrow as pa

from runwright_components.collect.sql.database import (
    Database,
    Driver,
    Fault,
    Place,
    Rows,
    RowsError,
    in_batches,
    refuse_names,
)

_LOCKED_SECONDS = 20.0
_KINDS = ("integer", "real", "text", "blob")


class Sqlite:
    """One connection, whose statements all see the same state."""

    def __init__(self, place: Place) -> None:
        self._place = place
        address = f"file:{quote(str(place.file))}?mode=ro"
        self._connection = sqlite3.connect(
            address, uri=True, timeout=_LOCKED_SECONDS, isolation_level=None, check_same_thread=False
        )
        try:
            self._connection.execute("PRAGMA query_only = ON")
            self._connection.execute("BEGIN")
        except BaseException:
            self.close()
            raise

    def rows(self, statement: str) -> Rows:
        cursor = self._connection.execute(statement)
        names = [column[0] for column in cursor.description or ()]
        refuse_names(names)
        kinds = self._kinds(statement, len(names))
        schema = pa.schema([pa.field(name, _type(name, found)) for name, found in zip(names, kinds, strict=True)])
        return Rows(schema, in_batches(cursor.fetchmany, schema, _column))

    def _kinds(self, statement: str, number: int) -> list[set[str]]:
        """The types of the values of each column."""
        columns = [f"c{index}" for index in range(number)]
        asked = ", ".join(f"max(typeof({column}) = '{kind}')" for column in columns for kind in _KINDS)
        named = f"WITH s({', '.join(columns)}) AS (\n{statement}\n)"
        (found,) = self._connection.execute(f"{named} SELECT {asked} FROM s")  # noqa: S608 - the user's own
        width = len(_KINDS)
        return [
            {kind for kind, there in zip(_KINDS, found[start : start + width], strict=True) if there}
            for start in range(0, number * width, width)
        ]

    def twin(self) -> Database:
        return Sqlite(self._place)

    def cancel(self) -> None:
        self._connection.interrupt()

    def close(self) -> None:
        self._connection.close()


def _type(name: str, kinds: set[str]) -> pa.DataType:
    """The type that holds all values; text holds numbers, too."""
    if "blob" in kinds and len(kinds) > 1:
        others = " and ".join(sorted(kinds - {"blob"}))
        raise RowsError(Fault.VALUE, f"column {name!r} holds BLOBs beside values of type {others}")
    if "blob" in kinds:
        return pa.binary()
    if "text" in kinds or not kinds:
        return pa.string()
    return pa.float64() if "real" in kinds else pa.int64()


def _column(values: tuple[Any, ...], field: pa.Field) -> pa.Array:
    kind = field.type
    if pa.types.is_floating(kind):
        return pa.array([None if value is None else float(value) for value in values], kind)
    try:
        return pa.array(values, kind)
    except pa.ArrowTypeError:  # numbers among texts
        return pa.array([None if value is None else str(value) for value in values], kind)


def meaning(error: Exception) -> tuple[Fault, str]:
    """What an error of SQLite means, and its words."""
    words = str(error)
    name = getattr(error, "sqlite_errorname", "")
    if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED", "SQLITE_INTERRUPT", "SQLITE_IOERR")):
        return Fault.AWAY, words
    if name.startswith(("SQLITE_NOTADB", "SQLITE_CORRUPT", "SQLITE_CANTOPEN")):
        return Fault.FILE, words
    if name.startswith("SQLITE_READONLY"):
        return Fault.WRITES, words
    if words.startswith("no such table"):
        return Fault.MISSING, words
    return (Fault.VALUE if words.startswith("Could not decode") else Fault.STATEMENT), words


DRIVER = Driver(Sqlite, (sqlite3.Error,), meaning)
