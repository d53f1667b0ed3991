"""Numbers to the float32 inputs of the graph: bounds, imputation, scaling and parts of dates, in numpy.

A handful of operations over the whole [F, N] matrix costs microseconds for one row, and every operation works element
by element in float64, so a row gives the same bits alone and within a batch.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from runwright_components.features.tabular_state import NumericInput, Part

Numbers = NDArray[np.float64]

_HOUR = 3_600_000_000
_DAY = 24 * _HOUR
_LARGEST = float(np.finfo(np.float32).max)
# Tables, not sin(x): numpy's vectorized sine need not round a value like its scalar one.
_SIN = {steps: np.array([math.sin(2 * math.pi * i / steps) for i in range(steps)]) for steps in (7, 12, 24)}
_COS = {steps: np.array([math.cos(2 * math.pi * i / steps) for i in range(steps)]) for steps in (7, 12, 24)}


class NumericEncoder:
    """Applies `NumericInput`s."""

    def __init__(self, inputs: Sequence[NumericInput]) -> None:
        self._inputs = tuple(inputs)
        self._values = [(row, item) for row, item in enumerate(inputs) if item.part != "missing"]
        self._indicators = [(row, item.column) for row, item in enumerate(inputs) if item.part == "missing"]
        chosen = [item for _, item in self._values]
        self._rows = np.array([row for row, _ in self._values], dtype=np.intp)
        self._low = _column([-math.inf if item.low is None else item.low for item in chosen])
        self._high = _column([math.inf if item.high is None else item.high for item in chosen])
        self._to_missing = np.array([[item.outliers == "missing"] for item in chosen], dtype=bool).reshape(-1, 1)
        self._bounded = any(item.outliers for item in chosen)
        self._fill = _column([item.fill for item in chosen])
        self._offset = _column([item.offset for item in chosen])
        self._scale = _column([item.scale for item in chosen])
        self._value_of = {item.column: at for at, (_, item) in reversed(list(enumerate(self._values)))}

    def encode(self, columns: Mapping[str, Numbers]) -> NDArray[np.float32]:
        """float32 [F, N] of each column's numbers float64 [N] (not finite: missing; dates: microseconds)."""
        rows = len(next(iter(columns.values()))) if columns else 0
        values = np.empty((len(self._values), rows))
        for at, (_, item) in enumerate(self._values):
            column = columns[item.column]
            values[at] = column if item.part == "value" else date_part(column, item.part)
        if self._bounded:
            outside = (values < self._low) | (values > self._high)
            values = np.where(outside & self._to_missing, np.nan, np.clip(values, self._low, self._high))
        known = np.isfinite(values)
        with np.errstate(over="ignore"):
            scaled = (np.where(known, values, self._fill) - self._offset) / self._scale
        encoded = np.empty((len(self._inputs), rows), dtype=np.float32)
        encoded[self._rows] = np.clip(scaled, -_LARGEST, _LARGEST)
        for row, column_name in self._indicators:
            encoded[row] = ~known[self._value_of[column_name]]
        return encoded


def date_part(microseconds: Numbers, part: Part) -> Numbers:
    """A part of each time [N]; NaN where it is missing. `days` has the time of day as a fraction."""
    if part == "days":
        return microseconds / _DAY
    known = np.isfinite(microseconds)
    whole = np.where(known, microseconds, 0.0).astype(np.int64)
    days = whole // _DAY
    if part in ("weekday_sin", "weekday_cos"):
        step, steps = (days + 3) % 7, 7  # 1970 began on a Thursday
    elif part in ("hour_sin", "hour_cos"):
        step, steps = whole % _DAY // _HOUR, 24
    else:
        months = days.astype("datetime64[D]").astype("datetime64[M]").astype(np.int64)
        if part == "year":
            return np.where(known, (months // 12 + 1970).astype(np.float64), np.nan)
        step, steps = months % 12, 12
    table = _SIN if part.endswith("sin") else _COS
    return np.where(known, table[steps][step], np.nan)


def _column(values: Sequence[float]) -> Numbers:
    return np.array(values, dtype=np.float64).reshape(-1, 1)
