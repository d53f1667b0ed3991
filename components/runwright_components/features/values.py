"""How raw values are read: Polars expressions from a source's column to text keys, numbers, truth values and times.

The same functions build the expressions of the batch and of an online request, for columns that hold text (CSV, JSON
strings) and for typed ones (Parquet, JSON numbers). Nothing raises: what is missing becomes null, and what is there but
cannot be read becomes NaN, so that the two can be counted apart.
"""

from __future__ import annotations

from typing import Literal

import polars as pl

from runwright_components.contract.artifacts import Document

TRUE_WORDS = ("true", "t", "yes", "y", "on")
FALSE_WORDS = ("false", "f", "no", "n", "off")
_NAN = pl.lit(float("nan"), dtype=pl.Float64)


class Words(Document):
    """How text is compared: white space trimmed and collapsed, Unicode composed (NFC), case folded when `fold_case`;
    what then is one of `missing` counts as missing."""

    missing: tuple[str, ...] = ()
    fold_case: bool = True


class Notation(Document):
    """How a column writes its numbers. `units` are taken away from either end ("$", "kg", "%"): one unit a column."""

    decimal: Literal[".", ",", "either"] = "."
    grouping: Literal["", ",", ".", " ", "'"] = ""
    units: tuple[str, ...] = ()
    parentheses: bool = False  # (5) is -5, as accountants write


def key(value: pl.Expr, dtype: pl.DataType, words: Words) -> pl.Expr:
    """The text under which values are compared (String; null: missing).

    True and False are `true` and `false`; a float without fraction reads like the integer, for JSON and CSV
    give the same number as 1, 1.0 or "1".
    """
    text = text_of(value, dtype)
    if holds_text(dtype):
        text = text.str.normalize("NFC").str.replace_all(r"\s+", " ").str.strip_chars(" ")
        if words.fold_case:
            text = text.str.to_lowercase()
        lowered = text if words.fold_case else text.str.to_lowercase()
        return _without(text, lowered, words)
    return _without(text, text, words)


def number(value: pl.Expr, dtype: pl.DataType, notation: Notation, words: Words) -> pl.Expr:
    """The number (Float64; null: missing; NaN or infinite: there, but not a finite number)."""
    if not holds_text(dtype):
        read = value.cast(pl.Float64)
        missing = missing_numbers(words)
        return pl.when(~read.is_in(missing)).then(read) if missing else read
    text = text_of(value, dtype).str.strip_chars()
    read = _plain(text, notation).cast(pl.Float64, strict=False)
    return _missing_or(text, read, words)


def truth(value: pl.Expr, dtype: pl.DataType, words: Words) -> pl.Expr:
    """1.0 for true, 0.0 for false (Float64; null: missing; NaN: neither). Takes booleans, 0 and 1, and words."""
    if dtype == pl.Boolean or dtype == pl.Null:
        return value.cast(pl.Float64)
    if not holds_text(dtype):
        read = value.cast(pl.Float64)
        return pl.when(value.is_null() | read.is_in([0.0, 1.0])).then(read.abs()).otherwise(_NAN)
    text = text_of(value, dtype).str.strip_chars()
    lowered = text.str.to_lowercase()
    read = (
        pl.when(lowered.is_in((*TRUE_WORDS, "1", "1.0")))
        .then(1.0)
        .when(lowered.is_in((*FALSE_WORDS, "0", "0.0")))
        .then(0.0)
    )
    return _missing_or(text, read, words)


def moment(value: pl.Expr, dtype: pl.DataType, formats: tuple[str, ...], words: Words) -> pl.Expr:
    """Microseconds since 1970, UTC where the source gives an offset (Float64; null: missing; NaN: no date).

    `formats` are strptime formats, the first that reads a value counts.
    """
    if isinstance(dtype, pl.Datetime) and dtype.time_zone is not None:
        value = value.dt.convert_time_zone("UTC").dt.replace_time_zone(None)
    if isinstance(dtype, (pl.Date, pl.Datetime)):
        return value.cast(pl.Datetime("us")).to_physical().cast(pl.Float64)
    if not holds_text(dtype):
        if dtype == pl.Null:
            return value.cast(pl.Float64)
        return pl.when(value.is_not_null()).then(_moment_of(text_of(value, dtype), formats))
    text = text_of(value, dtype).str.strip_chars()
    return _missing_or(text, _moment_of(text, formats), words)


