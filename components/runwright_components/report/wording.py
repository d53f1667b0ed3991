"""Figures in the words and digits of the pages; pure."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

UNIT_SECONDS = ((86400.0, "d"), (3600.0, "h"), (60.0, "min"))
MINUS = "\u2212"
ABSENT = "\u2013"


def number(value: float | None) -> str:
    """At most four significant digits, groups of thousands, a true minus; a dash where there is no number."""
    if value is None or not math.isfinite(value):
        return ABSENT
    size = abs(value)
    if size >= 1e15 or 0 < size < 1e-4:
        text = f"{value:.2e}"
    elif size >= 1000 or value == int(value):
        text = f"{value:,.0f}"
    else:
        text = f"{value:.{3 - math.floor(math.log10(size))}f}".rstrip("0").rstrip(".")
    return text.replace("-", MINUS)


def fixed(value: float | None, digits: int = 3) -> str:
    """A fixed number of digits, so that a column of them aligns."""
    if value is None or not math.isfinite(value):
        return ABSENT
    return f"{value:,.{digits}f}".replace("-", MINUS)


def digits(values: Iterable[float | None]) -> int:
    """How many digits after the point give the largest of `values` four significant ones."""
    largest = max((abs(value) for value in values if value is not None and math.isfinite(value)), default=0.0)
    return min(6, max(0, 3 - math.floor(math.log10(largest)))) if largest else 3


def percent(share: float | None) -> str:
    """A share as per cent; what is not quite nothing or everything does not look like it."""
    if share is None or not math.isfinite(share):
        return ABSENT
    if 0 < share < 0.001:
        return "< 0.1 %"
    if 0.999 < share < 1:
        return "> 99.9 %"
    return f"{share * 100:.1f} %".replace(".0 %", " %")


def count(value: float | None) -> str:
    return ABSENT if value is None else f"{value:,.0f}"


def rows(value: int) -> str:
    return "1 row" if value == 1 else f"{value:,} rows"


def seconds(value: float) -> str:
    if value < 60:
        return f"{number(round(value, 1 if value >= 1 else 3))} s"
    for size, unit in UNIT_SECONDS:
        if value >= size:
            return f"{value / size:.1f} {unit}"
    return f"{value:.0f} s"


def short(digest: str) -> str:
    """The first 12 digits of a digest, without its algorithm."""
    return digest.partition(":")[2][:12] or digest[:12]


@dataclass(frozen=True)
class MetricText:
    """How a metric is shown. `ratio`: it lies between 0 and 1."""

    name: str
    meaning: str
    higher_is_better: bool = True
    ratio: bool = True

    def show(self, value: float | None) -> str:
        return fixed(value) if self.ratio else number(value)


METRICS: dict[str, MetricText] = {
    "accuracy": MetricText("Accuracy", "share of rows that are predicted right"),
    "errorRate": MetricText("Error rate", "share of rows that are predicted wrong", higher_is_better=False),
    "balancedAccuracy": MetricText("Balanced accuracy", "mean recall of the classes, each counts the same"),
    "precisionMacro": MetricText(
        "Precision, macro", "of what is predicted as a class, the share that is; mean of classes"
    ),
    "recallMacro": MetricText("Recall, macro", "of what is a class, the share that is found; mean of classes"),
    "f1Macro": MetricText("F1, macro", "harmonic mean of precision and recall; mean of classes"),
    "precisionWeighted": MetricText("Precision, weighted", "the same, each class by its rows"),
    "recallWeighted": MetricText("Recall, weighted", "the same, each class by its rows"),
    "f1Weighted": MetricText("F1, weighted", "the same, each class by its rows"),
    "rocAuc": MetricText("ROC AUC", "how well probabilities rank a class above the rest; 0.5 is chance"),
    "logLoss": MetricText("Log loss", "surprise at the truth, in nats", higher_is_better=False, ratio=False),
    "calibrationError": MetricText(
        "Calibration error", "mean distance of confidence from accuracy", higher_is_better=False
    ),
    "mae": MetricText("MAE", "mean absolute error, in the target's unit", higher_is_better=False, ratio=False),
    "rmse": MetricText(
        "RMSE", "root of the mean squared error, in the target's unit", higher_is_better=False, ratio=False
    ),
    "r2": MetricText("R\u00b2", "share of the target's variance that is explained"),
    "bitsPerByte": MetricText("Bits per byte", "to write the text down with the model's help", False, False),
    "perplexity": MetricText("Perplexity", "tokens that the model hesitates between", False, False),
    "tokenAccuracy": MetricText("Token accuracy", "share of tokens that the model finds likeliest"),
    "mase": MetricText("MASE", "mean absolute error, by that of the seasonal naive forecast in training", False, False),
    "skill": MetricText("Skill", "share of the better naive forecast's error that is saved"),
    "smape": MetricText("sMAPE", "mean of the error by the mean size of forecast and truth, at most 2", False, False),
    "coverage": MetricText("Coverage", "share of the truths that lie in the forecast interval"),
    "meanReward": MetricText("Mean return", "sum of an episode's rewards, mean of the episodes", ratio=False),
    "stdReward": MetricText("Spread of returns", "standard deviation of the episodes' returns", False, False),
    "worstReward": MetricText("Worst return", "of the episodes", ratio=False),
    "meanLength": MetricText("Mean length", "steps of an episode", ratio=False),
    "successRate": MetricText("Success rate", "share of episodes that reach the goal, or the reward threshold"),
    "gainOverRandom": MetricText("Gain over chance", "mean return above that of actions by chance", ratio=False),
    "gainOverBaseline": MetricText("Gain over the rule", "mean return above that of the rule of thumb", ratio=False),
    "normalizedReward": MetricText("Normalized return", "0: actions by chance; 1: the reward threshold", ratio=False),
    "randomReward": MetricText("Mean return of chance", "every action drawn by chance, same episodes", ratio=False),
    "baselineReward": MetricText("Mean return of the rule", "the rule of thumb, same episodes", ratio=False),
    "averagePrecision": MetricText("Average precision", "of anomalies, over all thresholds"),
    "precision": MetricText("Precision", "of what the verdict calls an anomaly, the share that is"),
    "recall": MetricText("Recall", "of the anomalies, the share that the verdict finds"),
    "f1": MetricText("F1", "harmonic mean of precision and recall of the verdict"),
    "anomalyShare": MetricText("Anomalies", "share of the rows above the threshold", higher_is_better=False),
    "medianScore": MetricText("Median score", "0.5 is the threshold", higher_is_better=False),
    "silhouette": MetricText("Silhouette", "how much nearer rows are to their own cluster; 1 at best, 0 on the border"),
    "daviesBouldin": MetricText("Davies-Bouldin", "size of clusters over their distance", False, False),
    "calinskiHarabasz": MetricText("Calinski-Harabasz", "variance between clusters over that within", ratio=False),
    "adjustedRand": MetricText("Adjusted Rand index", "agreement with the labels; 0 is chance, 1 is perfect"),
    "normalizedMutualInformation": MetricText("Mutual information", "shared with the labels, normalized"),
    "clusters": MetricText("Clusters", "that have test rows", ratio=False),
    "smallestCluster": MetricText("Smallest cluster", "its share of the rows"),
    "neighbourAccuracy": MetricText("Neighbour accuracy", "rows whose 5 nearest training rows vote for their label"),
    "trustworthiness": MetricText("Trustworthiness", "neighbours in the embedding that are neighbours in the inputs"),
    "latencyP50Ms": MetricText("Latency p50, ms", "half of single requests are faster", False, False),
    "latencyP99Ms": MetricText("Latency p99, ms", "99 % of single requests are faster", False, False),
    "rowsPerSecond": MetricText("Rows a second", "in batches, preprocessing included", ratio=False),
    "tokensPerSecond": MetricText("Tokens a second", "one text after the other", ratio=False),
    "baselineBitsPerByte": MetricText(
        "Bits per byte of a guess", "by the tokens' frequencies in the training split", False, False
    ),
    "baselineMase": MetricText("MASE, seasonal naive", "the last season again", False, False),
    "naiveMase": MetricText("MASE, naive", "the last value again", False, False),
    "baselineRocAuc": MetricText("ROC AUC of distances", "squared, from the mean of the training split"),
    "baselineAveragePrecision": MetricText("Average precision of distances", "from the mean of the training split"),
    "baselineSilhouette": MetricText("Silhouette of a cut", "of the first principal component into equal shares"),
    "baselineAdjustedRand": MetricText("Adjusted Rand index of a cut", "of the first principal component"),
    "baselineNeighbourAccuracy": MetricText("Neighbour accuracy of components", "as many principal components"),
    "baselineTrustworthiness": MetricText("Trustworthiness of components", "as many principal components"),
    "baselineAccuracy": MetricText("Accuracy of a guess", "always the most frequent class of the training split"),
    "baselineRmse": MetricText("RMSE of a guess", "always the mean of the training split", False, False),
}


def metric(name: str) -> MetricText:
    return METRICS.get(name, MetricText(name, "", ratio=False))
