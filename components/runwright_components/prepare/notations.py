"""How a column of text writes its numbers: decimal mark, grouping, unit, parentheses; told from a sample's values."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from runwright_components.features.values import Notation

Counted = Sequence[tuple[str, int]]  # distinct values, trimmed, with their rows

_WHOLE = re.compile(
    r"(?P<open>\()?\s*[+-]?\s*(?P<prefix>[^\d\s.,'()+-]{1,6})?\s*"
    r"(?P<core>[+-]?(?:\d[\d.,'\u00a0\u202f ]*|[.,]\d+)(?:[eE][+-]?\d+)?)"
    r"\s*(?P<suffix>[^\d\s.,'()+-][^\d()+-]{0,11})?\s*(?P<close>\))?"
)
_EXPONENT = r"(?:[eE][+-]?\d+)?"
_CURRENCY = re.compile(
    r"AUD|BRL|CAD|CHF|CNY|CZK|DKK|EUR|FR|GBP|HKD|INR|JPY|KRW?|MXN|NOK|NZD|PLN|RS|SEK|SGD|USD|ZAR", re.IGNORECASE
)
_SURE = 0.95  # share of the rows that a notation must read before a mixture of marks is thought of
# In the order of preference, for values that two of them read.
_MARKS: tuple[tuple[Literal[".", ","], Literal["", ",", ".", " ", "'"]], ...] = (
    (".", ""),
    (".", ","),
    (",", ""),
    (",", "."),
    (".", " "),
    (",", " "),
    (".", "'"),
)


@dataclass(frozen=True)
class Reading:
    """`share` of the rows that the notation reads; `note` says what was uncertain."""

    notation: Notation
    share: float
    note: str = ""


def find(values: Counted, decimal: Literal["auto", "point", "comma"], *, free: bool) -> Reading:
    """The notation that reads the most rows. Without `free` only plain numbers count, such as 1.5 or 1e3."""
    total = sum(rows for _, rows in values)
    if not total:
        return Reading(Notation(), 0.0)
    plain = _score([(text, rows) for text, rows in values], ".", "") / total
    if not free or (plain == 1 and decimal != "comma"):
        return Reading(Notation(), plain)
    cores: list[tuple[str, int]] = []
    units: dict[str, str] = {}  # spelling -> folded
    parentheses = False
    for text, rows in values:
        match = _WHOLE.fullmatch(text)
        if match is None or bool(match["open"]) != bool(match["close"]) or _is_code(match):
            continue
        parentheses = parentheses or bool(match["open"])
        units.update((unit.strip(), unit.strip().casefold()) for unit in (match["prefix"], match["suffix"]) if unit)
        cores.append((match["core"].strip(), rows))
    if len(set(units.values())) > 1:
        shown = ", ".join(sorted(set(units.values()))[:4])
        return Reading(Notation(), plain, f"several units ({shown}), so the values cannot be compared as numbers")
    marks = [pair for pair in _MARKS if decimal == "auto" or pair[0] == {"point": ".", "comma": ","}[decimal]]
    scores = {pair: _score(cores, *pair) for pair in marks}
    best = max(marks, key=lambda pair: scores[pair])
    other = (",", "") if best == (".", ",") else None
    note = ""
    if other in scores and scores[other] == scores[best]:
        note = (
            'the comma could be a decimal mark; taken for thousands (set prepare.formats.decimal to "comma" if it is)'
        )
    longest_first = tuple(sorted(units, key=lambda unit: (-len(unit), unit)))
    notation = Notation(decimal=best[0], grouping=best[1], units=longest_first, parentheses=parentheses)
    if decimal == "auto" and scores[best] < _SURE * total:
        either = _score([(text.replace(",", "."), rows) for text, rows in cores], ".", "")
        if either >= _SURE * total:
            pointed, commas = (sum(rows for text, rows in cores if mark in text) for mark in ".,")
            note = f"decimal points in {pointed:,} rows and decimal commas in {commas:,} of the sample: both are read"
            return Reading(notation.model_copy(update={"decimal": "either", "grouping": ""}), either / total, note)
    return Reading(notation, scores[best] / total, note)


def _is_code(match: re.Match[str]) -> bool:
    """Whether letters that touch the digits make it a name rather than an amount: PAL0708, B-737, but not USD5."""
    prefix = match["prefix"] or ""
    touches = match.end("prefix") == match.start("core")
    return touches and prefix[-1:].isalpha() and not _CURRENCY.fullmatch(prefix)


def _score(cores: Counted, decimal: str, grouping: str) -> int:
    mark = re.escape(decimal)
    if grouping:
        group = r"[ \u00a0\u202f]" if grouping == " " else re.escape(grouping)
        whole = rf"(?:\d{{1,3}}(?:{group}\d{{3}})+|\d+)"
    else:
        whole = r"\d+"
    pattern = re.compile(rf"[+-]?(?:{whole}(?:{mark}\d*)?|{mark}\d+){_EXPONENT}")
    return sum(rows for text, rows in cores if pattern.fullmatch(text))


def describe(notation: Notation) -> str:
    """The notation in words; empty for the plain one."""
    parts = []
    if notation.decimal != ".":
        parts.append("decimal comma" if notation.decimal == "," else "decimal comma or point")
    if notation.grouping:
        parts.append(f"thousands grouped by {notation.grouping!r}")
    if notation.units:
        parts.append("unit " + ", ".join(repr(unit) for unit in notation.units))
    if notation.parentheses:
        parts.append("parentheses for negative numbers")
    return "; ".join(parts)
