"""Filling missing numbers from the row's other numbers: the nearest training rows, or a chain of regressions.

Both work on standardized values and answer for a row alone what they answer for it among others, bit by bit: sums run
over the columns in their order, element by element.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from runwright_components.contract.artifacts import Document

Numbers = NDArray[np.float64]
Mask = NDArray[np.bool_]

_ROWS = 32  # at once: the table of distances stays in the processor's cache
_LARGEST = 1e100  # of a standardized value: its square is finite


class Standard(Document):
    """What both kinds of state have: the inputs that are seen, how they are standardized, and which are filled."""

    inputs: tuple[str, ...]  # names of numeric inputs
    filled: tuple[str, ...]  # some of them
    center: tuple[float, ...]
    spread: tuple[float, ...]


class NearestState(Standard):
    """`neighbours` of the training rows in `neighbours.npy` fill a gap by their mean."""

    neighbours: int


class Step(Document):
    """A regression: input `place` is `intercept` plus the weighted inputs; the weight of `place` itself is 0."""

    place: int
    intercept: float
    weights: tuple[float, ...]


class ChainState(Standard):
    """Regressions in the order they are applied; `low` and `high` bound what they give, in standardized units."""

    low: tuple[float, ...]
    high: tuple[float, ...]
    steps: tuple[Step, ...]


class Imputer(Protocol):
    def fill(self, values: Numbers, known: Mask) -> None:
        """Fill, in place, what is not known of the rows `values` [inputs, N]. Where nothing can be told, the value that
        stands there stays."""


class _Standardizer:
    """Puts the state's inputs, out of all of them, into standard units and back."""

    def __init__(self, state: Standard, names: list[str]) -> None:
        self.inputs = np.array([names.index(name) for name in state.inputs], dtype=np.intp)
        self.filled = [(names.index(name), state.inputs.index(name)) for name in state.filled]
        self.center = np.array(state.center).reshape(-1, 1)
        self.spread = np.array(state.spread).reshape(-1, 1)

    def gaps(self, known: Mask) -> NDArray[np.intp]:
        """The rows that lack something that is filled."""
        return np.flatnonzero(~known[[place for place, _ in self.filled]].all(axis=0))

    def scaled(self, values: Numbers, known: Mask) -> Numbers:
        """Standardized [F, n], 0 (the mean) where it is not known."""
        with np.errstate(over="ignore", invalid="ignore"):
            scaled = np.where(known, (values - self.center) / self.spread, 0.0)
        return np.clip(scaled, -_LARGEST, _LARGEST, out=scaled)

    def put(self, values: Numbers, at: int, rows: NDArray[np.intp], column: int, scaled: Numbers) -> None:
        values[at, rows] = self.center[column] + self.spread[column] * scaled


class Nearest:
    """The mean of the nearest training rows that have the value.

    The distance of two rows is the mean square difference over the inputs that both have (Dixon 1979, as in
    scikit-learn's KNNImputer). `reference` [F, R] are standardized training rows, NaN where they have gaps.
    """

    def __init__(self, state: NearestState, reference: Numbers, names: list[str]) -> None:
        self._standard = _Standardizer(state, names)
        self._present = np.isfinite(reference)
        self._complete: Mask = np.all(self._present, axis=1)
        self._reference = np.where(self._present, reference, 0.0)
        self._neighbours = state.neighbours

    def fill(self, values: Numbers, known: Mask) -> None:
        gaps = self._standard.gaps(known)
        for start in range(0, len(gaps), _ROWS):
            self._fill(values, known, gaps[start : start + _ROWS])

    def _fill(self, values: Numbers, known: Mask, rows: NDArray[np.intp]) -> None:
        cells = np.ix_(self._standard.inputs, rows)
        present = known[cells]
        distances = self._distances(self._standard.scaled(values[cells], present), present)
        for at, column in self._standard.filled:
            lacking = np.flatnonzero(~present[column])
            donors = np.flatnonzero(self._present[column])
            if not len(lacking) or not len(donors):
                continue
            mean, found = self._mean(distances[np.ix_(lacking, donors)], self._reference[column, donors])
            self._standard.put(values, at, rows[lacking[found]], column, mean[found])

    def _distances(self, scaled: Numbers, present: Mask) -> Numbers:
        """Of each row to each reference [n, R], infinite where they share no input."""
        total = np.zeros((scaled.shape[1], self._reference.shape[1]))
        shared = np.zeros_like(total)
        shared += present[self._complete].sum(axis=0)[:, None]
        for column in range(len(scaled)):
            difference = scaled[column][:, None] - self._reference[column]
            difference *= difference
            if not self._complete[column]:
                both = present[column][:, None] & self._present[column]
                difference *= both
                shared += both
            elif not present[column].all():
                difference *= present[column][:, None]
            total += difference
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(shared > 0, total / shared, np.inf)

    def _mean(self, distances: Numbers, values: Numbers) -> tuple[Numbers, Mask]:
        """The mean [n] of the nearest ones' `values` [R], and where there are any."""
        count = min(self._neighbours, len(values))
        nearest = np.sort(np.argpartition(distances, count - 1, axis=1)[:, :count], axis=1)
        reached = np.isfinite(np.take_along_axis(distances, nearest, axis=1))
        number = reached.sum(axis=1)
        total = np.add.accumulate(np.where(reached, values[nearest], 0.0), axis=1)[:, -1]
        return total / np.maximum(number, 1), number > 0


class Chain:
    """Regressions of each input on the others, one after the other and again, as they were fitted (van Buuren and
    Groothuis-Oudshoorn 2011, "mice"; the conditional mean in place of a draw, so that a row has one answer)."""

    def __init__(self, state: ChainState, names: list[str]) -> None:
        self._standard = _Standardizer(state, names)
        self._low, self._high = np.array(state.low), np.array(state.high)
        self._steps = [(step.place, step.intercept, np.array(step.weights).reshape(-1, 1)) for step in state.steps]

    def fill(self, values: Numbers, known: Mask) -> None:
        rows = self._standard.gaps(known)
        if not len(rows):
            return
        cells = np.ix_(self._standard.inputs, rows)
        present = known[cells]
        scaled = self._standard.scaled(values[cells], present)
        self.run(scaled, present)
        for at, column in self._standard.filled:
            lacking = ~present[column]
            self._standard.put(values, at, rows[lacking], column, scaled[column, lacking])

    def run(self, scaled: Numbers, present: Mask) -> None:
        """All steps over standardized rows [F, n], in place; what is `present` stays."""
        for place, intercept, weights in self._steps:
            lacking = ~present[place]
            if lacking.any():
                with np.errstate(over="ignore", invalid="ignore"):
                    # A running sum adds in the order of the inputs, for one row as for many.
                    told = np.add.accumulate(weights * scaled[:, lacking], axis=0)[-1] + intercept
                scaled[place, lacking] = np.fmax(np.fmin(told, self._high[place]), self._low[place])
