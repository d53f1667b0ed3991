"""The gate: absolute bounds on metrics, each held against the test split or one slice of it. Pure.

Evaluation judges a model by it; the operator judges the stored metrics again when the bounds change.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable, Mapping, Sequence

from runwright_components.contract.config import Bound, TaskKind
from runwright_components.contract.evaluation import Check, SliceMetrics
from runwright_components.contract.kinds import KINDS
from runwright_components.contract.outcome import Reason, StageError

SPEED = ("latencyP50Ms", "latencyP99Ms", "rowsPerSecond", "tokensPerSecond")
METRICS: Mapping[TaskKind, tuple[str, ...]] = {name: kind.metrics for name, kind in KINDS.items()}


def validate(bounds: Sequence[Bound], task: TaskKind) -> None:
    """Refuse what no evaluation could judge: an unknown metric, no bound at all, a minimum above the maximum.

    Raises StageError (InvalidConfig) that names the entry of the gate.
    """
    known = (*METRICS[task], *SPEED)
    for index, bound in enumerate(bounds):
        where = f"evaluate.gate[{index}]"
        if bound.metric not in known:
            others = {name for names in METRICS.values() for name in names}
            problem = f"is not a metric of a {task}" if bound.metric in others else "is not a metric"
            raise _invalid(where, f'"{bound.metric}" {problem}', _meant(bound.metric, known))
        if bound.min is None and bound.max is None:
            raise _invalid(where, f"{bound.metric} has neither min nor max", "give at least one of them")
        if not all(math.isfinite(limit) for limit in (bound.min, bound.max) if limit is not None):
            raise _invalid(where, f"a bound of {bound.metric} is not a finite number", "give a number")
        if bound.min is not None and bound.max is not None and bound.min > bound.max:
            raise _invalid(where, f"min {bound.min:g} is above max {bound.max:g}", "exchange them")
        if bound.slice is not None and "=" not in bound.slice:
            raise _invalid(where, f'the slice "{bound.slice}" names no value', "write it as COLUMN=VALUE")
        if bound.slice is not None and bound.metric in SPEED:
            raise _invalid(where, f"{bound.metric} is not measured on slices", "leave `slice` out")


def columns(bounds: Iterable[Bound]) -> tuple[str, ...]:
    """The columns whose slices the bounds need, in the order of their first use."""
    return tuple(dict.fromkeys(bound.slice.partition("=")[0] for bound in bounds if bound.slice is not None))


def judge(bounds: Sequence[Bound], metrics: Mapping[str, float], slices: Sequence[SliceMetrics]) -> tuple[Check, ...]:
    """One check a bound, in their order. A value equal to its bound passes; one that is missing or NaN does not.

    Raises StageError (InvalidConfig) when a bound names a slice that the test split does not have.
    """
    checks = []
    for index, bound in enumerate(bounds):
        if bound.slice is None:
            checks.append(_check(bound, metrics.get(bound.metric), place=""))
        else:
            part = find_slice(bound.slice, slices, where=f"evaluate.gate[{index}].slice")
            rows = "1 row" if part.rows == 1 else f"{part.rows} rows"
            checks.append(_check(bound, part.metrics.get(bound.metric), place=f" on {bound.slice} ({rows})"))
    return tuple(checks)


def find_slice(name: str, slices: Sequence[SliceMetrics], *, where: str) -> SliceMetrics:
    """The slice that `COLUMN=VALUE` names. Upper and lower case and outer white space do not matter, and the quartile
    alone (`Q1`) is enough of a numeric column's. Raises StageError that lists the slices."""
    column, _, value = name.partition("=")
    wanted = value.strip().casefold()
    of_column = [part for part in slices if part.column == column]
    for part in of_column:
        if wanted in (part.value.casefold(), part.value.casefold().partition(":")[0]):
            return part
    known = [f"{part.column}={part.value}" for part in of_column]
    raise _invalid(where, f'the test split has no rows with "{name}"', _meant(name, known))


def _check(bound: Bound, value: float | None, *, place: str) -> Check:
    value = None if value is None or not math.isfinite(value) else value
    low = value is not None and bound.min is not None and value < bound.min
    high = value is not None and bound.max is not None and value > bound.max
    subject = f"{bound.metric}{place}"
    if value is None:
        message = f"{subject} cannot be computed from these rows"
    elif low and bound.min is not None:
        message = f"{bound.metric} {_differing(value, bound.min)}{place} is below the required {_short(bound.min)}"
    elif high and bound.max is not None:
        message = f"{bound.metric} {_differing(value, bound.max)}{place} is above the allowed {_short(bound.max)}"
    else:
        limits = [f"at least {_short(bound.min)}"] if bound.min is not None else []
        limits += [f"at most {_short(bound.max)}"] if bound.max is not None else []
        message = f"{bound.metric} {_short(value)}{place} is {' and '.join(limits)}"
    return Check(
        metric=bound.metric,
        value=value,
        min=bound.min,
        max=bound.max,
        slice=bound.slice,
        passed=value is not None and not low and not high,
        message=message,
    )


def _short(value: float) -> str:
    return f"{value:.4g}" if abs(value) < 10_000 else f"{value:,.0f}"


def _differing(value: float, bound: float) -> str:
    """`value` in as few digits as tell it from the bound."""
    return _short(value) if _short(value) != _short(bound) else repr(value)


def _meant(name: str, known: Sequence[str]) -> str:
    folded = {entry.casefold(): entry for entry in known}
    close = difflib.get_close_matches(name.casefold(), list(folded), 1, cutoff=0.5)
    listed = ", ".join(known[:20]) + (", ..." if len(known) > 20 else "")
    return (f'did you mean "{folded[close[0]]}"? ' if close else "") + f"possible: {listed}"


def _invalid(where: str, message: str, cure: str) -> StageError:
    return StageError(Reason.INVALID_CONFIG, message, where=where, cure=cure)
