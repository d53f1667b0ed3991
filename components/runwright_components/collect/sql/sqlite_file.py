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
_KINDS = ("integer", "real", "text", "blob")  # each can hold those before it, but for BLOBs
_TYPES = (pa.int64(), pa.float64(), pa.string(), pa.binary())
_BLOB = _KINDS.index("blob")


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
        columns = [f"c{index}" for index in range(len(names))]
        named = f"WITH s({', '.join(columns)}) AS (\n{statement}\n)"
        kinds = self._ranks("max", columns, named)
        if _BLOB in kinds:
            _refuse_mixed(names, self._ranks("min", columns, named), kinds)
        schema = _schema(names, kinds)
        return Rows(schema, in_batches(cursor.fetchmany, schema, _column))

    def _ranks(self, extreme: str, columns: list[str], named: str) -> tuple[int | None, ...]:
        """The least or the greatest rank of the types of each column's values; None where all are NULL."""
        ranks = " ".join(f"WHEN '{kind}' THEN {rank}" for rank, kind in enumerate(_KINDS))
        asked = ", ".join(f"{extreme}(CASE typeof({column}) {ranks} END)" for column in columns)
        (found,) = self._connection.execute(f"{named} SELECT {asked} FROM s")  # noqa: S608 - the user's own
        return tuple(found)

    def twin(self) -> Database:
        return Sqlite(self._place)

    def cancel(self) -> None:
        self._connection.interrupt()

    def close(self) -> None:
        self._connection.close()


def _schema(names: list[str], kinds: tuple[int | None, ...]) -> pa.Schema:
    """Each column has the type that holds all its values: text holds numbers, too."""
    types = [pa.string() if kind is None else _TYPES[kind] for kind in kinds]
    return pa.schema([pa.field(*column) for column in zip(names, types, strict=True)])


def _refuse_mixed(names: list[str], least: tuple[int | None, ...], most: tuple[int | None, ...]) -> None:
    for name, low, high in zip(names, least, most, strict=True):
        if high == _BLOB and low is not None and low != high:
            raise RowsError(Fault.VALUE, f"column {name!r} holds BLOBs beside values of type {_KINDS[low]}")


def _column(values: tuple[Any, ...], field: pa.Field) -> pa.Array:
    try:
        return pa.array(values, field.type)
    except (pa.ArrowTypeError, pa.ArrowInvalid):  # numbers among texts, whole ones that a float rounds
        of = float if pa.types.is_floating(field.type) else str
        return pa.array([None if value is None else of(value) for value in values], field.type)


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
