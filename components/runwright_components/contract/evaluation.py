"""What the evaluation stage writes down: how good a model is, and the gate's verdict."""

from __future__ import annotations

from statistics import fmean, stdev
from typing import Literal

from pydantic import Field

from runwright_components.contract.artifacts import Document, Lineage
from runwright_components.contract.config import TaskKind

EVALUATION = "evaluation.json"
PREDICTIONS = "predictions.parquet"  # beside EVALUATION
FOLDS = "folds.json"  # in a model's folder: its CrossValidation


class Check(Document):
    """One bound of the gate and what came of it."""

    metric: str
    value: float | None
    min: float | None = None
    max: float | None = None
    slice: str | None = None
    passed: bool
    message: str


class ClassMetrics(Document):
    label: str
    precision: float
    recall: float
    f1: float
    support: int


class SliceMetrics(Document):
    column: str
    value: str
    rows: int
    metrics: dict[str, float]


class Calibration(Document):
    """Reliability of the predicted probabilities (Naeini et al. 2015): a row a bin."""

    error: float  # expected calibration error
    confidence: tuple[float, ...]  # mean confidence of the bin
    accuracy: tuple[float, ...]
    count: tuple[int, ...]


class Latency(Document):
    """Of the packaged model with preprocessing, one row a request, on this machine."""

    p50_ms: float
    p99_ms: float
    rows_per_second: float  # in batches
    batch: int
    requests: int
    machine: str


class Roc(Document):
    """One class against the rest, at up to 100 thresholds."""

    label: str
    fpr: tuple[float, ...]
    tpr: tuple[float, ...]
    thresholds: tuple[float, ...]


class Sample(Document):
    """What a language model writes after a prompt from a test document, and what stands there."""

    prompt: str
    text: str
    truth: str


class ForecastSample(Document):
    """A forecast of a window of the test split, from the stamp `last` on, and what came; None where nothing was
    observed. `series` names it by its columns."""

    series: str
    last: str
    history: tuple[float, ...]  # the end of what is seen
    truth: tuple[float | None, ...]
    forecast: tuple[float, ...]
    lower: tuple[float, ...]
    upper: tuple[float, ...]


class ScoreHistogram(Document):
    """Anomaly scores of the test rows: rows a bin, apart by their label where one is known."""

    edges: tuple[float, ...]
    normal: tuple[int, ...]  # or unlabelled
    anomalous: tuple[int, ...] = ()  # empty without labels
    threshold: float


class Projection(Document):
    """Up to 1,000 test rows on the first two principal components: (x, y, group), groups by their names."""

    points: tuple[tuple[float, float, int], ...]
    groups: tuple[str, ...]
    variance: tuple[float, float]  # share of it on each axis


class CrossValidation(Document):
    """What K models, each fitted without its fold, are like on their folds: metrics a fold, in their order."""

    nested: bool = False  # each searched for its own values
    rows: tuple[int, ...]  # that judged
    metrics: dict[str, tuple[float, ...]]

    @property
    def figures(self) -> dict[str, float]:
        """Mean and sample standard deviation of each metric, under `cv.METRIC_mean` and `cv.METRIC_std`."""
        found = {}
        for name, values in self.metrics.items():
            found[f"cv.{name}_mean"] = fmean(values)
            found[f"cv.{name}_std"] = stdev(values)
        return found


class Evaluation(Document):
    """What the untouched test split says of the model whose digest is `model_digest`."""

    model_digest: str
    prepared_digest: str
    task: TaskKind
    verdict: Literal["passed", "rejected"]
    checks: tuple[Check, ...] = ()
    rows: int
    metrics: dict[str, float]
    labels: tuple[str, ...] = ()
    per_class: tuple[ClassMetrics, ...] = ()
    confusion: tuple[tuple[int, ...], ...] = ()  # rows: truth, columns: prediction
    roc: tuple[Roc, ...] = ()
    calibration: Calibration | None = None
    residuals: tuple[tuple[float, float], ...] = ()  # regression: up to 500 (truth, prediction) pairs
    scores: ScoreHistogram | None = None  # anomaly
    projection: Projection | None = None  # clustering, embedding
    slices: tuple[SliceMetrics, ...] = ()
    samples: tuple[Sample, ...] = ()  # generation
    returns: dict[str, tuple[float, ...]] = Field(default={})  # control: of each player's episodes, the agent's first
    forecasts: tuple[ForecastSample, ...] = ()  # forecasting
    cross_validation: CrossValidation | None = None
    latency: Latency
    lineage: Lineage
