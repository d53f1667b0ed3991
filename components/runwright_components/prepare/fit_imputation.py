"""Fitting what fills numbers from other numbers, and filling the training split in its order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runwright_components.contract.config import MissingRules, PrepareConfig
from runwright_components.contract.outcome import Reason, StageError
from runwright_components.features.imputation import Chain, ChainState, NearestState, Standard, Step
from runwright_components.features.tabular import imputers
from runwright_components.features.tabular_state import NumericInput, TabularState
from runwright_components.prepare.clean import Cleaned, Mask
from runwright_components.prepare.describe import numbers as describe
from runwright_components.prepare.infer import Plan
from runwright_components.prepare.quality import ColumnQuality, Summary

Numbers = NDArray[np.float64]
Rows = NDArray[np.intp]

ORDERED = ("forward", "backward", "interpolate")
BY_ROW = ("nearest", "iterative", *ORDERED)
"""What fills a gap differs from row to row."""
_CHAIN_ROWS = 10_000  # training rows that the regressions are fitted on
_DESCRIBED = 10_000  # rows of the report
_RIDGE = 1.0  # penalty of the weights, in squared standard units: holds columns apart that say the same
_TOLERANCE = 1e-3  # largest change of a value, in the largest value, at which the rounds end


@dataclass(frozen=True)
class Imputed:
    """The state with what fills its gaps, and the reference of the nearest rows [F, R]."""

    state: TabularState
    neighbours: Numbers | None = None


def fit(
    state: TabularState, strategies: Mapping[str, str], cleaned: Cleaned, train: Mask, config: PrepareConfig
) -> Imputed:
    """`state` with what fills the columns whose strategy is nearest or iterative, fitted on the training rows."""
    items = [item for item in state.numeric if item.part == "value"]
    seed = config.split.seed
    neighbours = None
    nearest = tuple(item.name for item in items if strategies.get(item.column) == "nearest")
    if nearest:
        values = matrix(cleaned, items, _sample(train, config.missing.sample, seed))
        standard = _standard(items, nearest, values)
        neighbours = _scaled(values, standard)
        near = NearestState(**dict(standard), neighbours=config.missing.neighbours)
        state = state.model_copy(update={"nearest": near})
    chained = tuple(item.name for item in items if strategies.get(item.column) == "iterative")
    if chained:
        values = matrix(cleaned, items, _sample(train, _CHAIN_ROWS, seed))
        standard = _standard(items, chained, values)
        state = state.model_copy(update={"chain": fit_chain(_scaled(values, standard), standard, config.missing)})
    return Imputed(state, neighbours)


def matrix(cleaned: Cleaned, items: Sequence[NumericInput], rows: Rows) -> Numbers:
    """The inputs' numbers in the given rows, float64 [F, n], as the encoder takes them: NaN where missing."""
    values = np.array([cleaned.numbers(item.column)[rows] for item in items])
    values[~np.isfinite(values)] = np.nan
    for item, row in zip(items, values, strict=True):
        if item.outliers == "missing":
            row[(row < item.low) | (row > item.high)] = np.nan
        elif item.outliers == "clip":
            np.clip(row, item.low, item.high, out=row)
    return values


def fit_chain(scaled: Numbers, standard: Standard, rules: MissingRules) -> ChainState:
    """Regress each input on the others, from the fewest gaps to the most, with gaps at the mean to begin with; again
    with what was told, until it settles or the rounds are over (van Buuren and Groothuis-Oudshoorn 2011).

    `scaled` [F, n] standardized, NaN where missing. Each regression is a ridge of penalty `_RIDGE`.
    """
    present = np.isfinite(scaled)
    low = np.where(present, scaled, 0.0).min(axis=1)
    high = np.where(present, scaled, 0.0).max(axis=1)
    filled = np.where(present, scaled, 0.0)
    order = np.argsort((~present).mean(axis=1), kind="stable")
    state = ChainState(**dict(standard), low=tuple(low.tolist()), high=tuple(high.tolist()), steps=())
    steps: list[Step] = []
    limit = _TOLERANCE * float(np.abs(scaled[present]).max(initial=0.0))
    for _ in range(rules.rounds):
        before = filled.copy()
        for place in order.tolist():
            step = _regression(filled, place, present[place])
            steps.append(step)
            names = list(state.inputs)
            Chain(state.model_copy(update={"steps": (step,)}), names).run(filled, present)
        if np.abs(filled - before).max(initial=0.0) < limit:
            break
    return state.model_copy(update={"steps": tuple(steps)})


def _regression(filled: Numbers, place: int, rows: Mask) -> Step:
    """Ridge regression of one input on the others over the rows that have it; the intercept is not held back."""
    if not rows.any():
        return Step(place=place, intercept=0.0, weights=(0.0,) * len(filled))
    seen = filled if rows.all() else filled[:, rows]
    means = seen.mean(axis=1)
    centered = seen - means[:, None]
    products = centered @ centered.T
    others = np.arange(len(filled)) != place
    weights = np.zeros(len(filled))
    weights[others] = np.linalg.solve(
        products[np.ix_(others, others)] + _RIDGE * np.eye(len(filled) - 1), products[others, place]
    )
    intercept = float(means[place] - weights @ means)
    return Step(place=place, intercept=intercept, weights=tuple(weights.tolist()))


