"""Training rows that are unlike the rest in several numbers at once, by an isolation forest (Liu, Ting and Zhou 2008).

Nothing of it is kept for serving: a request cannot be dropped.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from runwright_components.contract.config import PrepareConfig
from runwright_components.prepare.clean import Cleaned, Mask
from runwright_components.prepare.infer import Plan
from runwright_components.prepare.select import Selection

Numbers = NDArray[np.float64]

_TREES = 100
_SAMPLE = 256  # rows a tree, as in the paper
_FITTED = 20_000  # rows that trees draw from, and the medians are of
_SCORED = 100_000  # rows at once


def leave_out(cleaned: Cleaned, plans: Sequence[Plan], selection: Selection, config: PrepareConfig) -> Selection:
    """Without the share of the training rows that the forest isolates soonest; rows beyond the share's bound tie in."""
    names = [plan.name for plan in plans if plan.role == "input" and plan.type in ("numeric", "boolean")]
    rows = np.flatnonzero(selection.of("train"))
    if not names:
        return selection
    scores = anomaly(cleaned, names, rows, config.split.seed)
    bound = np.quantile(scores, 1 - config.outliers.share)
    outside: Mask = np.zeros(cleaned.rows, dtype=np.bool_)
    outside[rows[scores > bound]] = True
    return selection.leave_out(outside, "isolated in several columns at once, in the training split", None)


def anomaly(cleaned: Cleaned, names: Sequence[str], rows: NDArray[np.intp], seed: int) -> Numbers:
    """The anomaly score [n] of the rows, from 0 (deep in the trees) to 1; missing values count as the median."""
    from sklearn.ensemble import IsolationForest

    sample = rows
    if len(rows) > _FITTED:
        sample = np.sort(np.random.default_rng(seed).choice(rows, _FITTED, replace=False))
    values = _columns(cleaned, names, sample)
    medians = np.array([_median(column) for column in values.T])
    forest = IsolationForest(n_estimators=_TREES, max_samples=min(_SAMPLE, len(sample)), random_state=seed)
    forest.fit(_filled(values, medians))
    parts = [rows[start : start + _SCORED] for start in range(0, len(rows), _SCORED)]
    return np.concatenate([-forest.score_samples(_filled(_columns(cleaned, names, part), medians)) for part in parts])


def _columns(cleaned: Cleaned, names: Sequence[str], rows: NDArray[np.intp]) -> Numbers:
    return np.column_stack([cleaned.numbers(name)[rows] for name in names])


def _median(column: Numbers) -> float:
    known = column[np.isfinite(column)]
    return float(np.median(known)) if len(known) else 0.0


def _filled(values: Numbers, medians: Numbers) -> Numbers:
    # The forest reads float32.
    return np.where(np.isfinite(values), values, medians).clip(-1e38, 1e38)
