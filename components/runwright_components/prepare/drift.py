"""How the data of a run differ from those of the revision before it, told from the two documents of quality."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from runwright_components.contract.artifacts import QUALITY, Document
from runwright_components.contract.outcome import StageError
from runwright_components.prepare.quality import QUANTILES, ColumnQuality, Quality, Summary

SHIFTED = 0.25  # the usual reading of the index: below 0.1 the same, above 0.25 another population
_LEAST = 1e-4  # share of a bin, so that an empty one does not count without end
_FEWEST = 100  # values on both sides


Shares = NDArray[np.float64]


class Drift(Document):
    """What became of a column since the former revision. `psi` is the population stability index (Siddiqi 2006)."""

    column: str
    change: Literal["new", "gone", "retyped", "shifted", "same"]
    note: str = ""
    psi: float | None = None


def drift_since(former: Path | None, prepared: Path) -> tuple[Drift, ...]:
    """The drift from prepared data to others; nothing where there are none, or another version wrote them."""
    if former is None:
        return ()
    try:
        earlier = Quality.read(former, QUALITY)
    except StageError:
        return ()
    return drift(earlier, Quality.read(prepared, QUALITY))


def drift(former: Quality, now: Quality) -> tuple[Drift, ...]:
    """Every column of both as the source has it, the largest change first; columns without figures are left out."""
    found = list(_columns(former, now))
    order = {"gone": 0, "new": 1, "retyped": 2}
    return tuple(sorted(found, key=lambda each: (order.get(each.change, 3), -(each.psi or 0.0), each.column)))


def sentences(found: Sequence[Drift]) -> Iterator[str]:
    """What is worth a warning."""
    for each in found:
        if each.change != "same":
            yield f"since the former revision, column {each.column!r} is {each.change}: {each.note}"


def _columns(former: Quality, now: Quality) -> Iterator[Drift]:
    before = {column.name: column for column in former.columns}
    after = {column.name: column for column in now.columns}
    for name in before.keys() - after.keys():
        yield Drift(column=name, change="gone", note=f"it was {before[name].type}")
    for name in after.keys() - before.keys():
        yield Drift(column=name, change="new", note=after[name].type)
    for name in before.keys() & after.keys():
        yield from _column(before[name], after[name])


def _column(before: ColumnQuality, after: ColumnQuality) -> Iterator[Drift]:
    if before.type != after.type:
        yield Drift(column=after.name, change="retyped", note=f"{before.type} became {after.type}")
        return
    index = stability(before.before, after.before)
    if index is not None:
        shifted = index >= SHIFTED
        note = f"population stability index {index:.2f}" if shifted else ""
        yield Drift(column=after.name, change="shifted" if shifted else "same", note=note, psi=index)


def stability(before: Summary, after: Summary) -> float | None:
    """The population stability index of two summaries, missing values as a bin of their own; None where there is too
    little to compare. Numbers are cut at the former quantiles, the later shares read off the later quantiles."""
    if min(before.rows, after.rows) < _FEWEST:
        return None
    if before.quantiles and after.quantiles:
        expected, actual = _shares(before, after)
    elif before.top and after.top:
        expected, actual = _frequencies(before, after)
    else:
        return None
    gaps = (before.missing / before.rows, after.missing / after.rows)
    return _index([*(expected * (1 - gaps[0])), gaps[0]], [*(actual * (1 - gaps[1])), gaps[1]])


def _shares(before: Summary, after: Summary) -> tuple[Shares, Shares]:
    """Expected and actual shares of the bins between the former quantiles."""
    # Both by the same reading of the former cuts, so that data that did not change have an index of nothing.
    expected, actual = ([_below(cut, side) for cut in before.quantiles] for side in (before, after))
    return np.diff([0.0, *expected, 1.0]).clip(0.0), np.diff([0.0, *actual, 1.0]).clip(0.0)


def _below(cut: float, summary: Summary) -> float:
    """The share of values below `cut`; half of those that are equal to it count, for quantiles may coincide."""
    values = [summary.min or 0.0, *summary.quantiles, summary.max or 0.0]
    shares = [0.0, *QUANTILES, 1.0]
    upper = np.interp(cut, values, shares)
    lower = 1 - np.interp(-cut, [-value for value in reversed(values)], [1 - share for share in reversed(shares)])
    return float(upper + lower) / 2


def _frequencies(before: Summary, after: Summary) -> tuple[Shares, Shares]:
    """Shares of the present values of each category that is frequent in either, and of all others."""
    old, new = ({entry.value: entry.rows for entry in side.top} for side in (before, after))
    names = sorted(old.keys() | new.keys())
    sides = []
    for side, counts in ((before, old), (after, new)):
        present = max(side.rows - side.missing, 1)
        named = [counts.get(name, 0) / present for name in names]
        sides.append(np.array([*named, max(0.0, 1 - sum(named))]))
    return sides[0], sides[1]


def _index(expected: Sequence[float], actual: Sequence[float]) -> float:
    pairs = ((max(one, _LEAST), max(other, _LEAST)) for one, other in zip(expected, actual, strict=True))
    return float(sum((other - one) * math.log(other / one) for one, other in pairs))
