"""What is odd about a column: values that stand for something else, far ones, near spellings, what tells the target.

Pure: from summaries, spellings and an even sample of the rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray

from runwright_components.prepare.quality import ColumnQuality, Relation, Summary
from runwright_components.prepare.relations import Codes, Numbers, Sampled
from runwright_components.profile.document import Finding

SUSPICIOUS = 0.99  # of what can be foretold of the target, by one column alone
SAME = 0.999  # rank correlation
UNEVEN = 10  # times the rows of the smallest class
MOSTLY_MISSING = 0.5
REACH = 3.0  # interquartile ranges beyond the quartiles
_SENTINELS = {sign * number for number in (9, 99, 999, 9999, 99999, 999999) for sign in (1, -1)} | {-1, -8, -88, -888}
_REPEATED = 3  # rows, at least, of a value that stands for "missing"
_BINS = 1000
_ROWS_A_BIN = 20
_FEW_ROWS = 50
_RARE = 0.05  # of the rows of the spelling that was meant
_SHORTEST = 4  # letters of a word that may be misspelled
_COMPARED = 300  # spellings of a column
_FIRST_YEAR, _LAST_YEAR = "1900", "2100"


def sentinels(values: Numbers) -> list[tuple[float, int]]:
    """Numbers such as -999 that lie far from all others and repeat: (value, rows)."""
    finite = values[np.isfinite(values)]
    distinct, rows = np.unique(finite, return_counts=True)
    found = []
    while len(distinct) > 2:
        low, high = distinct[0], distinct[-1]
        middle = distinct[1:-1]
        spread = float(middle[-1] - middle[0]) or abs(float(middle[0])) or 1.0
        if low in _SENTINELS and rows[0] >= _REPEATED and middle[0] - low > spread:
            found.append((float(low), int(rows[0])))
            distinct, rows = distinct[1:], rows[1:]
        elif high in _SENTINELS and rows[-1] >= _REPEATED and high - middle[-1] > spread:
            found.append((float(high), int(rows[-1])))
            distinct, rows = distinct[:-1], rows[:-1]
        else:
            break
    return found


def outside(values: Numbers, without: Sequence[float] = ()) -> tuple[int, float, float]:
    """The values beyond Tukey's far fences: their number, and the fences. None where the quartiles are one."""
    finite = values[np.isfinite(values) & ~np.isin(values, without)]
    if len(finite) < _FEW_ROWS:
        return (0, 0.0, 0.0)
    first, third = np.quantile(finite, (0.25, 0.75))
    reach = REACH * (third - first)
    low, high = float(first - reach), float(third + reach)
    return (int(((finite < low) | (finite > high)).sum()) if reach > 0 else 0, low, high)


def near_spellings(counts: pl.DataFrame) -> list[tuple[str, str, int]]:
    """Rare words one letter away from a frequent one: (rare, frequent, rows of the rare). Of a table with `label` and
    `rows`, the most frequent first."""
    labels, rows = counts["label"].head(_COMPARED).to_list(), counts["rows"].head(_COMPARED).to_list()
    found = []
    for place, word in enumerate(labels):
        for meant, many in zip(labels[:place], rows[:place], strict=True):
            if rows[place] <= _RARE * many and len(word) >= _SHORTEST and _one_apart(word.lower(), meant.lower()):
                found.append((word, meant, rows[place]))
                break
    return found


