"""PostgreSQL by ADBC: COPY in its binary form, straight into Arrow batches."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress

import adbc_driver_manager as adbc
import pyarrow as pa
from adbc_driver_postgresql import StatementOptions, dbapi

from runwright_components.collect.sql.database import (
    BATCH_BYTES,
    Database,
    Driver,
    Fault,
    Place,
    Rows,
    from_reader,
    refuse_names,
)
from runwright_components.collect.sql.statements import quoted, within

_CONNECT_SECONDS = "20"
_BEGIN = "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY"
_AS_THEY_ARE = frozenset(
    {"int2", "int4", "int8", "float4", "float8", "bool", "text", "varchar", "bpchar", "name", "bytea"}
    | {"date", "timestamp", "timestamptz"}
)
_AS_TEXT = frozenset({"numeric", "json", "jsonb"})  # which ADBC gives as text by itself, in an extension type
_SAID = re.compile(r"(?:ERROR|FATAL):\s+(?P<words>[^\n]+)")
_ASIDE = re.compile(r"\s*(?:Query was: .*)?(?:SQLSTATE: \w+)?$", re.DOTALL)
_DENIED = re.compile(r"authentication failed|no pg_hba\.conf entry|role .* does not exist|no password supplied")
_ADDRESS = re.compile(r"invalid|does not support SSL|certificate")
_GONE = re.compile(r"terminating connection|closed the connection|canceling statement|could not receive data")
_BY_STATE = (
    ("28", Fault.DENIED),
    ("42501", Fault.DENIED),
    ("42P01", Fault.MISSING),
    ("3D", Fault.MISSING),
    ("3F", Fault.MISSING),
    ("25006", Fault.WRITES),
    ("08", Fault.AWAY),
    ("53", Fault.AWAY),
    ("57", Fault.AWAY),
)


class PostgreSql:
    """One connection; its twins see the snapshot that it sees."""

    def __init__(self, place: Place, snapshot: str | None = None) -> None:
        self._place = place
        url = place.address.set(drivername="postgresql")
        if "connect_timeout" not in url.query:
            url = url.update_query_dict({"connect_timeout": _CONNECT_SECONDS})
        self._connection = dbapi.connect(url.render_as_string(hide_password=False), autocommit=True)
        self._cursor = self._connection.cursor()
        try:
            self._cursor.execute(_BEGIN)
            if snapshot is not None:
                self._cursor.execute(f"SET TRANSACTION SNAPSHOT '{snapshot}'")
        except BaseException:
            self.close()
            raise

    def rows(self, statement: str) -> Rows:
        asked = self._cursor.adbc_execute_schema(statement)
        refuse_names(asked.names)
        if any(_cast(field) for field in asked):
            statement = within(statement, ", ".join(map(_readable, asked)))
        self._cursor.adbc_statement.set_options(**{StatementOptions.BATCH_SIZE_HINT_BYTES.value: str(BATCH_BYTES)})
        self._cursor.execute(statement)
        reader = self._cursor.fetch_record_batch()
        schema = pa.schema([pa.field(field.name, _storage(field.type)) for field in reader.schema])
        return Rows(schema, _plain(reader, schema))

    def twin(self) -> Database:
        self._cursor.execute("SELECT pg_export_snapshot()")
        (snapshot,) = self._cursor.fetchone()
        return PostgreSql(self._place, snapshot)

    def cancel(self) -> None:
        with suppress(adbc.Error):
            self._connection.adbc_cancel()

    def close(self) -> None:
        with suppress(adbc.Error):
            self._cursor.close()
        self._connection.close()


def _readable(field: pa.Field) -> str:
    name = quoted([field.name], "postgresql")
    return f"{name}{_cast(field)} AS {name}"


def _cast(field: pa.Field) -> str:
    """What makes a column readable: ADBC gives the bytes of the wire for types that it does not know."""
    kind = field.metadata[b"POSTGRESQL:type"].decode()
    if kind in _AS_THEY_ARE | _AS_TEXT or kind.removeprefix("_") in _AS_THEY_ARE:
        return ""
    return "::text[]" if kind.startswith("_") else "::text"


def _storage(kind: pa.DataType) -> pa.DataType:
    return kind.storage_type if isinstance(kind, pa.BaseExtensionType) else kind


def _plain(reader: pa.RecordBatchReader, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    """The batches without extension types, which not every reader of Parquet knows."""
    for batch in from_reader(reader, meaning):
        columns = [column.storage if isinstance(column, pa.ExtensionArray) else column for column in batch.columns]
        yield pa.RecordBatch.from_arrays(columns, schema=schema)


def meaning(error: Exception) -> tuple[Fault, str]:
    """What an error of ADBC means, and the server's own words."""
    text = str(error)
    said = _SAID.search(text)
    words = said["words"] if said else _ASIDE.sub("", text).strip().partition("\n")[0]
    state = getattr(error, "sqlstate", None) or ""
    known = next((fault for prefix, fault in _BY_STATE if state.startswith(prefix)), None)
    if known is not None:
        return known, words
    if "Failed to connect" in text:
        if _DENIED.search(text):
            return Fault.DENIED, words
        if _ADDRESS.search(text):
            return Fault.ADDRESS, words
        return (Fault.MISSING if "does not exist" in text else Fault.AWAY), words
    gone = not state and (isinstance(error, adbc.OperationalError) or _GONE.search(text))
    return (Fault.AWAY if gone else Fault.STATEMENT), words


DRIVER = Driver(PostgreSql, (adbc.Error,), meaning)
