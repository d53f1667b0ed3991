"""The statements that are sent to databases; pure text.

Databases keep us from writing by themselves (read-only transactions and files). What is refused here as well is what
they would let pass, such as MySQL's SELECT ... INTO OUTFILE, and what would only fail later in stranger words.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal, InvalidOperation
from itertools import pairwise
from typing import Any

from runwright_components.contract.config.sql import SqlConfig, SqlDialect
from runwright_components.contract.outcome import Reason, StageError

_BACKTICKS = ("mysql", "sqlite")  # SQLite takes an unknown name in double quotes for a text
_PLAIN = r"'(?:[^']|'')*'"
_BACKSLASHES = r"'(?:[^'\\]|\\.|'')*'"
_DOLLARS = r"\$(?P<tag>\w*)\$.*?\$(?P=tag)\$"
_TEXT = {
    "postgresql": rf"[eE]{_BACKSLASHES}|{_PLAIN}|{_DOLLARS}",
    "mysql": _BACKSLASHES + r'|"(?:[^"\\]|\\.|"")*"',
    "sqlite": rf"{_PLAIN}|\[[^\]]*\]",
    "duckdb": rf"{_PLAIN}|{_DOLLARS}",
}
_NAME = r'"(?:[^"]|"")*"|`[^`]*`'
_TO_THE_END = r"--[^\n]*"
_COMMENT = {"mysql": r"--(?=\s|$)[^\n]*|#[^\n]*"}  # there, 5--1 is a sum
_TOKEN = {
    dialect: re.compile(
        rf"(?P<comment>{_COMMENT.get(dialect, _TO_THE_END)}|/\*.*?\*/)|{text}|{_NAME}|\w+|\S", re.DOTALL
    )
    for dialect, text in _TEXT.items()
}
_RUN_BY_MYSQL = ("/*!", "/*M!")

Bound = int | float | Decimal | date


def select(config: SqlConfig, source: str) -> str:
    """The one SELECT that gives the source's rows. Raises StageError (InvalidConfig) for another statement."""
    if config.table is not None:
        return f"SELECT * FROM {quoted(config.table.split('.'), config.dialect)}"  # noqa: S608 - quoted
    query = config.query or ""
    why = _not_one_select(query, config.dialect)
    if why:
        raise StageError(
            Reason.INVALID_CONFIG,
            f"the query is not a single SELECT: {why}",
            where=f"{source}, sql.query",
            cure="write one SELECT, or WITH ... SELECT, that changes nothing",
        )
    return query.rstrip().rstrip(";").rstrip()


def _not_one_select(query: str, dialect: SqlDialect) -> str:
    """Why the query is no single SELECT; empty when it is one."""
    if dialect == "mysql" and any(mark in query for mark in _RUN_BY_MYSQL):
        return "it has a comment that MySQL runs (/*! ... */)"
    words = [token.lower() for token in _tokens(query, dialect)]
    while words and words[-1] == ";":
        words.pop()
    if ";" in words:
        return "there are several, parted by ';'"
    first = next((word for word in words if word != "("), "")
    if first not in ("select", "with"):
        return f"it begins with {first.upper()}" if first else "it is empty"
    return "INTO writes" if "into" in words else ""


def _tokens(query: str, dialect: SqlDialect) -> Iterator[str]:
    """Words, marks and quoted texts; neither white space nor comments."""
    for match in _TOKEN[dialect].finditer(query):
        if match["comment"] is None:
            yield match[0]


def quoted(names: Sequence[str], dialect: SqlDialect) -> str:
    """A name, or a path of names, that the database takes as it is written."""
    mark = "`" if dialect in _BACKTICKS else '"'
    return ".".join(f"{mark}{name.replace(mark, mark * 2)}{mark}" for name in names)


def within(statement: str, columns: str = "*", condition: str = "") -> str:
    """A SELECT over the rows of another one. The line break ends a comment that the statement may end with."""
    rest = f" WHERE {condition}" if condition else ""
    return f"SELECT {columns} FROM (\n{statement}\n) AS source_rows{rest}"  # noqa: S608 - the statement is the user's own


def bounds(statement: str, column: str, dialect: SqlDialect) -> str:
    """Gives one row: the least and the greatest value of a column."""
    name = quoted([column], dialect)
    return within(statement, f"min({name}) AS low, max({name}) AS high")


def watermark(statement: str, column: str, dialect: SqlDialect) -> str:
    """Gives one row: the greatest value of a column as text, and how many rows there are."""
    text = "char" if dialect == "mysql" else "text"
    return within(statement, f"CAST(max({quoted([column], dialect)}) AS {text}) AS high, count(*) AS number")


# ---------------------------------------------------------------- parts


def parts(statement: str, column: str, low: Any, high: Any, number: int, dialect: SqlDialect) -> list[str]:
    """At most `number` SELECTs over ranges of `column` of about equal width, in its order.

    Each row is in exactly one of them, with NULL in the first. Raises ValueError when `low` and `high` are neither
    finite numbers nor dates.
    """
    if low is None:
        return [statement]
    name = quoted([column], dialect)
    marks = [literal(cut, dialect) for cut in _cuts(_bound(low), _bound(high), number)]
    if not marks:
        return [statement]
    conditions = [
        f"{name} < {marks[0]} OR {name} IS NULL",
        *(f"{name} >= {start} AND {name} < {end}" for start, end in pairwise(marks)),
        f"{name} >= {marks[-1]}",
    ]
    return [within(statement, condition=condition) for condition in conditions]


def _bound(value: Any) -> Bound:
    if isinstance(value, str):  # decimals come as text
        try:
            value = Decimal(value)
        except InvalidOperation:
            raise ValueError("text") from None
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal | date):
        raise ValueError(type(value).__name__)
    if isinstance(value, float | Decimal) and not math.isfinite(value):
        raise ValueError(f"{value}")
    return value


def _cuts(low: Any, high: Any, number: int) -> list[Bound]:
    """The inner bounds of equal ranges, each once; fewer where there are fewer values."""
    width = high - low
    if isinstance(width, int):
        cuts = [low + width * index // number for index in range(1, number)]
    elif isinstance(width, timedelta) and not isinstance(low, datetime):
        cuts = [low + timedelta(days=width.days * index // number) for index in range(1, number)]
    else:
        cuts = [low + width * index / number for index in range(1, number)]
    return sorted({cut for cut in cuts if cut > low})


def literal(value: Bound, dialect: SqlDialect) -> str:
    """A number or a date as the database writes it; MySQL's sessions are in UTC."""
    if isinstance(value, datetime):
        zoned = value.tzinfo is not None and dialect in ("postgresql", "duckdb")
        kind = "TIMESTAMPTZ" if zoned else "TIMESTAMP"
        moment = value.astimezone(UTC).replace(tzinfo=None) if value.tzinfo is not None else value
        return f"{kind} '{moment.isoformat(' ')}{'+00' if kind == 'TIMESTAMPTZ' else ''}'"
    if isinstance(value, date):
        return f"DATE '{value.isoformat()}'"
    return f"{value:f}" if isinstance(value, Decimal) else repr(value)
