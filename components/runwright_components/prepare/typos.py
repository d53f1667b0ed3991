"""Misspelled categories: a rare category that differs from a frequent one by a letter or two is read as that one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import polars as pl

from runwright_components.prepare.clean import Cleaned, Spellings
from runwright_components.prepare.fit_categorical import by_key, counts
from runwright_components.prepare.infer import Plan
from runwright_components.prepare.quality import Finding
from runwright_components.prepare.select import Selection

_TIMES = 20  # as many rows has a frequent category as a rare one, at least
_KEYS = 10_000  # of a column, the most frequent ones
_SHOWN = 5
_LETTERS = ((8, 2), (4, 1))  # (length from which on, letters that may differ)


def merge(cleaned: Cleaned, plans: Sequence[Plan], selection: Selection) -> tuple[Cleaned, list[Plan], list[Finding]]:
    """Categorical inputs with their misspelled categories merged, as the training split has them, and what is told."""
    spellings, merged, findings = dict(cleaned.spellings), [], []
    for plan in plans:
        known = cleaned.spellings.get(plan.name)
        table = (
            {} if known is None or plan.role != "input" or plan.type != "categorical" else _of(plan, cleaned, selection)
        )
        if table and known is not None and plan.reader is not None:
            spellings[plan.name] = _respelled(known, table)
            plan = replace(plan, reader=plan.reader.model_copy(update={"merged": table}))
            findings.append(_finding(plan.name, table))
        merged.append(plan)
    return replace(cleaned, spellings=spellings), merged, findings


def corrections(rows: Mapping[str, int]) -> dict[str, str]:
    """Which rare category is which frequent one; `rows` of each category of the training split.

    At most one letter differs in words from 4 letters on, two from 8 on (an insertion, a deletion, another letter, or
    two neighbours swapped: Damerau 1964). First letters and digits are the same, and no other frequent category is as
    near.
    """
    frequent = [key for key in rows if rows[key] >= _TIMES]
    index: dict[str, list[str]] = {}
    for key in frequent:
        for left in _without_letters(key):
            index.setdefault(left, []).append(key)
    found = {}
    for key, count in rows.items():
        candidates = {other for left in _without_letters(key) for other in index.get(left, ())}
        near = sorted(
            (distance(key, other), other)
            for other in candidates
            if rows[other] >= _TIMES * count and key[0] == other[0] and _digits(key) == _digits(other)
        )
        near = [(letters, other) for letters, other in near if 0 < letters <= _allowed(key, other)]
        if near and (len(near) == 1 or near[0][0] < near[1][0]):
            found[key] = near[0][1]
    return {key: right for key, right in found.items() if right not in found}


def distance(one: str, other: str) -> int:
    """Letters inserted, deleted, replaced or swapped with their neighbour (optimal string alignment)."""
    before: list[int] = []
    last = list(range(len(other) + 1))
    for row, letter in enumerate(one, start=1):
        current = [row]
        for column, wanted in enumerate(other, start=1):
            cost = min(last[column] + 1, current[-1] + 1, last[column - 1] + (letter != wanted))
            if row > 1 and column > 1 and letter == other[column - 2] and one[row - 2] == wanted:
                cost = min(cost, before[column - 2] + 1)
            current.append(cost)
        before, last = last, current
    return last[-1]


def _of(plan: Plan, cleaned: Cleaned, selection: Selection) -> dict[str, str]:
    spelled = cleaned.spellings[plan.name]
    rows = counts(cleaned.column(plan.name), selection.codes, len(spelled.texts))[0]
    return corrections(dict(by_key(spelled, rows).head(_KEYS).select("key", "rows").iter_rows()))


def _respelled(known: Spellings, table: Mapping[str, str]) -> Spellings:
    keys = known.keys.replace(dict(table))
    return replace(known, keys=keys, code_of=keys.rank("dense").fill_null(0).cast(pl.UInt32).to_numpy())


def _finding(column: str, table: Mapping[str, str]) -> Finding:
    shown = ", ".join(f"{wrong!r} is {right!r}" for wrong, right in list(table.items())[:_SHOWN])
    text = f"column {column!r}: {len(table)} misspelled categories were merged: {shown}"
    return Finding(kind="typo", severity="low", column=column, text=text)


def _allowed(one: str, other: str) -> int:
    shorter = min(len(one), len(other))
    return next((letters for length, letters in _LETTERS if shorter >= length), 0)


def _without_letters(key: str) -> Iterator[str]:
    """The key, and what is left of it without one letter, or two where two may differ (Garbe 2012, SymSpell)."""
    left = {key}
    yield key
    for _ in range(_allowed(key, key)):
        left = {word[:at] + word[at + 1 :] for word in left for at in range(len(word))}
        yield from left


def _digits(key: str) -> str:
    return "".join(letter for letter in key if letter.isdigit())
