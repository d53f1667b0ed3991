"""Fitting the inputs of numeric, boolean and datetime columns: outliers' bounds, imputation and scale."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from runwright_components.contract.config import DateRules, OutlierRules, PrepareConfig
from runwright_components.contract.outcome import Reason, StageError
from runwright_components.features.power import yeo_johnson
from runwright_components.features.tabular_state import NumericInput
from runwright_components.prepare import fit_dates
from runwright_components.prepare.clean import Mask
from runwright_components.prepare.describe import numbers as describe
from runwright_components.prepare.describe import sampled
from runwright_components.prepare.fit_imputation import BY_ROW, ORDERED, Gaps, Order, fill_in_order
from runwright_components.prepare.fit_power import exponent
from runwright_components.prepare.infer import Plan
from runwright_components.prepare.quality import SAMPLES, Imputation, Outliers, Summary

Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class Bounds:
    """Of a column's outliers; `rules` with the action that holds for this column."""

    low: float
    high: float
    rules: OutlierRules

    def outside(self, values: Numbers) -> Mask:
        """False where the value is missing."""
        with np.errstate(invalid="ignore"):
            return (values < self.low) | (values > self.high)


@dataclass(frozen=True)
class Fitted:
    """The inputs of one column, none where it cannot serve (`reason` says why), and what the report tells of it."""

    inputs: tuple[NumericInput, ...]
    reason: str = ""
    after: Summary | None = None
    imputation: Imputation | None = None
    gaps: Gaps | None = None  # of the training split, where it is filled in its order


def bounds(plan: Plan, train: Numbers, config: PrepareConfig) -> Bounds | None:
    """The bounds by the rule over the training split; None where no rule applies or the values have no spread.

    Tukey's fences (factor times the interquartile range beyond the quartiles), or standard deviations from the mean.
    """
    rules = config.outliers
    action = plan.rules.outliers if plan.rules else None
    alone = rules.rule not in ("iqr", "zscore")  # the configuration has no rule for single columns
    if plan.type != "numeric" or action == "none" or (alone and action is None):
        return None
    rules = rules.model_copy(update={"rule": "iqr" if alone else rules.rule, "action": action or rules.action})
    finite = train[np.isfinite(train)]
    if not len(finite):
        return None
    if rules.rule == "iqr":
        first, third = (float(quartile) for quartile in np.quantile(finite, (0.25, 0.75)))
        reach = rules.factor * (third - first)
        low, high = first - reach, third + reach
    else:
        mean, reach = float(finite.mean()), rules.factor * float(finite.std())
        low, high = mean - reach, mean + reach
    return Bounds(low, high, rules) if reach > 0 and np.isfinite(reach) else None


def outliers(found: Bounds, values: Numbers, kept: Mask) -> Outliers:
    """What the report says of them, over the kept rows."""
    outside = found.outside(values) & kept
    samples = values[np.flatnonzero(outside)[:SAMPLES]]
    rule = "zscore" if found.rules.rule == "zscore" else "iqr"
    return Outliers(
        rule=rule,
        factor=found.rules.factor,
        action=found.rules.action,
        low=found.low,
        high=found.high,
        found=int(outside.sum()),
        samples=tuple(samples.tolist()),
    )


def fit(
    plan: Plan,
    values: Numbers,
    train: Mask,
    kept: Mask,
    limits: Bounds | None,
    config: PrepareConfig,
    before: Summary,
    order: Order | None = None,
) -> Fitted:
    """Fit a column's inputs on the training rows; `before` gives the bins of the summary after cleaning."""
    item = NumericInput(name=plan.name, column=plan.name)
    known = np.isfinite(values)
    if limits is not None and limits.rules.action in ("clip", "missing"):
        action = limits.rules.action
        item = item.model_copy(update={"low": limits.low, "high": limits.high, "outliers": action})
        if action == "clip":
            values = np.clip(values, limits.low, limits.high)
        else:
            known &= ~limits.outside(values)
    finite = pl.Series(values).filter(pl.Series(train & known)).to_numpy()
    missing = int(np.count_nonzero(train)) - len(finite)
    if not len(finite):
        return Fitted((), "every value of the training split is missing")
    indicator = bool(missing) and config.missing.indicator and strategy_of(plan, config) != "drop"
    if _constant_values(finite) and not indicator:
        return Fitted((), f"the one value {float(finite[0]):g} in the training split")
    edges = before.histogram.edges if before.histogram else None
    gaps = None
    if plan.type == "datetime":
        inputs = fit_dates.fit(plan.name, finite, config.dates or DateRules())
        if not inputs:
            return Fitted((), "the parts of its dates do not vary in the training split")
        shown, strategy = float(finite.mean()), "mean"
    else:
        with np.errstate(over="ignore", invalid="ignore"):  # what is too large is refused there
            item, strategy = _scaled(item, finite, missing, plan, config)
        if order is not None and strategy in ("forward", "interpolate"):
            # What is served comes after what was trained on.
            item = item.model_copy(update={"fill": order.last(values, known)})
        if order is not None and strategy in ORDERED:
            gaps = fill_in_order(strategy, values, known, order)
        inputs, shown = [item], item.fill
    if indicator:
        inputs.append(NumericInput(name=f"{plan.name}?", column=plan.name, part="missing"))
    rows = int(np.count_nonzero(kept))
    count = rows - int(np.count_nonzero(kept & known))
    places = sampled(kept)
    present = np.where(known[places], values[places], shown)
    if gaps is not None:
        told = gaps.of(places)
        present = np.where(np.isfinite(told), told, present)
    after = describe(present, edges, times=plan.type == "datetime", rows=rows if rows > len(present) else None)
    value = after.last and _date(shown) if plan.type == "datetime" else shown
    imputation = Imputation.model_validate(
        {"strategy": strategy, "value": value, "rows": count, "indicator": indicator}
    )
    return Fitted(tuple(inputs), "", after, imputation if count or missing else None, gaps)


