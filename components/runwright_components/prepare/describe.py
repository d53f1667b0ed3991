"""Summaries of large columns for the quality report. Of many rows an even sample is described, which is as good to look
at; counts and extremes are exact. Nothing that is fitted comes from here."""

from __future__ import annotations

import datetime
from collections.abc import Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray

from runwright_components.prepare.quality import BINS, QUANTILES, TOP, Histogram, Summary, Top

SAMPLED = 100_000  # values
_SECOND = 1_000_000


def numbers(
    values: NDArray[np.float64], edges: Sequence[float] | None = None, *, times: bool = False, rows: int | None = None
) -> Summary:
    """The distribution of numbers [N]; what is not finite is missing. `times` are microseconds since 1970, and are
    described in seconds. `edges` are those of another summary's histogram, to draw the two over each other. `rows` says
    how many rows there are where `values` are a sample of them."""
    known = np.isfinite(values)
    missing = len(values) - int(np.count_nonzero(known))
    sample = _thinned(values, known)
    if not len(sample):
        return Summary(rows=rows or len(values), missing=missing, distinct=0)
    exact = rows is None and len(sample) == len(values) - missing
    low, high = float(np.fmin.reduce(values)), float(np.fmax.reduce(values))
    if not np.isfinite(high - low):
        low, high = float(values[known].min()), float(values[known].max())
    if times:
        sample, low, high = sample / _SECOND, low / _SECOND, high / _SECOND
    with np.errstate(over="ignore", invalid="ignore"):
        quantiles = np.nan_to_num(np.quantile(sample, QUANTILES))
        mean, deviation = float(sample.mean()), float(sample.std())
    return Summary(
        rows=rows or len(values),
        missing=missing,
        distinct=len(np.unique(sample)) if exact else None,
        exact=exact,
        min=low,
        max=high,
        mean=_finite(mean),
        std=_finite(deviation),
        quantiles=tuple(quantiles.tolist()),
        histogram=_histogram(sample, np.asarray(edges) if edges else _edges(low, high, quantiles)),
        first=_iso(low) if times else None,
        last=_iso(high) if times else None,
    )


def sampled(rows: NDArray[np.bool_]) -> NDArray[np.intp]:
    """The places of at most `SAMPLED` of the chosen rows, evenly spread."""
    places = np.flatnonzero(rows)
    return places[:: -(-len(places) // SAMPLED)] if len(places) > SAMPLED else places


def _thinned(values: NDArray[np.float64], known: NDArray[np.bool_]) -> NDArray[np.float64]:
    if len(values) <= SAMPLED:
        return values[known]
    step = -(-len(values) // SAMPLED)
    thin = values[::step][known[::step]]
    return thin if len(thin) >= SAMPLED // 100 else values[known][:SAMPLED]


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
    below, above = finite < low, finite > high
    with np.errstate(over="ignore", invalid="ignore"):
        position = (finite[~(below | above)] - low) * (bins / (high - low))
    inside = np.minimum(np.nan_to_num(position, posinf=0).astype(np.int64), bins - 1)
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
