"""Labels that seem wrong, by confident learning (Northcutt, Jiang and Chuang 2021, "Confident Learning: Estimating
Uncertainty in Dataset Labels"): a row is suspect where a model that has not seen it is as sure of another class as it
is, on average, of that class's own rows.

The model is a logistic regression on the prepared inputs, cross-validated over the training split.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from runwright_components.contract.artifacts import ROW_ID, TARGET
from runwright_components.features.split_io import CATEGORICAL, NUMERIC
from runwright_components.prepare.quality import SAMPLES, Finding

Probabilities = NDArray[np.float64]
Classes = NDArray[np.int64]

_ROWS = 20_000  # of the training split, looked at
_FOLDS = 5
_CODES = 100  # of a category, that become inputs: the first ones
_ITERATIONS = 200


def find(train: Path, labels: Sequence[str]) -> list[Finding]:
    """The finding about a prepared training split, none where no label is suspect or a class has fewer rows than there
    are folds."""
    frame = pl.read_parquet(train)
    if len(frame) > _ROWS:
        frame = frame.sample(_ROWS, seed=0)
    given = frame[TARGET].to_numpy().astype(np.int64)
    if len(labels) < 2 or np.bincount(given, minlength=len(labels)).min() < _FOLDS:
        return []
    probabilities = _out_of_fold(_inputs(frame), given)
    suspects = suspicious(probabilities, given)
    if not len(suspects):
        return []
    better = _confident(probabilities, given)[suspects]
    rows = frame[ROW_ID].to_numpy()[suspects]
    shown = ", ".join(
        f"row {row} is {labels[was]!r}, seems {labels[seems]!r}"
        for row, was, seems in list(zip(rows.tolist(), given[suspects].tolist(), better.tolist(), strict=True))[
            :SAMPLES
        ]
    )
    share = len(suspects) / len(frame)
    return [
        Finding(
            kind="label",
            severity="medium" if share > 0.02 else "low",
            score=share,
            rows=len(suspects),
            samples=tuple(rows[:SAMPLES].tolist()),
            text=f"{len(suspects)} of {len(frame)} training rows ({share:.1%}) seem to have a wrong label: {shown}",
        )
    ]


def suspicious(probabilities: Probabilities, given: Classes) -> NDArray[np.intp]:
    """The rows off the diagonal of the confident joint, the surest first.

    `probabilities` [N, K] of models that have not seen the row, `given` [N] its label. The threshold of a class is the
    mean probability that its own rows have of it; a row counts for the likeliest of the classes whose threshold it
    reaches.
    """
    confident = _confident(probabilities, given)
    suspects = np.flatnonzero((confident >= 0) & (confident != given))
    margin = probabilities[suspects, given[suspects]] - probabilities[suspects, confident[suspects]]
    ordered: NDArray[np.intp] = suspects[np.argsort(margin, kind="stable")]
    return ordered


def _confident(probabilities: Probabilities, given: Classes) -> Classes:
    """The class that each row counts for, -1 where it reaches no threshold."""
    classes = probabilities.shape[1]
    own = probabilities[np.arange(len(given)), given]
    thresholds = np.bincount(given, weights=own, minlength=classes) / np.bincount(given, minlength=classes)
    reached = probabilities >= thresholds
    return np.where(reached.any(axis=1), np.where(reached, probabilities, -1.0).argmax(axis=1), -1)


def _out_of_fold(inputs: Probabilities, given: Classes) -> Probabilities:
    """The probabilities [N, K] of each row by a model of the other folds."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedKFold, cross_val_predict

    folds = StratifiedKFold(_FOLDS, shuffle=True, random_state=0)
    told: Probabilities = cross_val_predict(
        LogisticRegression(max_iter=_ITERATIONS), inputs, given, cv=folds, method="predict_proba"
    )
    return told


def _inputs(frame: pl.DataFrame) -> Probabilities:
    """The prepared inputs as one matrix [N, F], categories as 0/1 columns."""
    numeric = [name for name in frame.columns if name.startswith(NUMERIC)]
    parts = [frame.select(numeric).to_numpy().astype(np.float64).clip(-10, 10)] if numeric else []
    for name in frame.columns:
        if name.startswith(CATEGORICAL):
            codes = frame[name].to_numpy()
            parts.append((codes[:, None] == np.arange(min(int(codes.max()) + 1, _CODES))).astype(np.float64))
    return np.concatenate(parts, axis=1)
