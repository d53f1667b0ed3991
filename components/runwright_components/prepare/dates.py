"""How a column of text writes its dates: the formats that occur, and whether the day or the month comes first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from runwright_components.features.tabular_state import ISO_FORMATS
from runwright_components.features.values import Words, moment
from runwright_components.prepare.notations import Counted

_TIMES = ("", " %H:%M", " %H:%M:%S", " %I:%M %p", " %I:%M:%S %p")
_PLAIN = (
    "%Y/%m/%d",
    "%Y.%m.%d",
    "%d %b %Y",
    "%b %d, %Y",
    "%b %d %Y",
    "%d-%b-%Y",
    "%d-%b-%y",
    "%d. %b %Y",
    "%a, %d %b %Y",
)
_UNAMBIGUOUS = (*ISO_FORMATS, *(day + time for day in _PLAIN for time in _TIMES), "%Y%m%d")
_NAMES = "jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec|mon|tue|wed|thu|fri|sat|sun"
# Cheaper than trying every format on every category of every table.
_LOOKS = rf"(?i)^(?:[\d :./,+-]|(?:{_NAMES})[a-z]*|[tz]|[ap]m)*$"
_SEPARATORS = ("/", ".", "-")
_PAIRS = tuple(
    (f"%d{s}%m{s}%{year}{time}", f"%m{s}%d{s}%{year}{time}") for s in _SEPARATORS for year in "Yy" for time in _TIMES
)
AMBIGUOUS = r"^\s*(\d{1,2})[/.-](\d{1,2})[/.-]\d{2,4}(?:\D|$)"


@dataclass(frozen=True)
class Reading:
    """`share` of the rows that `formats` read; `note` says how day and month were told apart, `unsure` that they were
    not."""

    formats: tuple[str, ...]
    share: float
    note: str = ""
    unsure: bool = False


def find(values: Counted, given: Sequence[str], evidence: tuple[int, int] = (0, 0)) -> Reading:
    """The formats that read the values. `given` formats come first, and where they read everything they are the only
    ones. `evidence` counts the rows, beyond the sample, whose first or second number is above 12: day first, or month
    first."""
    total = sum(rows for _, rows in values)
    if not total:
        return Reading(tuple(given), 0.0)
    texts = pl.Series("text", [text for text, _ in values], dtype=pl.String)
    weights = pl.Series("rows", [rows for _, rows in values], dtype=pl.Int64)
    left = pl.Series([True] * len(texts))
    chosen: list[str] = []
    for form in given:
        chosen.append(form)
        left &= ~_reads(texts, form)
    if not given and int(weights.filter(texts.str.contains(_LOOKS)).sum()) < 0.9 * total:
        return Reading((), 0.0)
    for form in _UNAMBIGUOUS if left.any() else ():
        hits = _reads(texts, form) & left
        if hits.any():
            chosen.append(form)
            left &= ~hits
    note, unsure = "", False
    if left.any():
        formats, left, note, unsure = _ordered(texts, weights, left, evidence)
        chosen.extend(formats)
    return Reading(tuple(chosen), 1 - int(weights.filter(left).sum()) / total, note, unsure)


def _ordered(
    texts: pl.Series, weights: pl.Series, left: pl.Series, evidence: tuple[int, int]
) -> tuple[list[str], pl.Series, str, bool]:
    """The formats in which day and month could change places, the likelier order first."""
    day_first, month_first = evidence
    used = []
    for day, month in _PAIRS:
        by_day, by_month = _reads(texts, day) & left, _reads(texts, month) & left
        if (by_day | by_month).any():
            used.append((day, month))
            day_first += int(weights.filter(by_day & ~by_month).sum())
            month_first += int(weights.filter(by_month & ~by_day).sum())
            left = left & ~(by_day | by_month)
    if not used:
        return [], left, "", False
    first = 0 if day_first >= month_first else 1
    formats = [pair[first] for pair in used]
    names = ("day", "month") if first == 0 else ("month", "day")
    if day_first and month_first:
        formats += [pair[1 - first] for pair in used]
        counts = (max(day_first, month_first), min(day_first, month_first))
        return formats, left, f"{names[0]} first in {counts[0]} rows, {names[1]} first in {counts[1]}", True
    if day_first or month_first:
        return formats, left, f"{names[0]} first, as {max(day_first, month_first)} rows show", False
    return formats, left, "no row tells whether day or month comes first; taken as day first", True


def _reads(texts: pl.Series, form: str) -> pl.Series:
    read = texts.to_frame("text").select(moment(pl.col("text"), pl.String(), (form,), Words()).alias("text"))
    return read.to_series().is_not_nan().fill_null(False)
