"""Numbers to the float32 inputs of the graph: bounds, imputation, scaling and parts of dates, in numpy.

A handful of operations over the whole [F, N] matrix costs microseconds for one row, and every operation works element
by element in float64, so a row gives the same bits alone and within a batch.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from runwright_components.features.imputation import Imputer
from runwright_components.features.power import yeo_johnson
from runwright_components.features.tabular_state import NumericInput, Part

Numbers = NDArray[np.float64]

_HOUR = 3_600_000_000
_DAY = 24 * _HOUR
_SATURDAY = 5
_BLOCK = 8192  # rows
_LARGEST = float(np.finfo(np.float32).max)
# Tables, not sin(x): numpy's vectorized sine need not round a value like its scalar one.
_SIN = {steps: np.array([math.sin(2 * math.pi * i / steps) for i in range(steps)]) for steps in (7, 12, 24, 31)}
_COS = {steps: np.array([math.cos(2 * math.pi * i / steps) for i in range(steps)]) for steps in (7, 12, 24, 31)}


class NumericEncoder:
    """Applies `NumericInput`s. `imputers` work on those whose part is not `missing`, in their order."""

    def __init__(self, inputs: Sequence[NumericInput], imputers: Sequence[Imputer] = ()) -> None:
        self._inputs = tuple(inputs)
        self._imputers = tuple(imputers)
        self._values = [(row, item) for row, item in enumerate(inputs) if item.part != "missing"]
        self._indicators = [(row, item.column) for row, item in enumerate(inputs) if item.part == "missing"]
        chosen = [item for _, item in self._values]
        self._rows = np.array([row for row, _ in self._values], dtype=np.intp)
        self._low = _column([-math.inf if item.low is None else item.low for item in chosen])
        self._high = _column([math.inf if item.high is None else item.high for item in chosen])
        self._to_missing = np.array([[item.outliers == "missing"] for item in chosen], dtype=bool).reshape(-1, 1)
        self._bounded = any(item.outliers for item in chosen)
        self._fill = _column([item.fill for item in chosen])
        self._powers = [(at, item.power) for at, item in enumerate(chosen) if item.power is not None]
        self._offset = _column([item.offset for item in chosen])
        self._scale = _column([item.scale for item in chosen])
        self._value_of = {item.column: at for at, (_, item) in reversed(list(enumerate(self._values)))}

    def encode(self, columns: Mapping[str, Numbers], fills: Mapping[str, Numbers] | None = None) -> NDArray[np.float32]:
        """float32 [F, N] of each column's numbers float64 [N] (not finite: missing; dates: microseconds).

        `fills` [N] are what missing values of a column become where that is finite: of a training row with neighbours.
        """
        rows = len(next(iter(columns.values()))) if columns else 0
        encoded = np.empty((len(self._inputs), rows), dtype=np.float32)
        # In blocks that stay in the processor's cache.
        for start in range(0, rows, _BLOCK):
            block = {name: column[start : start + _BLOCK] for name, column in columns.items()}
            given = {name: column[start : start + _BLOCK] for name, column in (fills or {}).items()}
            self._encode(block, given, encoded[:, start : start + _BLOCK])
        return encoded

    def _encode(
        self, columns: Mapping[str, Numbers], fills: Mapping[str, Numbers], encoded: NDArray[np.float32]
    ) -> None:
        values = np.empty((len(self._values), encoded.shape[1]))
        dates: dict[str, Dates] = {}
        for at, (_, item) in enumerate(self._values):
            if item.part == "value":
                values[at] = columns[item.column]
            else:
                date = dates.get(item.column) or dates.setdefault(item.column, Dates(columns[item.column]))
                values[at] = date.part(item.part)
        known = np.isfinite(values)
        if self._bounded:
            known &= ~(self._to_missing & ((values < self._low) | (values > self._high)))
            np.clip(values, self._low, self._high, out=values)
        np.copyto(values, self._fill, where=~known)
        for imputer in self._imputers:
            imputer.fill(values, known)
        for name, fill in fills.items():
            at = self._value_of[name]
            np.copyto(values[at], fill, where=~known[at] & np.isfinite(fill))
        for place, power in self._powers:
            values[place] = np.clip(yeo_johnson(values[place], power), -_LARGEST, _LARGEST)
        with np.errstate(over="ignore"):
            values -= self._offset
            values /= self._scale
        encoded[self._rows] = np.clip(values, -_LARGEST, _LARGEST, out=values)
        for row, column in self._indicators:
            encoded[row] = ~known[self._value_of[column]]


class Dates:
    """The parts of times float64 [N], microseconds since 1970; a part is NaN where the time is missing."""

    def __init__(self, microseconds: Numbers) -> None:
        self._microseconds = microseconds
        self._missing = ~np.isfinite(microseconds)
        self._steps: dict[str, tuple[NDArray[np.int64], int]] = {}

    def part(self, part: Part) -> Numbers:
        """One part [N]. `days` has the time of day as a fraction; sines and cosines are of the cycle."""
        if part == "days":
            return self._microseconds / _DAY
        if part == "year":
            found = (self._months // 12 + 1970).astype(np.float64)
        elif part == "weekend":
            found = (self._step("weekday")[0] >= _SATURDAY).astype(np.float64)
        else:
            unit, _, wave = part.partition("_")
            step, steps = self._step(unit)
            found = (_SIN if wave == "sin" else _COS)[steps][step] if wave else step.astype(np.float64)
        found[self._missing] = np.nan
        return found

    def _step(self, unit: str) -> tuple[NDArray[np.int64], int]:
        """Where in its cycle each time is, and how many steps the cycle has."""
        if unit not in self._steps:
            if unit == "weekday":
                self._steps[unit] = (self._days + 3) % 7, 7  # 1970 began on a Thursday
            elif unit == "hour":
                self._steps[unit] = (self._whole - self._days * _DAY) // _HOUR, 24
            elif unit == "day":
                self._steps[unit] = self._days - self._first_days, 31
            else:
                self._steps[unit] = self._months % 12, 12
        return self._steps[unit]

    @cached_property
    def _whole(self) -> NDArray[np.int64]:
        return np.where(self._missing, 0.0, self._microseconds).astype(np.int64)

    @cached_property
    def _days(self) -> NDArray[np.int64]:
        return self._whole // _DAY

    @cached_property
    def _months(self) -> NDArray[np.int64]:
        """Since January 1970."""
        days = self._days
        if len(days) and days.min() >= _TABLE_START and days.max() < _TABLE_END:
            return _MONTHS[days - _TABLE_START]
        return _months_of(days)

    @cached_property
    def _first_days(self) -> NDArray[np.int64]:
        """Of each time's month, since 1970."""
        return _first_days_of(self._months)


def _first_days_of(months: NDArray[np.int64]) -> NDArray[np.int64]:
    return months.astype("datetime64[M]").astype("datetime64[D]").astype(np.int64)


def _months_of(days: NDArray[np.int64]) -> NDArray[np.int64]:
    return days.astype("datetime64[D]").astype("datetime64[M]").astype(np.int64)


# The calendar of 1900 to 2100 as a table: a look-up costs a tenth of the conversion.
_TABLE_START, _TABLE_END = -25_567, 47_482
_MONTHS = _months_of(np.arange(_TABLE_START, _TABLE_END))


def _column(values: Sequence[float]) -> Numbers:
    return np.array(values, dtype=np.float64).reshape(-1, 1)