def missing_numbers(words: Words) -> list[float]:
    """The missing words that are numbers ("-999"): in a typed column these numbers are missing too."""
    found = []
    for word in words.missing:
        try:
            found.append(float(word))
        except ValueError:
            continue
    return [number for number in found if number == number]


def holds_text(dtype: pl.DataType) -> bool:
    """Whether a column of this type holds text."""
    return dtype == pl.String or isinstance(dtype, (pl.Categorical, pl.Enum))


def text_of(value: pl.Expr, dtype: pl.DataType) -> pl.Expr:
    """A typed value as text, whole floats like integers (String; null: missing or NaN); text as it is."""
    if dtype == pl.String:
        return value
    if dtype.is_float():
        whole = value.is_finite() & (value == value.floor()) & (value.abs() < 2**53)
        integer = value.cast(pl.Int64, strict=False).cast(pl.String)
        return pl.when(whole).then(integer).when(value.is_not_nan()).then(value.cast(pl.String))
    return value.cast(pl.String)


def _without(text: pl.Expr, lowered: pl.Expr, words: Words) -> pl.Expr:
    return pl.when(~lowered.is_in(words.missing)).then(text) if words.missing else text


def _missing_or(text: pl.Expr, read: pl.Expr, words: Words) -> pl.Expr:
    """`read`, NaN where it is null, and null where `text` (trimmed) is null or a missing word."""
    return (
        pl.when(read.is_null() & text.is_not_null() & ~text.str.to_lowercase().is_in(words.missing))
        .then(_NAN)
        .when(~text.str.to_lowercase().is_in(_readable_words(words)))
        .then(read)
    )


def _readable_words(words: Words) -> tuple[str, ...]:
    """Missing words that a cast would read as a number."""
    readable = []
    for word in words.missing:
        try:
            float(word)
        except ValueError:
            continue
        readable.append(word)
    return tuple(readable)


def _plain(text: pl.Expr, notation: Notation) -> pl.Expr:
    """`text` in the notation that a cast to Float64 reads; null where digits are grouped wrongly."""
    if notation.parentheses:
        text = text.str.replace(r"^\((.*)\)$", "-$1")
    for unit in notation.units:
        text = text.str.replace(unit, "", literal=True)
    if notation.units:
        text = text.str.replace_all(" ", "", literal=True)
    if notation.grouping:
        group, decimal = _escape(notation.grouping), _escape(notation.decimal)
        grouped = rf"^[+-]?\d{{1,3}}(?:{group}\d{{3}})+(?:{decimal}\d*)?$"
        free = ~text.str.contains(notation.grouping, literal=True)
        text = pl.when(free | text.str.contains(grouped)).then(
            text.str.replace_all(notation.grouping, "", literal=True)
        )
    if notation.decimal == ",":
        text = pl.when(~text.str.contains(".", literal=True)).then(text.str.replace(",", ".", literal=True))
    if notation.decimal == "either":
        pointed = text.str.contains(".", literal=True)
        text = pl.when(pointed).then(text).otherwise(text.str.replace(",", ".", literal=True))
    return text


def _escape(character: str) -> str:
    return "\\." if character == "." else character


def _moment_of(text: pl.Expr, formats: tuple[str, ...]) -> pl.Expr:
    if not formats:
        return pl.lit(None, dtype=pl.Float64)
    return text.map_batches(lambda texts: _moments(texts, formats), return_dtype=pl.Float64, is_elementwise=True)


def _moments(texts: pl.Series, formats: tuple[str, ...]) -> pl.Series:
    """Format by format, each for what none before it has read: an attempt that fails is the dearest."""
    left, found = texts.alias("text"), []
    for form in formats:
        found.append(left.to_frame().select(_parsed(pl.col("text"), form)).to_series())
        left = left.set(found[-1].is_not_null(), None)
        if left.null_count() == len(left):
            break
    read = pl.select(pl.coalesce(found)).to_series()
    return read.to_physical().cast(pl.Float64).alias(texts.name)


def _parsed(text: pl.Expr, form: str) -> pl.Expr:
    if form.endswith("z"):
        read = text.str.to_datetime(form, time_unit="us", time_zone="UTC", strict=False).dt.replace_time_zone(None)
    elif any(mark in form for mark in ("%H", "%I", "%T", "%R", "%s")):
        read = text.str.to_datetime(form, time_unit="us", strict=False)
    else:
        read = text.str.to_date(form, strict=False).cast(pl.Datetime("us"))
    # chrono reads "20" as the year 20 where %Y stands; such a value is for a format with %y.
    return pl.when(read.dt.year() >= 1000).then(read)
