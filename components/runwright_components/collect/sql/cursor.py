"""Cursors: columns that only grow, by which the rows that came since are told from those that were there.

The greatest value becomes data (`Mark`) and later a literal of the statement. It came from the database and is typed:
numbers and dates have one form each, and a text is written so that no character of it can end the literal.
"""

from __future__ import annotations

import math
import re
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from runwright_components.collect.read_before import Mark
from runwright_components.collect.sql.database import Fault, RowsError
from runwright_components.collect.sql.statements import Bound, literal, quoted, within
from runwright_components.contract.config.sql import SqlDialect

_LONG_DECIMAL = re.compile(r"-?(?=[\d.]{17,}$)\d+(\.\d+)?")  # MySQL compares it with a text as a double does


def highest(statement: str, column: str, dialect: SqlDialect) -> str:
    """Gives one row: the greatest value of a column."""
    return within(statement, f"max({quoted([column], dialect)}) AS high")


def none_of(statement: str) -> str:
    """Gives no row: the columns alone."""
    return within(statement, condition="1 = 0")


def up_to(statement: str, column: str, low: Mark | None, high: Mark, dialect: SqlDialect) -> str:
    """The rows beyond `low` up to `high`, and those without a value, so that they can be refused."""
    name = quoted([column], dialect)
    end = f"{name} <= {_literal(high, dialect)}"
    both = end if low is None else f"{name} > {_literal(low, dialect)} AND {end}"
    return within(statement, condition=f"{both} OR {name} IS NULL")


def mark_of(value: Any, column: str, dialect: SqlDialect) -> Mark:
    """The mark that a value is. Raises RowsError for what cannot be one."""
    match value:
        case bool():
            pass
        case int():
            return Mark(kind="int", value=str(value))
        case float() if math.isfinite(value):
            return Mark(kind="float", value=repr(value))
        case Decimal():
            return Mark(kind="decimal", value=f"{value:f}")
        case datetime():
            return Mark(kind="datetime", value=value.isoformat())
        case date():
            return Mark(kind="date", value=value.isoformat())
        case str():
            if "\0" in value or (dialect == "mysql" and _LONG_DECIMAL.fullmatch(value)):
                raise RowsError(Fault.VALUE, f"column {column!r}, the cursor, holds values that cannot be compared")
            return Mark(kind="text", value=value)
    raise RowsError(Fault.VALUE, f"column {column!r}, the cursor, holds neither numbers, dates nor texts")


def went_back(before: Mark, now: Mark | None) -> bool:
    """Whether the greatest value is less than it was, or of another type: then rows were replaced. The order of texts
    is the database's own affair."""
    if now is None or now.kind != before.kind:
        return True
    return now.kind != "text" and _value(now) < _value(before)


def _value(mark: Mark) -> Any:
    match mark.kind:
        case "int":
            return int(mark.value)
        case "float":
            return float(mark.value)
        case "decimal":
            return Decimal(mark.value)
        case "date":
            return date.fromisoformat(mark.value)
        case "datetime":
            return datetime.fromisoformat(mark.value)
        case "text":
            return mark.value


def _literal(mark: Mark, dialect: SqlDialect) -> str:
    value: Bound | str = _value(mark)
    if not isinstance(value, str):
        return literal(value, dialect)
    if dialect == "postgresql":  # as libpq escapes; of no type of its own: it takes that of the column, numeric or uuid
        return "E'" + value.replace("\\", "\\\\").replace("'", "''") + "'"
    if dialect == "mysql":
        return f"_utf8mb4 X'{value.encode().hex()}'"
    return "'" + value.replace("'", "''") + "'"  # there, a backslash is a backslash