def _scaled(
    item: NumericInput, finite: Numbers, missing: int, plan: Plan, config: PrepareConfig
) -> tuple[NumericInput, str]:
    """The input with fill, offset and scale of the training values `finite` and their `missing` gaps."""
    strategy = strategy_of(plan, config)
    fill = _fill(plan, finite, strategy, config)
    if strategy in BY_ROW:
        missing = 0  # what fills them differs from row to row: the scale is that of what is known
    if plan.type == "boolean" or config.numeric.scale == "none":
        return item.model_copy(update={"fill": fill}), strategy
    rows = len(finite) + missing
    if config.numeric.scale == "power" and not _constant_values(finite):
        item = item.model_copy(update={"power": exponent(finite)})
    if config.numeric.scale in ("standard", "power"):
        seen, filled = (finite, fill) if item.power is None else _powered(item.power, finite, fill)
        # Moments of the filled column without making it.
        mean = (float(seen.sum()) + missing * filled) / rows
        centered = seen - mean
        square = float(np.square(centered, out=centered).sum()) + missing * (filled - mean) ** 2
        offset, scale = mean, float(np.sqrt(square / rows))
    elif config.numeric.scale == "minmax":
        offset = min(float(finite.min()), fill if missing else np.inf)
        scale = max(float(finite.max()), fill if missing else -np.inf) - offset
    else:
        first, offset, third = (float(q) for q in np.quantile(finite, (0.25, 0.5, 0.75)))
        scale = third - first
    if not (np.isfinite(offset) and np.isfinite(scale)):
        raise StageError(
            Reason.DATA_INVALID,
            f"the values reach from {finite.min():g} to {finite.max():g}, too far to be scaled",
            where=f"column {plan.name}",
            cure="mend the source, or treat outliers (prepare.outliers.rule: iqr)",
        )
    return item.model_copy(update={"fill": fill, "offset": offset, "scale": scale if scale > 0 else 1.0}), strategy


def _powered(power: float, finite: Numbers, fill: float) -> tuple[Numbers, float]:
    return yeo_johnson(finite, power), float(yeo_johnson(np.array([fill]), power)[0])


def strategy_of(plan: Plan, config: PrepareConfig) -> str:
    """What becomes of the column's missing values."""
    if plan.rules is not None and plan.rules.missing is not None:
        return plan.rules.missing
    return "mode" if plan.type == "boolean" and config.missing.numeric != "drop" else config.missing.numeric


def _fill(plan: Plan, finite: Numbers, strategy: str, config: PrepareConfig) -> float:
    """What missing values become. Rows dropped for a missing value cannot be dropped from a request: there the median
    stands in."""
    if strategy == "mean":
        return float(finite.mean())
    if strategy == "mode":
        found, counts = np.unique(finite, return_counts=True)
        return float(found[counts.argmax()])
    if strategy == "constant":
        return _constant(plan, config)
    return float(pl.Series(finite).median())  # type: ignore[arg-type]


def _constant(plan: Plan, config: PrepareConfig) -> float:
    given = plan.rules.fill if plan.rules is not None and plan.rules.fill is not None else config.missing.fill_numeric
    if isinstance(given, (int, float)) and np.isfinite(given):
        return float(given)
    raise StageError(
        Reason.INVALID_CONFIG,
        f"column {plan.name!r} is {plan.type}, its fill is {given!r}",
        where="prepare.columns.fill",
        cure="give a number",
    )


def _date(microseconds: float) -> str:
    return str(np.datetime64(int(microseconds) // 1_000_000, "s"))


def _constant_values(finite: Numbers) -> bool:
    return bool((finite[:1000] == finite[0]).all()) and bool((finite == finite[0]).all())
