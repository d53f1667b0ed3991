"""Metrics of anomaly scores. Pure."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from runwright_components.contract.evaluation import ScoreHistogram
from runwright_components.evaluate.unsupervised.rows import Matrix
from runwright_components.features.unsupervised import LIMIT

Floats = NDArray[np.float64]
Truth = NDArray[np.bool_]

BINS = 30


def metrics(scores: Floats, truth: Truth | None) -> dict[str, float]:
    """Of `scores` [N] in [0, 1), N >= 1, where above 0.5 is the verdict: the share of rows with it and the median; and
    where `truth` [N] is known, how the scores rank anomalies above the rest, and how right the verdicts are.

    `precision` is 0 where no row has the verdict; ranks are left out where the rows have one class alone.
    """
    verdicts = scores > LIMIT
    found = {"anomalyShare": float(verdicts.mean()), "medianScore": float(np.median(scores))}
    if truth is None or not truth.any():
        return found
    hits = int((verdicts & truth).sum())
    precision = hits / max(int(verdicts.sum()), 1)
    recall = hits / int(truth.sum())
    both = precision + recall
    found |= {"precision": precision, "recall": recall, "f1": 2 * precision * recall / both if both else 0.0}
    return found | ranking(scores, truth)


def ranking(scores: Floats, truth: Truth) -> dict[str, float]:
    """`rocAuc` and `averagePrecision` of `scores` [N]; empty unless both classes are there."""
    from sklearn.metrics import average_precision_score, roc_auc_score

    if not truth.any() or truth.all():
        return {}
    return {
        "rocAuc": float(roc_auc_score(truth, scores)),
        "averagePrecision": float(average_precision_score(truth, scores)),
    }


def distances(training: Matrix, rows: Matrix) -> Floats:
    """The baseline's score: squared distance [N] from the mean of the training rows, each feature in deviations."""
    exact = training.astype(np.float64)
    deviation = exact.std(axis=0)
    apart = (rows - exact.mean(axis=0)) / np.where(deviation > 0, deviation, 1.0)
    squares: Floats = np.square(apart).sum(axis=1)
    return squares


def histogram(scores: Floats, truth: Truth | None) -> ScoreHistogram:
    """The scores in bins, one edge of which is the threshold."""
    edges = np.linspace(0.0, 1.0, BINS + 1)  # an even number: 0.5 is an edge
    anomalous = np.zeros(len(scores), dtype=np.bool_) if truth is None else truth
    return ScoreHistogram(
        edges=tuple(edges.tolist()),
        normal=tuple(np.histogram(scores[~anomalous], edges)[0].tolist()),
        anomalous=() if truth is None else tuple(np.histogram(scores[anomalous], edges)[0].tolist()),
        threshold=LIMIT,
    )
