"""What is told of each kind of task: one table for the gate, the terminal, the report, the card and the dashboard."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from runwright_components.contract.config.base import TaskKind

CLASSIFICATION = (
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
)
REGRESSION = ("mae", "rmse", "r2")
GENERATION = ("bitsPerByte", "perplexity", "tokenAccuracy")
ANOMALY = ("rocAuc", "averagePrecision", "precision", "recall", "f1", "anomalyShare", "medianScore")
CLUSTERING = (
    "silhouette",
    "daviesBouldin",
    "calinskiHarabasz",
    "adjustedRand",
    "normalizedMutualInformation",
    "clusters",
    "smallestCluster",
)
FORECASTING = ("mase", "skill", "smape", "mae", "rmse", "coverage")
CONTROL = (
    "meanReward",
    "stdReward",
    "worstReward",
    "meanLength",
    "successRate",
    "gainOverRandom",
    "gainOverBaseline",
    "normalizedReward",
)
EMBEDDING = ("neighbourAccuracy", "trustworthiness")


@dataclass(frozen=True)
class Kind:
    """`metrics`: what the gate may bound; `shown`: on the terminal, the first also where there is room for one;
    `main`: in the report's tiles and tables of slices, the first as bars; `curve`: the metric of validation beside the
    loss, empty where there is none; `judged`: what there are so many of."""

    metrics: tuple[str, ...]
    shown: tuple[str, ...]
    main: tuple[str, ...]
    curve: str = ""
    judged: str = "test rows"


KINDS: Mapping[TaskKind, Kind] = {
    "classification": Kind(
        CLASSIFICATION,
        ("accuracy", "balancedAccuracy", "f1Macro", "rocAuc", "logLoss", "calibrationError"),
        ("accuracy", "f1Macro", "rocAuc", "logLoss"),
        "accuracy",
    ),
    "regression": Kind(REGRESSION, ("r2", "rmse", "mae"), ("rmse", "mae", "r2"), "R²"),
    "generation": Kind(GENERATION, GENERATION, GENERATION, "bits per byte"),
    "forecasting": Kind(
        FORECASTING,
        ("mase", "skill", "smape", "mae", "rmse", "coverage"),
        ("mase", "smape", "mae", "coverage"),
        "scaled error",
    ),
    "anomaly": Kind(
        ANOMALY,
        ("rocAuc", "averagePrecision", "precision", "recall", "anomalyShare"),
        ("rocAuc", "averagePrecision", "recall", "anomalyShare"),
    ),
    "clustering": Kind(
        CLUSTERING,
        ("silhouette", "adjustedRand", "daviesBouldin", "clusters"),
        ("silhouette", "adjustedRand", "daviesBouldin"),
    ),
    "control": Kind(
        CONTROL,
        ("meanReward", "stdReward", "gainOverRandom", "gainOverBaseline", "successRate", "meanLength"),
        ("meanReward", "gainOverRandom", "gainOverBaseline", "successRate"),
        "mean return",
        "episodes",
    ),
    "embedding": Kind(EMBEDDING, EMBEDDING, EMBEDDING),
}

UNSUPERVISED: frozenset[TaskKind] = frozenset(["anomaly", "clustering", "embedding"])
"""Kinds that learn from the inputs alone; a target, where one is named, is a label to judge by."""

LABELLED: frozenset[TaskKind] = UNSUPERVISED | {"classification"}
"""Kinds whose target is a class."""
