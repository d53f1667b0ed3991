"""What the report shows of models that learned without a target. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from runwright_components.contract.config import ModelConfig, TaskKind
from runwright_components.contract.evaluation import Evaluation, Projection, ScoreHistogram
from runwright_components.report.charts import (
    LARGE,
    Bar,
    Chart,
    Dot,
    Line,
    Rule,
    Tick,
    Tone,
    nice_ticks,
    padded,
    tick_text,
    ticks,
)
from runwright_components.report.wording import fixed, number, percent, rows

ANSWERS: dict[TaskKind, str] = {
    "anomaly": "a score, and whether it is that of an anomaly",
    "clustering": "the cluster, and the distance to each",
    "embedding": "a vector",
}
"""What a row is answered with."""

_BASELINES = {
    "rocAuc": ("baselineRocAuc", "scores by the distance from the mean"),
    "silhouette": ("baselineSilhouette", "a cut of the first principal component"),
    "adjustedRand": ("baselineAdjustedRand", "a cut of the first principal component"),
    "neighbourAccuracy": ("baselineNeighbourAccuracy", "as many principal components"),
    "trustworthiness": ("baselineTrustworthiness", "as many principal components"),
}
_MEANINGS = {
    "averagePrecision": "area under precision and recall",
    "recall": "share of the anomalies that is found",
    "anomalyShare": "share of the test rows above the threshold",
    "daviesBouldin": "0 at best: clusters are small and far apart",
}
_TONES: tuple[Tone, ...] = ("one", "two", "good", "bad", "quiet")


def sizes(model: ModelConfig) -> dict[str, str]:
    """The sizes of each model, in words."""
    found = model.unsupervised
    assert found is not None
    widths = " \u2192 ".join(str(width) for width in (*model.hidden, found.dimension))
    return {
        "autoencoder": f"hidden {widths}, and back",
        "isolationforest": f"{found.trees} trees of {found.rows} rows",
        "kmeans": f"{found.clusters} clusters",
        "gaussianmixture": f"{found.clusters} clusters, full covariances",
    }


def contexts(found: Mapping[str, float], metrics: tuple[str, ...]) -> dict[str, str]:
    """What stands beside each metric's figure."""
    return {name: _context(name, found) for name in metrics}


def _context(name: str, found: Mapping[str, float]) -> str:
    if name not in _BASELINES:
        return _MEANINGS.get(name, "")
    baseline, what = _BASELINES[name]
    return f"{what}: {fixed(found.get(baseline))}"


def caution(found: Mapping[str, float]) -> str:
    """What a passed gate must not hide."""
    for name, (baseline, what) in _BASELINES.items():
        if name in found and found[name] <= found.get(baseline, float("-inf")):
            return f"The model is no better than {what}, by {name} ({fixed(found[name])})."
    return ""


def charts(evaluation: Evaluation) -> Iterator[Chart]:
    if evaluation.scores is not None:
        yield _scores(evaluation.scores)
    if evaluation.projection is not None:
        yield _projected(evaluation.projection, evaluation.task)


def _scores(found: ScoreHistogram) -> Chart:
    """Bars of the test rows' scores, those of known anomalies on top, and the threshold."""
    anomalous = found.anomalous or (0,) * len(found.normal)
    x = LARGE.x(found.edges[0], found.edges[-1])
    # The anomalies are few: the root of the rows lets them be seen.
    most = max(a + b for a, b in zip(found.normal, anomalous, strict=True))
    y = LARGE.y(0, most**0.5 * 1.06 or 1.0)
    bars = []
    for low, high, usual, odd in zip(found.edges, found.edges[1:], found.normal, anomalous, strict=False):
        middle, top = y(usual**0.5), y((usual + odd) ** 0.5)
        left, width = x(low), round(x(high) - x(low) - 0.6, 2)
        told = f"{number(low)} to {number(high)}: {rows(usual + odd)}"
        if usual:
            bars.append(Bar(left, middle, width, round(y(0) - middle, 2), "one", told))
        if odd:
            bars.append(Bar(left, top, width, round(middle - top, 2), "bad", f"{told}, {odd} labelled as anomalies"))
    above = sum(
        usual + odd
        for low, usual, odd in zip(found.edges, found.normal, anomalous, strict=False)
        if low >= found.threshold
    )
    labelled = "; on top: rows whose label is not the normal one" if found.anomalous else ""
    return Chart(
        "Anomaly scores",
        f"{rows(above)} of the test split lie above the threshold of {number(found.threshold)}{labelled}",
        "score",
        "rows (root scale)",
        ticks(x),
        tuple(Tick(y(value**0.5), tick_text(value)) for value in nice_ticks(0, most)),
        bars=tuple(bars),
        rules=(Rule(x(found.threshold), LARGE.top, x(found.threshold), LARGE.bottom, "threshold"),),
    )


def _projected(found: Projection, task: str) -> Chart:
    """Dots on the first two principal components, a tone a group."""
    x = LARGE.x(*padded([point[0] for point in found.points]))
    y = LARGE.y(*padded([point[1] for point in found.points]))
    what = "inputs" if task == "clustering" else "embedding"
    return Chart(
        "Clusters" if task == "clustering" else "Embedding",
        f"{rows(len(found.points))} of the test split on the first two principal components of the {what}, which hold "
        f"{percent(sum(found.variance))} of its variance; groups are {', '.join(found.groups)}",
        f"first component, {percent(found.variance[0])}",
        f"second component, {percent(found.variance[1])}",
        ticks(x),
        ticks(y),
        lines=tuple(Line(name, tone, "") for name, tone in zip(found.groups, _TONES, strict=False)),  # the legend
        dots=tuple(Dot(x(a), y(b), 2.4, _TONES[group], found.groups[group]) for a, b, group in found.points),
    )
