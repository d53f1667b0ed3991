"""DuckDB files, by its own Arrow reader."""

from __future__ import annotations

import duckdb

from runwright_components.collect.sql.database import (
    BATCH_ROWS,
    Database,
    Driver,
    Fault,
    Place,
    Rows,
    from_reader,
    refuse_names,
)
from runwright_components.collect.sql.statements import quoted, within

_MEMORY = "2GiB"  # beyond it sorts and groups spill to the scratch folder
_AS_TEXT = ("HUGEINT", "UHUGEINT", "BIGNUM", "DECIMAL", "TIME", "INTERVAL", "ENUM", "UUID", "BIT", "MAP", "UNION")
_NOT_TIMES = "TIMESTAMP"


class DuckDb:
    """One connection to a file that is open for reading; statements can reach no other file."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._connection = duckdb.connect(
            str(place.file),
            read_only=True,
            config={
                "enable_external_access": "false",
                "autoload_known_extensions": "false",
                "memory_limit": _MEMORY,
                "temp_directory": str(place.scratch or ""),
                "lock_configuration": "true",
            },
        )

    def rows(self, statement: str) -> Rows:
        asked = self._connection.sql(statement)
        refuse_names(asked.columns)
        kinds = [str(kind) for kind in asked.types]
        if any(map(_is_text, kinds)):
            columns = [
                f"CAST({name} AS VARCHAR) AS {name}" if _is_text(kind) else name
                for name, kind in zip((quoted([one], "duckdb") for one in asked.columns), kinds, strict=True)
            ]
            asked = self._connection.sql(within(statement, ", ".join(columns)))
        reader = asked.to_arrow_reader(BATCH_ROWS)
        return Rows(reader.schema, from_reader(reader, meaning))

    def twin(self) -> Database:
        return DuckDb(self._place)

    def cancel(self) -> None:
        self._connection.interrupt()

    def close(self) -> None:
        self._connection.close()


def _is_text(kind: str) -> bool:
    """Whether a type is read as text: what is wider than 64 bits, and what Parquet or Polars cannot hold."""
    return kind.startswith(_AS_TEXT) and not kind.startswith(_NOT_TIMES)


def meaning(error: Exception) -> tuple[Fault, str]:
    """What an error of DuckDB means, and its words."""
    words = str(error).splitlines()[0]
    if isinstance(error, duckdb.CatalogException):
        return Fault.MISSING, words
    if isinstance(error, duckdb.IOException):
        return (Fault.AWAY if "lock" in words else Fault.FILE), words
    if isinstance(error, duckdb.ConversionException | duckdb.OutOfRangeException):
        return Fault.VALUE, words
    if "INTERRUPT" in words:
        return Fault.AWAY, words
    return (Fault.WRITES if "read-only mode" in words else Fault.STATEMENT), words


DRIVER = Driver(DuckDb, (duckdb.Error,), meaning)
