"""A record of a topic as a row: pure."""

from __future__ import annotations

import csv
import json
from datetime import UTC, datetime
from typing import Any

from runwright_components.contract.config import CsvOptions, KafkaConfig

TEXT = "text"  # the column that a value of text makes


class BadRecordError(Exception):
    """A record that makes no row; the words say why."""


class ColumnTakenError(Exception):
    """A field of a record has the name that the key or the time is to have."""


class Decoder:
    """Turns key, value and time stamp into a row: one object, whose columns have the names that they are to have."""

    def __init__(self, config: KafkaConfig, layout: CsvOptions) -> None:
        self._config = config
        self._layout = layout

    def row(self, key: bytes | None, value: bytes, milliseconds: int | None) -> dict[str, Any]:
        """Raises BadRecordError, and ColumnTakenError."""
        config = self._config
        row = self._fields(value)
        if config.key_column is not None:
            self._set(row, config.key_column, None if key is None else _text(key, "the key"))
        if config.timestamp_column is not None:
            self._set(row, config.timestamp_column, None if milliseconds is None else _moment(milliseconds))
        return row

    def _fields(self, value: bytes) -> dict[str, Any]:
        match self._config.value_format:
            case "json":
                return _object(value)
            case "csv":
                return self._cells(value)
            case _:
                return {TEXT: _text(value, "the value")}

    def _cells(self, value: bytes) -> dict[str, Any]:
        names, options = self._config.columns, self._layout
        text = _text(value, "the value", options.encoding).rstrip("\r\n")
        try:
            rows = list(csv.reader([text], delimiter=options.delimiter or ",", quotechar=options.quote, strict=True))
        except csv.Error as error:
            raise BadRecordError(f"not a row of CSV: {error}") from error
        cells = rows[0] if rows else []
        if len(cells) != len(names):
            raise BadRecordError(f"{len(cells)} fields, not {len(names)}")
        return {name: cell or None for name, cell in zip(names, cells, strict=True)}

    @staticmethod
    def _set(row: dict[str, Any], name: str, value: Any) -> None:
        if name in row:
            raise ColumnTakenError(name)
        row[name] = value


def line(row: dict[str, Any]) -> bytes:
    """The row as one line of JSON, with its end. Raises BadRecordError for what no table takes."""
    try:
        return _ENCODER.encode(row).encode() + b"\n"
    except ValueError as error:  # half a surrogate pair; a number beyond what is finite
        raise BadRecordError(f"not text or numbers that can be kept: {error}") from error


def _object(value: bytes) -> dict[str, Any]:
    text = _text(value, "the value")
    try:
        found = _DECODER.decode(text)
    except (ValueError, RecursionError) as error:
        raise BadRecordError(f"not JSON: {error}") from error
    if not isinstance(found, dict):
        raise BadRecordError(f"expected an object, found {json.dumps(found)[:60]}")
    return found


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON value")


_DECODER = json.JSONDecoder(parse_constant=_refuse_constant)
_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def _text(value: bytes, what: str, encoding: str = "utf-8") -> str:
    try:
        return value.decode(encoding)
    except (UnicodeDecodeError, LookupError) as error:
        raise BadRecordError(f"{what} is not {encoding.upper()}") from error


def _moment(milliseconds: int) -> str:
    try:
        moment = datetime.fromtimestamp(milliseconds / 1000, UTC)
    except (ValueError, OverflowError, OSError) as error:
        raise BadRecordError(f"the time stamp {milliseconds} is none") from error
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
