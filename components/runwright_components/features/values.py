"""How raw values are read: Polars expressions from a source's column to text keys, numbers and truth values.

The same functions build the expressions of the streaming batch and of an online request, for columns that hold text
(CSV, JSON strings) and for typed ones (Parquet, JSON numbers). What cannot be read becomes null, never an error.
"""

from __future__ import annotations

from typing import Literal

import polars as pl

from runwright_components.contract.artifacts import Document

TRUE_WORDS = ("true", "t", "yes", "y", "on")
FALSE_WORDS = ("false", "f", "no", "n", "off")


class Words(Document):
    """How text is compared: white space trimmed and collapsed, Unicode composed (NFC), case folded when `fold_case`;
    what then is one of `missing` counts as missing."""

    missing: tuple[str, ...] = ()
    fold_case: bool = True


class Notation(Document):
    """How a column writes its numbers. `units` are taken away from either end ("$", "kg", "%"): one unit a column."""

    decimal: Literal[".", ","] = "."
    grouping: Literal["", ",", ".", " ", "'"] = ""
    units: tuple[str, ...] = ()
    parentheses: bool = False  # (5) is -5, as accountants write


def key(value: pl.Expr, dtype: pl.DataType, words: Words) -> pl.Expr:
    """The text under which values are compared (String; null: missing).

    True and False are `true` and `false`; a float without fraction reads like the integer, for JSON and CSV
    give the same number as 1, 1.0 or "1".
    """
    text = _text(value, dtype)
    if dtype == pl.String or isinstance(dtype, (pl.Categorical, pl.Enum)):
        text = text.str.normalize("NFC").str.replace_all(r"\s+", " ").str.strip_chars(" ")
        if words.fold_case:
            text = text.str.to_lowercase()
            return _without(text, text, words)
        return _without(text, text.str.to_lowercase(), words)
    return _without(text, text, words)


def number(value: pl.Expr, dtype: pl.DataType, notation: Notation, words: Words) -> pl.Expr:
    """The number (Float64; null: missing, unreadable, NaN or infinite)."""
    if dtype == pl.Null:
        return value.cast(pl.Float64)
    if dtype == pl.Boolean or dtype.is_numeric():
        read = value.cast(pl.Float64)
        missing = missing_numbers(words)
        return pl.when(read.is_finite() & ~read.is_in(missing) if missing else read.is_finite()).then(read)
    text = _text(value, dtype).str.strip_chars()
    lowered = text.str.to_lowercase()
    read = _plain(text, notation).cast(pl.Float64, strict=False)
    return pl.when(read.is_finite() & ~lowered.is_in(words.missing)).then(read)


def truth(value: pl.Expr, dtype: pl.DataType, words: Words) -> pl.Expr:
    """1.0 for true, 0.0 for false (Float64; null: missing or neither). Takes booleans, 0 and 1, and words."""
    if dtype == pl.Boolean:
        return value.cast(pl.Float64)
    if dtype == pl.Null:
        return value.cast(pl.Float64)
    if dtype.is_numeric():
        return pl.when(value.is_in([0, 1])).then(value.cast(pl.Float64))
    text = _text(value, dtype).str.strip_chars().str.to_lowercase()
    positive = text.is_in((*TRUE_WORDS, "1", "1.0"))
    negative = text.is_in((*FALSE_WORDS, "0", "0.0"))
    missing = text.is_in(words.missing)
    return pl.when(positive & ~missing).then(1.0).when(negative & ~missing).then(0.0)


def missing_numbers(words: Words) -> list[float]:
    """The missing words that are numbers ("-999"): in a typed column these numbers are missing too."""
    found = []
    for word in words.missing:
        try:
            found.append(float(word))
        except ValueError:
            continue
    return [number for number in found if number == number]


def _text(value: pl.Expr, dtype: pl.DataType) -> pl.Expr:
    if dtype == pl.String:
        return value
    if dtype.is_float():
        whole = value.is_finite() & (value == value.floor()) & (value.abs() < 2**53)
        return (
            pl.when(whole)
            .then(value.cast(pl.Int64, strict=False).cast(pl.String))
            .when(value.is_not_nan())
            .then(value.cast(pl.String))
        )
    return value.cast(pl.String)


def _without(text: pl.Expr, lowered: pl.Expr, words: Words) -> pl.Expr:
    return pl.when(~lowered.is_in(words.missing)).then(text) if words.missing else text


def _plain(text: pl.Expr, notation: Notation) -> pl.Expr:
    """`text` in the notation that a cast to Float64 reads."""
    if notation.parentheses:
        text = text.str.replace(r"^\((.*)\)$", "-$1")
    for unit in notation.units:
        text = text.str.replace(unit, "", literal=True)
    if notation.units:
        text = text.str.strip_chars()
    if notation.grouping:
        text = text.str.replace_all(notation.grouping, "", literal=True)
    if notation.decimal == ",":
        text = text.str.replace(",", ".", literal=True)
    return text