def _one_apart(one: str, other: str) -> bool:
    """Whether one letter more, less or other, or two exchanged, make one of the other. Words with digits are codes."""
    if abs(len(one) - len(other)) > 1 or any(letter.isdigit() for letter in one + other):
        return False
    start = next((i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
    left, right = one[start:], other[start:]
    exchanged = left[:2] == right[:2][::-1] and left[2:] == right[2:]
    return exchanged or left[1:] == right[1:] or left[1:] == right or left == right[1:]


def foretold(feature: Numbers | Codes, target: Numbers | Codes) -> float:
    """How well the column alone tells the target, at most 1; 0 is a guess.

    The column is cut into bins (numbers by quantiles); what half of the rows, drawn by chance, say of a bin is held
    against the rest: accuracy above that of the most frequent class, or R2.
    """
    known = ~np.isnan(target) if target.dtype == np.float64 else target >= 0
    bins, values = _bins(feature[known]), target[known]
    learn = np.random.default_rng(0).random(len(values)) < 0.5  # rows may come in a rhythm, so not every other one
    if len(values) < _FEW_ROWS or bins is None:
        return 0.0
    size = int(bins.max()) + 1
    counted = np.bincount(bins[learn], minlength=size)
    judged = ~learn & (counted[bins] > 0)
    if judged.sum() < len(values) / 4:
        return 0.0
    truth = values[judged]
    if values.dtype == np.float64:
        means = np.bincount(bins[learn], weights=values[learn], minlength=size) / np.maximum(counted, 1)
        total = float(((truth - truth.mean()) ** 2).sum())
        return 1 - float(((truth - means[bins[judged]]) ** 2).sum()) / total if total else 0.0
    classes = int(values.max()) + 1
    table = np.bincount(bins[learn] * classes + values[learn], minlength=size * classes).reshape(size, classes)
    right = float((table.argmax(axis=1)[bins[judged]] == truth).mean())
    guess = float(np.bincount(truth).max()) / len(truth)
    return (right - guess) / (1 - guess) if guess < 1 else 0.0


def _bins(feature: Numbers | Codes) -> NDArray[np.int64] | None:
    """The number of each row's bin; None where nearly every row is one of its own."""
    if feature.dtype != np.float64:
        places = feature.astype(np.int64) + 1
        return places if len(np.unique(places)) <= len(places) / 4 else None
    finite = feature[np.isfinite(feature)]
    if not len(finite):
        return None
    wanted = max(2, min(_BINS, len(feature) // _ROWS_A_BIN))
    edges = np.unique(np.quantile(finite, np.linspace(0, 1, wanted + 1)[1:-1]))
    places = np.searchsorted(edges, feature, side="left").astype(np.int64) + 1
    places[~np.isfinite(feature)] = 0
    return places


def leaks(columns: Sampled, target: str) -> dict[str, float]:
    """The inputs that tell the target nearly alone, and how well."""
    if target not in columns:
        return {}
    found = {name: foretold(column, columns[target]) for name, column in columns.items() if name != target}
    return {name: share for name, share in found.items() if share >= SUSPICIOUS}


def copies(relations: Sequence[Relation], target: str) -> Iterator[Finding]:
    """Inputs that say the same as an earlier one."""
    for each in relations:
        same = each.measure in ("spearman", "cramer") and abs(each.strength) >= SAME
        if same and target not in (each.left, each.right):
            note = f"says nearly the same as {each.left!r} ({each.measure} {each.strength:.3f})"
            yield Finding(kind="copy", column=each.right, note=note)


def of_summary(column: ColumnQuality) -> Iterator[Finding]:
    """What the figures of a column alone tell."""
    before = column.before
    if column.role == "ignored":
        yield Finding(kind="unused", column=column.name, note=column.reason)
    elif before.distinct == 1 and column.role == "input":
        yield Finding(kind="constant", column=column.name, note="it has the one value " + _only(before))
    elif before.rows and before.missing / before.rows > MOSTLY_MISSING:
        yield Finding(
            kind="missing", column=column.name, note=f"{before.missing / before.rows:.0%} of the values are missing"
        )
    if before.first is not None and before.last is not None:
        far = [text[:10] for text in (before.first, before.last) if not _FIRST_YEAR <= text[:4] < _LAST_YEAR]
        if far:
            yield Finding(kind="dates", column=column.name, note=f"dates far away, such as {' and '.join(far)}")


def _only(summary: Summary) -> str:
    return repr(summary.top[0].value) if summary.top else f"{summary.min:g}"


def uneven(counts: Mapping[str, int]) -> str:
    """What to say of classes whose sizes differ much; empty where they do not."""
    if len(counts) < 2:
        return ""
    largest, smallest = max(counts, key=lambda name: counts[name]), min(counts, key=lambda name: counts[name])
    if counts[largest] <= UNEVEN * counts[smallest]:
        return ""
    return f"{counts[largest]} rows are {largest!r}, {counts[smallest]} are {smallest!r}"
