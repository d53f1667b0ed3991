"""Summaries of values that fit into memory, for the quality report."""

from __future__ import annotations

import numpy as np
import polars as pl
from numpy.typing import ArrayLike

from runwright_components.prepare.quality import BINS, QUANTILES, TOP, Histogram, Measure, Summary, Top


def numbers(values: ArrayLike) -> Summary:
    """The distribution of finite numbers [N]."""
    exact = np.asarray(values, dtype=np.float64).reshape(-1)
    if not exact.size:
        return Summary(rows=0)
    counts, edges = np.histogram(exact, bins=min(BINS, max(1, len(np.unique(exact)))))
    return Summary(
        rows=exact.size,
        distinct=len(np.unique(exact)),
        min=float(exact.min()),
        max=float(exact.max()),
        mean=float(exact.mean()),
        std=float(exact.std()),
        quantiles=tuple(np.quantile(exact, QUANTILES).tolist()),
        histogram=Histogram(edges=tuple(edges.tolist()), counts=tuple(counts.tolist())),
    )


def words(values: pl.Series) -> Summary:
    """The most frequent values of a String column; null is missing."""
    present = values.drop_nulls()
    counts = present.rename("value").value_counts().sort("count", "value", descending=[True, False])
    top = counts.head(TOP)
    return Summary(
        rows=len(values),
        missing=values.null_count(),
        distinct=len(counts),
        top=tuple(Top(value=value, rows=rows) for value, rows in top.iter_rows()),
        other=len(present) - int(top["count"].sum()),
    )


def measure(name: str, label: str, values: ArrayLike) -> Measure:
    """A derived quantity of each row."""
    return Measure(name=name, label=label, summary=numbers(values))
