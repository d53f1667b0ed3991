"""The exponent of the Yeo-Johnson transform, by maximum likelihood."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from runwright_components.features.power import yeo_johnson

Numbers = NDArray[np.float64]

_ROWS = 100_000  # an even sample of as many tells the exponent
_WIDEST = 10.0
_NARROWEST = 1e-9
_GOLDEN = (math.sqrt(5.0) - 1.0) / 2.0


def exponent(values: Numbers) -> float:
    """The lambda at which the transformed `values` [N], finite and not all equal, are most likely normal.

    The profile likelihood has one maximum; golden-section search finds it between -10 and 10.
    """
    sample = values[:: -(-len(values) // _ROWS)]
    low, high = -_WIDEST, _WIDEST
    first, second = high - _GOLDEN * (high - low), low + _GOLDEN * (high - low)
    at_first, at_second = _likelihood(sample, first), _likelihood(sample, second)
    while high - low > _NARROWEST:
        if at_first >= at_second:
            high, second, at_second = second, first, at_first
            first = high - _GOLDEN * (high - low)
            at_first = _likelihood(sample, first)
        else:
            low, first, at_first = first, second, at_second
            second = low + _GOLDEN * (high - low)
            at_second = _likelihood(sample, second)
    return (low + high) / 2.0


def _likelihood(values: Numbers, at: float) -> float:
    """The profile log-likelihood a value; minus infinity where the values grow beyond all bounds."""
    with np.errstate(over="ignore", invalid="ignore"):
        variance = float(np.var(yeo_johnson(values, at)))
    if not math.isfinite(variance) or variance <= np.finfo(np.float64).tiny:
        return -math.inf
    jacobian = float(np.mean(np.copysign(np.log1p(np.abs(values)), values)))
    return (at - 1.0) * jacobian - 0.5 * math.log(variance)
