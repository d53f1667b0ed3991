"""Forecasts of a series model: its windows through the graph, and back in the target's unit."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from runwright_components.features.predictions import Predictions
from runwright_components.features.series import FORECAST, HISTORY, SeriesPreprocessing

Run = Callable[[Mapping[str, NDArray[Any]]], dict[str, NDArray[Any]]]


class Forecaster:
    """Each window is scaled by itself, so that what scaled it must be kept until the graph has answered."""

    def __init__(self, preprocessing: SeriesPreprocessing, run: Run, batch: int) -> None:
        self.preprocessing = preprocessing
        self._run = run
        self._batch = batch

    def predict(self, rows: pl.DataFrame) -> Predictions:
        """Forecasts for rows of a request, in batches. Raises StageError for a row that tells too little."""
        windows = self.preprocessing.scale(rows)
        parts = [
            self._run({HISTORY: windows.history[start : start + self._batch]})[FORECAST]
            for start in range(0, len(rows), self._batch)
        ]
        return self.preprocessing.forecasts(rows, np.concatenate(parts), windows)
