"""Summaries of large columns for the quality report: moments and histograms exact, quantiles of many rows sampled."""

from __future__ import annotations

import datetime
from collections.abc import Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray

from runwright_components.prepare.quality import BINS, QUANTILES, TOP, Histogram, Summary, Top

SAMPLED = 100_000  # values that quantiles and distinct counts are taken from, where there are more
_SECOND = 1_000_000


def numbers(values: NDArray[np.float64], edges: Sequence[float] | None = None, *, times: bool = False) -> Summary:
    """The distribution of numbers [N]; what is not finite is missing. `times` are microseconds since 1970, and are
    described in seconds. `edges` are those of another summary's histogram, to draw the two over each other."""
    finite = values[np.isfinite(values)]
    missing = len(values) - len(finite)
    if not len(finite):
        return Summary(rows=len(values), missing=missing, distinct=0)
    if times:
        finite = finite / _SECOND
    sample = finite if len(finite) <= SAMPLED else finite[:: -(-len(finite) // SAMPLED)]
    low, high = float(finite.min()), float(finite.max())
    quantiles = np.quantile(sample, QUANTILES)
    bins = np.asarray(edges) if edges else _edges(low, high, quantiles)
    return Summary(
        rows=len(values),
        missing=missing,
        distinct=len(np.unique(sample)) if len(sample) == len(finite) else None,
        exact=len(sample) == len(finite),
        min=low,
        max=high,
        mean=_finite(float(finite.mean())),
        std=_finite(float(finite.std())),
        quantiles=tuple(quantiles.tolist()),
        histogram=_histogram(finite, bins),
        first=_iso(low) if times else None,
        last=_iso(high) if times else None,
    )


def categories(counts: pl.DataFrame, missing: int) -> Summary:
    """Of a table `value`, `rows` with one row a category."""
    ordered = counts.filter(pl.col("rows") > 0).sort("rows", "value", descending=[True, False])
    top = ordered.head(TOP)
    present = int(ordered["rows"].sum())
    return Summary(
        rows=present + missing,
        missing=missing,
        distinct=len(ordered),
        top=tuple(Top(value=str(value), rows=rows) for value, rows in top.select("value", "rows").iter_rows()),
        other=present - int(top["rows"].sum()),
    )


def _edges(low: float, high: float, quantiles: NDArray[np.float64]) -> NDArray[np.float64]:
    """Bins over all values, or, where far outliers would press the rest into one bin, over three times the width of
    the middle 98 %."""
    inner_low, inner_high = float(quantiles[0]), float(quantiles[-1])
    width = inner_high - inner_low
    if width > 0 and high - low > 10 * width:
        low, high = max(low, inner_low - width), min(high, inner_high + width)
    if low == high or not np.isfinite(high - low):
        return np.array([np.nextafter(low, -np.inf), np.nextafter(high, np.inf)])
    return np.linspace(low, high, BINS + 1)


def _histogram(finite: NDArray[np.float64], edges: NDArray[np.float64]) -> Histogram:
    low, high, bins = edges[0], edges[-1], len(edges) - 1
    # By position rather than np.histogram, which searches and costs several times as much on millions of values.
    with np.errstate(over="ignore", invalid="ignore"):
        position = np.clip((finite - low) * (bins / (high - low)), -1, bins + 1)
    below, above = finite < low, finite > high
    inside = np.minimum(position.astype(np.int16), bins - 1)
    if below.any() or above.any():
        inside = inside[~(below | above)]
    counts = np.bincount(inside, minlength=bins)
    return Histogram(
        edges=tuple(float(edge) for edge in edges),
        counts=tuple(counts.tolist()),
        below=int(below.sum()),
        above=int(above.sum()),
    )


def _finite(value: float) -> float | None:
    return value if np.isfinite(value) else None


def _iso(seconds: float) -> str:
    try:
        moment = datetime.datetime(1970, 1, 1) + datetime.timedelta(seconds=seconds)
    except OverflowError:
        return f"{seconds:.0f} s since 1970"
    return moment.isoformat(timespec="seconds")
