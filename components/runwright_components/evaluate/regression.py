"""Metrics of a regression in the target's own unit; no I/O here."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from runwright_components.evaluate import metrics_library

Floats = NDArray[np.float64]

RESIDUALS = 500


def metrics(values: Floats, truth: Floats) -> dict[str, float]:
    """`mae` and `rmse` in the unit of the target, and `r2`, which is left out where the truth does not vary.

    `values` and `truth` [N], N >= 1. torch is imported at the first use: it takes seconds.
    """
    from torch import from_numpy

    library = metrics_library.regression()
    predicted, actual = from_numpy(values), from_numpy(truth)
    found = {
        "mae": float(library.mean_absolute_error(predicted, actual)),
        "rmse": float(library.mean_squared_error(predicted, actual, squared=False)),
    }
    if len(truth) > 1 and np.ptp(truth) > 0:
        # R2 stays when both move alike; torchmetrics subtracts sums of squares, which cancel far from zero.
        center = float(truth.mean())
        found["r2"] = float(library.r2_score(predicted - center, actual - center))
    return found


def residuals(values: Floats, truth: Floats) -> tuple[tuple[float, float], ...]:
    """Up to RESIDUALS pairs of truth and prediction, evenly over the sorted truth, so that its extremes are shown."""
    order = np.argsort(truth, kind="stable")
    kept = order[np.unique(np.linspace(0, len(order) - 1, RESIDUALS).round().astype(int))]
    return tuple((float(truth[index]), float(values[index])) for index in kept)
