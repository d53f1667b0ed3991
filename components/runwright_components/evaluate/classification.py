"""Metrics of a classifier from its probabilities; no I/O here.

torchmetrics counts and ranks; ratios of counts are taken in float64, because its own are float32, where 9 of 10 would
miss a bound of 0.9. A metric that the rows cannot define (ROC AUC of a single class) is left out, never NaN.
torch and torchmetrics are imported at the first use: they take seconds.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from runwright_components.contract.evaluation import Calibration, ClassMetrics, Roc
from runwright_components.evaluate import metrics_library

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

ROC_POINTS = 100
ROC_CURVES = 12  # of the most frequent classes; more cannot be told apart in a figure
_FLOAT32_DIGITS = 6  # torchmetrics ranks in float32; more digits would be noise


def metrics(probabilities: Floats, truth: Ints, *, bins: int) -> dict[str, float]:
    """Every defined metric by its name in the gate.

    `probabilities` [N, K], rows summing to 1; `truth` [N], classes 0 to K-1; `bins` of the calibration error. N >= 1.

    Macro averages leave out classes that are neither in the truth nor predicted; `balancedAccuracy` is the mean recall
    of the classes in the truth. `rocAuc` is that of class 1 when K is 2, else the mean of one against the rest over the
    classes that are in the truth. Where classes tie for the top probability the first one is the prediction.
    """
    counts = confusion(probabilities, truth)
    rows = int(counts.sum())
    hits = int(np.trace(counts))
    precision, recall, f1, support = _ratios(counts)
    predicted = counts.sum(axis=0)
    found = {
        "accuracy": hits / rows,
        "errorRate": (rows - hits) / rows,
        "balancedAccuracy": float(recall[support > 0].mean()),
        "logLoss": log_loss(probabilities, truth),
        "calibrationError": calibration(probabilities, truth, bins=bins).error,
    }
    for name, values in (("precision", precision), ("recall", recall), ("f1", f1)):
        found[f"{name}Macro"] = float(values[support + predicted > 0].mean())
        found[f"{name}Weighted"] = float(values @ support / rows)
    areas = [_area(probabilities[:, index], truth == index) for index in _ranked(support)]
    if areas:
        found["rocAuc"] = round(float(np.mean(areas)), _FLOAT32_DIGITS)
    return found


def confusion(probabilities: Floats, truth: Ints) -> Ints:
    """Counts [K, K]: rows are the truth, columns the prediction."""
    from torch import from_numpy

    predicted = probabilities.argmax(axis=1)
    count = metrics_library.classification().multiclass_confusion_matrix
    counts = count(from_numpy(predicted), from_numpy(truth), num_classes=probabilities.shape[1])
    return np.asarray(counts.numpy(), dtype=np.int64)


def per_class(counts: Ints, labels: Sequence[str]) -> tuple[ClassMetrics, ...]:
    """Precision, recall and F1 of each class from the confusion matrix; 0 where a class has no rows to divide by."""
    precision, recall, f1, support = _ratios(counts)
    return tuple(
        ClassMetrics(
            label=label,
            precision=float(precision[index]),
            recall=float(recall[index]),
            f1=float(f1[index]),
            support=int(support[index]),
        )
        for index, label in enumerate(labels)
    )


def log_loss(probabilities: Floats, truth: Ints) -> float:
    """Mean negative log-likelihood in nats; probabilities are clipped to the smallest step of float64, so that one
    certain and wrong row does not make it infinite."""
    likelihood = probabilities[np.arange(len(truth)), truth]
    return max(0.0, float(-np.log(np.maximum(likelihood, np.finfo(np.float64).eps)).mean()))


def calibration(probabilities: Floats, truth: Ints, *, bins: int) -> Calibration:
    """Expected calibration error of the predicted class in `bins` equal bins of confidence (Naeini et al., "Obtaining
    Well Calibrated Probabilities Using Bayesian Binning", AAAI 2015). A bin without rows has confidence, accuracy and
    count 0. In float64 from the bins that the figure shows; torchmetrics bins in float32, which moves rows on an edge.
    """
    confidence = probabilities.max(axis=1)
    hit = probabilities.argmax(axis=1) == truth
    place = np.clip(np.digitize(confidence, np.linspace(0, 1, bins + 1)) - 1, 0, bins - 1)
    count = np.bincount(place, minlength=bins)
    rows = np.maximum(count, 1)
    mean_confidence = np.bincount(place, confidence, minlength=bins) / rows
    accuracy = np.bincount(place, hit, minlength=bins) / rows
    return Calibration(
        error=float(np.abs(accuracy - mean_confidence) @ count / count.sum()),
        confidence=tuple(mean_confidence.tolist()),
        accuracy=tuple(accuracy.tolist()),
        count=tuple(count.tolist()),
    )


def roc(probabilities: Floats, truth: Ints, labels: Sequence[str]) -> tuple[Roc, ...]:
    """One class against the rest, for the most frequent classes that are in the truth beside others; of two classes
    the second alone, for the first is its mirror image. At most ROC_POINTS points a curve, the ends among them."""
    from torch import from_numpy

    binary_roc = metrics_library.classification().binary_roc
    support = np.bincount(truth, minlength=probabilities.shape[1])
    frequent = sorted(_ranked(support), key=lambda index: (-support[index], index))[:ROC_CURVES]
    curves = []
    for index in sorted(frequent):
        points = binary_roc(from_numpy(probabilities[:, index].copy()), from_numpy((truth == index).astype(np.int64)))
        kept = np.unique(np.linspace(0, len(points[0]) - 1, ROC_POINTS).round().astype(int))
        fpr, tpr, thresholds = (tuple(np.round(part.numpy()[kept], _FLOAT32_DIGITS).tolist()) for part in points)
        curves.append(Roc(label=labels[index], fpr=fpr, tpr=tpr, thresholds=thresholds))
    return tuple(curves)


def _ratios(counts: Ints) -> tuple[Floats, Floats, Floats, Ints]:
    """Precision, recall, F1 and support, each [K]; 0 where the divisor is 0."""
    hits = np.diag(counts).astype(np.float64)
    predicted, support = counts.sum(axis=0), counts.sum(axis=1)
    precision = hits / np.maximum(predicted, 1)
    recall = hits / np.maximum(support, 1)
    f1 = 2 * hits / np.maximum(predicted + support, 1)
    return precision, recall, f1, support


def _ranked(support: Ints) -> list[int]:
    """The classes for which ROC is defined and wanted: in the truth, and not its only one; of two, the second."""
    rows = support.sum()
    defined = [int(index) for index in np.flatnonzero((support > 0) & (support < rows))]
    return [index for index in defined if index == 1] if len(support) == 2 else defined


def _area(scores: Floats, positive: NDArray[np.bool_]) -> float:
    from torch import from_numpy

    binary_auroc = metrics_library.classification().binary_auroc
    return float(binary_auroc(from_numpy(scores.copy()), from_numpy(positive.astype(np.int64))))
