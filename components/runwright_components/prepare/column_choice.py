"""Which columns become inputs: those that tell most of the target, or vary most, in the training split."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from runwright_components.contract.config import PrepareConfig, SelectRules
from runwright_components.contract.kinds import LABELLED
from runwright_components.prepare.clean import Cleaned, Mask
from runwright_components.prepare.infer import Plan

Cells = NDArray[np.int64]

_ROWS = 100_000  # an even sample of the training rows
_INTERVALS = 16  # that numbers are cut into
_CATEGORIES = 256  # the rest of a column's categories count as one


def choose(plans: Sequence[Plan], cleaned: Cleaned, train: Mask, config: PrepareConfig) -> list[Plan]:
    """The plans, those of columns that are not among the best ignored, with their score as the reason. Columns of free
    text have no score and stay."""
    rules = config.select
    scored = [plan for plan in plans if plan.role == "input" and plan.type != "text"]
    if rules is None or len(scored) <= rules.keep:
        return list(plans)
    rows = np.flatnonzero(train)
    rows = rows[:: -(-len(rows) // _ROWS)]
    scores = _scores(scored, cleaned, rows, rules, config)
    kept = set(sorted(scores, key=lambda name: (-scores[name], name))[: rules.keep])
    return [_left_out(plan, scores[plan.name], rules) if plan.name in scores.keys() - kept else plan for plan in plans]


def mutual_information(first: Cells, second: Cells) -> float:
    """What two columns of cells [n] tell of each other, in nats, less what as many cells would tell by chance.

    The correction is that of Miller (1955): (a - 1) (b - 1) / 2n for a and b different cells.
    """
    rows = len(first)
    if not rows:
        return 0.0
    _, left = np.unique(first, return_inverse=True)
    _, right = np.unique(second, return_inverse=True)
    a, b = int(left.max()) + 1, int(right.max()) + 1
    joint = np.bincount(left * b + right, minlength=a * b).reshape(a, b) / rows
    apart = joint.sum(axis=1, keepdims=True) * joint.sum(axis=0, keepdims=True)
    there = joint > 0
    found = float((joint[there] * np.log(joint[there] / apart[there])).sum())
    return max(0.0, found - (a - 1) * (b - 1) / (2 * rows))


def _scores(
    plans: Sequence[Plan], cleaned: Cleaned, rows: NDArray[np.intp], rules: SelectRules, config: PrepareConfig
) -> dict[str, float]:
    if rules.method == "variance":
        return {plan.name: _variance(plan, cleaned, rows) for plan in plans}
    if config.task in LABELLED:
        target = cleaned.keys(config.target)[rows].astype(np.int64)
    else:
        target = _intervals(cleaned.numbers(config.target)[rows])
    return {plan.name: mutual_information(_cells(plan, cleaned, rows), target) for plan in plans}


def _cells(plan: Plan, cleaned: Cleaned, rows: NDArray[np.intp]) -> Cells:
    if plan.type != "categorical":
        return _intervals(cleaned.numbers(plan.name)[rows])
    found, places, counts = np.unique(cleaned.keys(plan.name)[rows], return_inverse=True, return_counts=True)
    rank = np.empty(len(found), dtype=np.int64)
    rank[np.argsort(-counts, kind="stable")] = np.arange(len(found))
    return np.minimum(rank[places], _CATEGORIES)


def _intervals(values: NDArray[np.float64]) -> Cells:
    """The interval of each number, as many rows in each; what is missing is one of its own."""
    known = np.isfinite(values)
    if not known.any():
        return np.zeros(len(values), dtype=np.int64)
    edges = np.unique(np.quantile(values[known], np.linspace(0, 1, _INTERVALS + 1)[1:-1]))
    return np.where(known, np.searchsorted(edges, np.where(known, values, 0.0), side="right") + 1, 0)


def _variance(plan: Plan, cleaned: Cleaned, rows: NDArray[np.intp]) -> float:
    """Of numbers from 0 to 1; of categories the chance that two rows differ."""
    if plan.type == "categorical":
        _, counts = np.unique(cleaned.keys(plan.name)[rows], return_counts=True)
        return float(1 - np.square(counts / counts.sum()).sum())
    values = cleaned.numbers(plan.name)[rows]
    values = values[np.isfinite(values)]
    span = float(np.ptp(values)) if len(values) else 0.0
    return float(np.var((values - values.min()) / span)) if span > 0 else 0.0


def _left_out(plan: Plan, score: float, rules: SelectRules) -> Plan:
    what = {"mutualInformation": "mutual information with the target", "variance": "variance"}[rules.method]
    return plan.ignore(f"{what} {score:.4f}, not among the best {rules.keep}")
