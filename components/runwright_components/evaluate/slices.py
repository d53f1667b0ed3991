"""The test rows cut by a column of the source: categories as the preprocessing compares them, numbers by quartile."""

from __future__ import annotations

import difflib
from collections.abc import Callable

import numpy as np
import polars as pl
from numpy.typing import NDArray

from runwright_components.contract.artifacts import Signature
from runwright_components.contract.outcome import Reason, StageError
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


def groups(
    rows: pl.DataFrame,
    column: str,
    signature: Signature,
    words: Words,
    read_number: Callable[[str, str], float | None],
) -> Groups:
    """The slices of `rows` by `column`: (name, indexes), none of them empty, together every row but those of categories
    beyond the MOST_GROUPS most frequent.

    `read_number(column, text)` reads a numeric input as the preprocessing does and raises ValueError where it cannot.
    """
    values = rows[column]
    kinds = {field.name: field.type for field in signature.inputs}
    if kinds.get(column) == "numeric" or (column not in kinds and values.dtype.is_numeric()):
        return _by_number(_numbers(values, read_number))
    return _by_category(values, words)


def _numbers(values: pl.Series, read_number: Callable[[str, str], float | None]) -> NDArray[np.float64]:
    if values.dtype.is_numeric():
        return values.cast(pl.Float64).fill_null(float("nan")).to_numpy()

    def read(text: str) -> float:
        try:
            number = read_number(values.name, text)
        except ValueError:
            return float("nan")
        return float("nan") if number is None else number

    texts = values.cast(pl.String)
    known = {text: read(text) for text in texts.unique().drop_nulls()}
    return np.array([known[text] if text is not None else float("nan") for text in texts], dtype=np.float64)


def _by_number(numbers: NDArray[np.float64]) -> Groups:
    known = np.isfinite(numbers)
    distinct = np.unique(numbers[known])
    if len(distinct) <= FEW_NUMBERS:
        cut = [(f"{number:g}", np.flatnonzero(numbers == number)) for number in distinct]
    else:
        first, second, third = np.quantile(numbers[known], (0.25, 0.5, 0.75))
        bounds = ((-np.inf, first), (first, second), (second, third), (third, np.inf))
        names = (
            f"Q1: up to {first:g}",
            f"Q2: {first:g} to {second:g}",
            f"Q3: {second:g} to {third:g}",
            f"Q4: above {third:g}",
        )
        places = [np.flatnonzero((numbers > low) & (numbers <= high)) for low, high in bounds]
        cut = [(name, place) for name, place in zip(names, places, strict=True) if len(place)]
    absent = ~known
    return cut + ([(MISSING, np.flatnonzero(absent))] if absent.any() else [])


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
