"""The test rows cut by a column of the source: categories as the preprocessing compares them, numbers by quartile."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
from numpy.typing import NDArray

from runwright_components.contract.outcome import Reason, StageError
from runwright_components.features.tabular_state import Reader
from runwright_components.features.values import Words, key

Rows = NDArray[np.int64]
Groups = list[tuple[str, Rows]]

MISSING = "missing"
MOST_GROUPS = 50
FEW_NUMBERS = 8  # distinct numbers up to which each is a slice of its own (a class of cabin, a number of doors)


def require(column: str, rows: pl.DataFrame, *, where: str) -> None:
    """Raises StageError (InvalidConfig) when the test rows cannot be cut by `column`."""
    if column not in rows.columns:
        close = difflib.get_close_matches(column, rows.columns, 1)
        meant = f'did you mean "{close[0]}"? ' if close else ""
        message = f'the data have no column "{column}"'
        raise StageError(
            Reason.INVALID_CONFIG, message, where=where, cure=f"{meant}the columns are {', '.join(rows.columns)}"
        )
    if rows.schema[column] == pl.Binary or rows.schema[column].is_nested():
        message = f'the values of column "{column}" have no categories'
        raise StageError(Reason.INVALID_CONFIG, message, where=where, cure="slice by a column of words or numbers")


def groups(rows: pl.DataFrame, column: str, readers: Mapping[str, Reader], words: Words) -> Groups:
    """The slices of `rows` by `column`: (name, indexes), none of them empty, together every row but those of categories
    beyond the MOST_GROUPS most frequent. A column with a reader is read as the model reads it."""
    values = rows[column]
    reader = readers.get(column)
    if reader is None:
        if values.dtype.is_numeric():
            return _by_number(values.cast(pl.Float64), _plain)
        return _by_category(values, words)
    if reader.type in ("categorical", "text"):
        return _by_category(values, words)
    read = rows.select(reader.expression(values.dtype, words)).to_series().cast(pl.Float64)
    return _by_number(read, _NAMES[reader.type])


def _plain(number: float) -> str:
    return f"{number:.6g}"


def _day(microseconds: float) -> str:
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=microseconds)).date().isoformat()


_NAMES: dict[str, Callable[[float], str]] = {
    "numeric": _plain,
    "boolean": lambda number: "true" if number else "false",
    "datetime": _day,
}


def _by_number(values: pl.Series, name: Callable[[float], str]) -> Groups:
    numbers = values.fill_null(float("nan")).to_numpy()
    known = np.isfinite(numbers)
    distinct = np.unique(numbers[known])
    if len(distinct) <= FEW_NUMBERS:
        cut = [(name(number), np.flatnonzero(numbers == number)) for number in distinct]
    else:
        first, second, third = np.quantile(numbers[known], (0.25, 0.5, 0.75))
        bounds = ((-np.inf, first), (first, second), (second, third), (third, np.inf))
        names = (
            f"Q1: up to {name(first)}",
            f"Q2: {name(first)} to {name(second)}",
            f"Q3: {name(second)} to {name(third)}",
            f"Q4: above {name(third)}",
        )
        places = [np.flatnonzero(known & (numbers > low) & (numbers <= high)) for low, high in bounds]
        cut = [(text, place) for text, place in zip(names, places, strict=True) if len(place)]
    return cut + ([(MISSING, np.flatnonzero(~known))] if not known.all() else [])


def _by_category(values: pl.Series, words: Words) -> Groups:
    """A slice a category, most frequent first, each under its most frequent spelling."""
    read = key(pl.col("value"), values.dtype, words)
    spelling = pl.col("value").cast(pl.String).str.strip_chars().mode().sort().first()
    table = (
        values.alias("value")
        .to_frame()
        .with_columns(read.alias("key"))
        .with_row_index("row")
        .group_by("key", maintain_order=True)
        .agg(pl.col("row"), spelling.alias("name"))
        .with_columns(pl.col("row").list.len().alias("count"))
        .sort("count", "key", descending=[True, False], nulls_last=True)
        .head(MOST_GROUPS)
    )
    return [
        (MISSING if name_key is None else name, np.asarray(rows, dtype=np.int64))
        for name_key, rows, name in table.select("key", "row", "name").iter_rows()
    ]
