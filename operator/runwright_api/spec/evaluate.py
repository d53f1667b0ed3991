"""`spec.evaluate`: how the model is judged, and the gate it must pass."""

from __future__ import annotations

from typing import Annotated, Literal, get_args

from pydantic import Field

from runwright_api.part import Lax, Part, Rule, unless
from runwright_api.spec.shared import Columns
from runwright_api.text import SliceName

ClassificationMetric = Literal[
    "accuracy",
    "errorRate",
    "balancedAccuracy",
    "precisionMacro",
    "recallMacro",
    "f1Macro",
    "precisionWeighted",
    "recallWeighted",
    "f1Weighted",
    "rocAuc",
    "logLoss",
    "calibrationError",
]
RegressionMetric = Literal["mae", "rmse", "r2"]
GenerationMetric = Literal["bitsPerByte", "perplexity", "tokenAccuracy"]
ForecastingMetric = Literal["mase", "skill", "smape", "mae", "rmse", "coverage"]
ControlMetric = Literal[
    "meanReward",
    "stdReward",
    "worstReward",
    "meanLength",
    "successRate",
    "gainOverRandom",
    "gainOverBaseline",
    "normalizedReward",
]
AnomalyMetric = Literal[
    "rocAuc", "averagePrecision", "precision", "recall", "f1", "anomalyShare", "medianScore"
]  # fmt: skip
ClusteringMetric = Literal[
    "silhouette", "daviesBouldin", "calinskiHarabasz", "adjustedRand", "normalizedMutualInformation", "clusters",
    "smallestCluster",
]  # fmt: skip
EmbeddingMetric = Literal["neighbourAccuracy", "trustworthiness"]
LatencyMetric = Literal["latencyP50Ms", "latencyP99Ms"]
Metric = Literal[
    ClassificationMetric, RegressionMetric, GenerationMetric, ControlMetric, ForecastingMetric, AnomalyMetric,
    ClusteringMetric, EmbeddingMetric, LatencyMetric,
]  # fmt: skip

LATENCY_METRICS: tuple[str, ...] = get_args(LatencyMetric)
METRICS: dict[str, tuple[str, ...]] = {
    "classification": get_args(ClassificationMetric) + LATENCY_METRICS,
    "regression": get_args(RegressionMetric) + LATENCY_METRICS,
    "generation": get_args(GenerationMetric) + LATENCY_METRICS,
    "control": get_args(ControlMetric) + LATENCY_METRICS,
    "forecasting": get_args(ForecastingMetric) + LATENCY_METRICS,
    "anomaly": get_args(AnomalyMetric) + LATENCY_METRICS,
    "clustering": get_args(ClusteringMetric) + LATENCY_METRICS,
    "embedding": get_args(EmbeddingMetric) + LATENCY_METRICS,
}
"""The metrics of each kind of task."""

_ANY_NUMBER = Field(ge=-1e15, le=1e15)


class Bound(Part):
    """One bound of the gate."""

    metric: Metric
    """The metric, measured on the test split."""
    min: Annotated[float | None, _ANY_NUMBER] = None
    """Least value that passes."""
    max: Annotated[float | None, _ANY_NUMBER] = None
    """Greatest value that passes."""
    slice: SliceName | None = None
    """`column=value`: measure on those rows only; the column is one of evaluate.slices. Default: all rows."""
    min_gain: Annotated[float | None, _ANY_NUMBER] = None
    """How much better than the serving model, in the metric's unit; negative tolerates a loss. Not available yet."""

    rules = (
        Rule(
            message="a bound has `min` or `max`",
            broken=lambda self: unless((self.min, self.max, self.min_gain) != (None, None, None)),
            cel="has(self.min) || has(self.max) || has(self.minGain)",
            cure="for example {metric: accuracy, min: 0.9}",
        ),
        Rule(
            message="min is not greater than max",
            broken=lambda self: unless(self.min is None or self.max is None or self.min <= self.max, "min"),
            cel="!has(self.min) || !has(self.max) || self.min <= self.max",
            cure="exchange them",
        ),
        Rule(
            message="latency is not measured on slices",
            broken=lambda self: unless(self.slice is None or self.metric not in LATENCY_METRICS, "slice"),
            cel="!has(self.slice) || !self.metric.startsWith('latency')",
            cure="remove `slice`",
        ),
    )


class Fairness(Part):
    """How differently groups of people are treated."""

    columns: Columns
    """Columns that name the groups."""


class Explanations(Part):
    """Which inputs decide, for some of the test rows."""

    method: Literal["integratedGradients", "permutation"] = "permutation"
    """Default: permutation."""
    samples: Annotated[int, Field(ge=1, le=100_000)] = 100
    """Rows explained. Default: 100."""


class EvaluateSpec(Part):
    """How the model is judged on the untouched test split."""

    slices: Columns = ()
    """Columns by whose values the metrics are also given."""
    episodes: Annotated[int | None, Field(ge=2, le=100_000)] = None
    """environment-control: episodes that are played, by agent and baselines alike. Default: 50."""
    gate: Annotated[tuple[Bound, ...], Field(max_length=32), Lax] = ()
    """Bounds that a model must keep to be published. Default: every model passes."""
    fairness: Fairness | None = None
    """Fairness between groups. Not available yet."""
    explanations: Explanations | None = None
    """Explanations. Not available yet."""

    rules = (
        Rule(
            message="the column of a bound's slice is one of evaluate.slices",
            broken=lambda self: [
                ("gate", index, "slice")
                for index, bound in enumerate(self.gate)
                if bound.slice is not None and bound.slice.partition("=")[0] not in self.slices
            ],
            cel=(
                "!has(self.gate) || self.gate.all(bound, !has(bound.slice) || (has(self.slices)"
                " && self.slices.exists(column, bound.slice.startsWith(column + '='))))"
            ),
            cure="add the column to evaluate.slices",
        ),
    )
