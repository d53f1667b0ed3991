"""The power transform of Yeo and Johnson (2000), "A new family of power transformations", Biometrika 87."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]

_NEAR = 1e-12  # of the two exponents that are logarithms


def yeo_johnson(values: Numbers, exponent: float) -> Numbers:
    """The transform of finite values [N] by the exponent lambda: monotonous, the identity at 1, and 0 stays 0."""
    size = np.log1p(np.abs(values))
    negative = values < 0
    with np.errstate(over="ignore", invalid="ignore"):
        upper = size if abs(exponent) < _NEAR else np.expm1(exponent * size) / exponent
        rest = 2.0 - exponent
        lower = size if abs(rest) < _NEAR else np.expm1(rest * size) / rest
    return np.where(negative, -lower, upper)
