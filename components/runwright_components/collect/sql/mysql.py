"""MySQL and MariaDB by PyMySQL, with a cursor that leaves the rows on the server until they are fetched."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pymysql
from pymysql.constants import FIELD_TYPE, FLAG
from pymysql.converters import encoders
from pymysql.cursors import SSCursor

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

_CONNECT_SECONDS = 20
_BEGIN = (
    "SET SESSION time_zone = '+00:00'",
    "SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ",
    "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY",
)
_BINARY = 63  # the character set of what is no text
_TYPES = {
    FIELD_TYPE.TINY: pa.int64(),
    FIELD_TYPE.SHORT: pa.int64(),
    FIELD_TYPE.INT24: pa.int64(),
    FIELD_TYPE.LONG: pa.int64(),
    FIELD_TYPE.LONGLONG: pa.int64(),
    FIELD_TYPE.YEAR: pa.int64(),
    FIELD_TYPE.FLOAT: pa.float32(),
    FIELD_TYPE.DOUBLE: pa.float64(),
    FIELD_TYPE.DATE: pa.date32(),
    FIELD_TYPE.NEWDATE: pa.date32(),
    FIELD_TYPE.DATETIME: pa.timestamp("us"),
    FIELD_TYPE.TIMESTAMP: pa.timestamp("us", tz="UTC"),
    FIELD_TYPE.BIT: pa.uint64(),
}
_BYTES = {FIELD_TYPE.BLOB, FIELD_TYPE.TINY_BLOB, FIELD_TYPE.MEDIUM_BLOB, FIELD_TYPE.LONG_BLOB, FIELD_TYPE.STRING} | {
    FIELD_TYPE.VAR_STRING,
    FIELD_TYPE.VARCHAR,
    FIELD_TYPE.GEOMETRY,
}
_BY_NUMBER = {
    **dict.fromkeys((1044, 1045, 1142, 1143, 1227, 1698, 1370), Fault.DENIED),
    **dict.fromkeys((1046, 1049, 1146), Fault.MISSING),
    **dict.fromkeys((1290, 1792), Fault.WRITES),
    1060: Fault.REPEATED,
    2026: Fault.ADDRESS,  # TLS
    **dict.fromkeys((1040, 1053, 1077, 1152, 1159, 1161, 1205, 1317, 1927, 2002, 2003, 2006, 2013, 2014), Fault.AWAY),
}


class MySql:
    """One connection. Each has its own snapshot: MySQL cannot share one."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._connection = _connect(place)
        try:
            with self._connection.cursor() as cursor:
                for statement in _BEGIN:
                    cursor.execute(statement)
        except BaseException:
            self._connection.close()
            raise

    def rows(self, statement: str) -> Rows:
        cursor = self._connection.cursor(SSCursor)
        cursor.execute(statement)
        fields = cursor._result.fields if cursor._result is not None else []  # only there stands what is unsigned
        refuse_names([field.name for field in fields])
        schema = pa.schema([pa.field(field.name, _type(field)) for field in fields])
        return Rows(schema, in_batches(cursor.fetchmany, schema, _column))

    def twin(self) -> Database:
        return MySql(self._place)

    def cancel(self) -> None:
        with suppress(pymysql.Error), _connect(self._place) as other, other.cursor() as cursor:
            cursor.execute(f"KILL QUERY {self._connection.thread_id()}")

    def close(self) -> None:
        result = self._connection._result
        if result is not None:
            result.unbuffered_active = False  # else the cursor, let go of, would read all rows that are left
        with suppress(pymysql.Error):
            self._connection.close()


def _connect(place: Place) -> Any:
    """SQLAlchemy knows how an address becomes options, those of TLS too."""
    url = place.address.set(drivername="mysql+pymysql")
    _, options = url.get_dialect()().create_connect_args(url)
    options = {"connect_timeout": _CONNECT_SECONDS, "charset": "utf8mb4", **options}
    try:  # without decoders values stay text: Arrow reads it faster
        return pymysql.connect(**options, conv=encoders, local_infile=False)
    except TypeError:
        raise RowsError(Fault.ADDRESS, "an option of it is not known") from None
    except OSError as error:  # a file that an option names
        raise RowsError(Fault.ADDRESS, str(error)) from None


def _type(field: Any) -> pa.DataType:
    if field.type_code == FIELD_TYPE.LONGLONG and field.flags & FLAG.UNSIGNED:
        return pa.uint64()
    if field.type_code in _BYTES and field.charsetnr == _BINARY:
        return pa.binary()
    return _TYPES.get(field.type_code, pa.string())


def _column(values: tuple[Any, ...], field: pa.Field) -> pa.Array:
    """The column of texts as its type."""
    if pa.types.is_binary(field.type) or pa.types.is_string(field.type):
        return pa.array(values, field.type)
    if any(isinstance(value, bytes) for value in values):  # BIT
        return pa.array([None if value is None else int.from_bytes(value) for value in values], field.type)
    try:
        read = pc.cast(pa.array(values, pa.string()), _naive(field.type))
    except pa.ArrowInvalid as error:
        shown = str(error).splitlines()[0]
        raise RowsError(Fault.VALUE, f"column {field.name!r}: {shown}") from None
    return read if read.type == field.type else pc.assume_timezone(read, field.type.tz)


def _naive(kind: pa.DataType) -> pa.DataType:
    return pa.timestamp(kind.unit) if pa.types.is_timestamp(kind) else kind


def meaning(error: Exception) -> tuple[Fault, str]:
    """What an error of PyMySQL means, and the server's own words."""
    number, words = (*error.args, "")[:2] if error.args and isinstance(error.args[0], int) else (0, str(error))
    unknown = Fault.AWAY if isinstance(error, pymysql.InterfaceError) else Fault.STATEMENT
    return _BY_NUMBER.get(number, unknown), str(words)


DRIVER = Driver(MySql, (pymysql.Error,), meaning)