def told(imputed: Imputed, reports: Sequence[ColumnQuality], cleaned: Cleaned, kept: Mask) -> list[ColumnQuality]:
    """The reports, those of the filled columns with what they are like after it."""
    found = _after(imputed, cleaned, kept, {report.name: report.before for report in reports})
    return [
        report.model_copy(
            update={
                "after": found[report.name],
                "imputation": report.imputation and report.imputation.model_copy(update={"value": None}),
            }
        )
        if report.name in found
        else report
        for report in reports
    ]


def _after(imputed: Imputed, cleaned: Cleaned, kept: Mask, befores: Mapping[str, Summary]) -> dict[str, Summary]:
    """Each filled column over a sample of the kept rows."""
    state = imputed.state
    items = [item for item in state.numeric if item.part == "value"]
    rows = _sample(kept, _DESCRIBED, 0)
    values = matrix(cleaned, items, rows)
    known = np.isfinite(values)
    values = np.where(known, values, np.array([[item.fill] for item in items]))
    for imputer in imputers(state.model_copy(update={"numeric": tuple(items)}), imputed.neighbours):
        imputer.fill(values, known)
    wanted = {name for part in (state.nearest, state.chain) if part is not None for name in part.filled}
    total = int(np.count_nonzero(kept))
    found = {}
    for item, row in zip(items, values, strict=True):
        if item.name in wanted:
            histogram = befores[item.column].histogram
            edges = histogram.edges if histogram else None
            found[item.column] = describe(row, edges, rows=total if total > len(row) else None)
    return found


@dataclass(frozen=True)
class Order:
    """The training rows in their order: `rows` ascend by `times`."""

    rows: Rows
    times: Numbers

    def last(self, values: Numbers, known: Mask) -> float:
        """The value of the last row that has one."""
        there = self.rows[known[self.rows]]
        return float(values[there[-1]])


@dataclass(frozen=True)
class Gaps:
    """What missing values of some rows become: `values[i]` in row `rows[i]`, ascending."""

    rows: Rows
    values: Numbers

    def of(self, rows: NDArray[Any]) -> Numbers:
        """The values of the given rows, NaN for those that have none."""
        places = np.searchsorted(self.rows, rows)
        places[places == len(self.rows)] = 0
        return np.where(self.rows[places] == rows, self.values[places], np.nan)


def ordered(plans: Sequence[Plan], cleaned: Cleaned, train: Mask, config: PrepareConfig) -> Order | None:
    """The order that the configuration declares. Raises StageError where the column does not order the rows."""
    by = config.missing.order_by or (config.split.by if config.split.strategy == "time" else None)
    if by is None:
        return None
    plan = next(plan for plan in plans if plan.name == by)
    if plan.type not in ("numeric", "datetime"):
        raise StageError(
            Reason.DATA_INVALID,
            f"column {by!r} is {plan.type}, which does not order the rows",
            where="prepare.missing.orderBy",
            cure="name a column of times or numbers",
        )
    times = cleaned.numbers(by)
    rows = np.flatnonzero(train & np.isfinite(times))
    rows = rows[np.argsort(times[rows], kind="stable")]
    return Order(rows, times[rows])


def fill_in_order(strategy: str, values: Numbers, known: Mask, order: Order) -> Gaps | None:
    """The training split's gaps, filled from the row before, the row after, or on the line between the two by time.
    A gap at the end that has no such row is not among them; interpolation holds the nearest value there."""
    present = known[order.rows]
    gaps = np.flatnonzero(~present)
    if not len(gaps) or not present.any():
        return None
    if strategy == "interpolate":
        told = np.interp(order.times[gaps], order.times[present], values[order.rows[present]])
    else:
        places = np.arange(len(present))
        if strategy == "forward":
            source = np.maximum.accumulate(np.where(present, places, -1))
        else:
            source = np.minimum.accumulate(np.where(present, places, len(present))[::-1])[::-1]
        reached = (source[gaps] >= 0) & (source[gaps] < len(present))
        gaps = gaps[reached]
        if not len(gaps):
            return None
        told = values[order.rows[source[gaps]]]
    ascending = np.argsort(order.rows[gaps])
    return Gaps(order.rows[gaps][ascending], told[ascending])


def _sample(rows: Mask, most: int, seed: int) -> Rows:
    """At most so many of the rows, ascending."""
    places = np.flatnonzero(rows)
    if len(places) <= most:
        return places
    chosen: Rows = np.sort(np.random.default_rng(seed).choice(places, most, replace=False))
    return chosen


def _standard(items: Sequence[NumericInput], filled: tuple[str, ...], values: Numbers) -> Standard:
    present = np.isfinite(values)
    count = np.maximum(present.sum(axis=1), 1)
    with np.errstate(over="ignore", invalid="ignore"):
        center = np.where(present, values, 0.0).sum(axis=1) / count
        center = np.where(np.isfinite(center), center, 0.0)
        spread = np.sqrt(np.square(np.where(present, values - center[:, None], 0.0)).sum(axis=1) / count)
    spread[~((spread > 0) & np.isfinite(spread))] = 1.0
    return Standard(
        inputs=tuple(item.name for item in items),
        filled=filled,
        center=tuple(center.tolist()),
        spread=tuple(spread.tolist()),
    )


def _scaled(values: Numbers, standard: Standard) -> Numbers:
    scaled: Numbers = (values - np.array(standard.center)[:, None]) / np.array(standard.spread)[:, None]
    return scaled
