"""What judging a model finds, whatever its task."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from runwright_components.contract import gate
from runwright_components.contract.config import EvaluateConfig
from runwright_components.contract.evaluation import Latency, SliceMetrics
from runwright_components.evaluate import slices


@dataclass(frozen=True)
class Judged:
    """What was found out of `rows` test rows; of `wrong` of them the predictions are not finite numbers. `details` are
    fields of an Evaluation, `table` is predictions.parquet."""

    rows: int
    wrong: int
    metrics: dict[str, float]
    slices: tuple[SliceMetrics, ...]
    details: dict[str, Any]
    latency: Latency
    table: pl.DataFrame


def slice_columns(config: EvaluateConfig, rows: pl.DataFrame) -> tuple[str, ...]:
    """The columns that the metrics are given by. Raises StageError for one that the rows lack."""
    columns = tuple(dict.fromkeys((*config.slices, *gate.columns(config.gate))))
    for column in columns:
        slices.require(column, rows, where="evaluate.slices" if column in config.slices else "evaluate.gate")
    return columns


def not_finite(predictions: NDArray[np.float64]) -> int:
    """The number of rows whose prediction is not made of finite numbers."""
    return int((~np.isfinite(predictions.reshape(len(predictions), -1)).all(axis=1)).sum())
