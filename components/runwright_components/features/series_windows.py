"""Prepared series: their values one after the other, and which windows of them each split has.

In prepared data lie `values.bin` (float64) and, where there were gaps, `observed.bin` (uint8); `series.parquet` has a
row a series. A window is named by the place in `values.bin` of the first value that it foretells, so that windows take
no room: those of a split and series are a run of neighbouring places.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from runwright_components.contract.artifacts import PREPROCESSING, STATE
from runwright_components.contract.config import SplitName
from runwright_components.features.series import SeriesPreprocessingState

VALUES = "values.bin"
OBSERVED = "observed.bin"
SERIES = "series.parquet"
SCALE = "scale"  # column of it and of the test split: what an error of the series is measured by

Floats = NDArray[np.float64]
Places = NDArray[np.int64]


@dataclass(frozen=True)
class Runs:
    """The windows of a split: of each series those at `first` [S] and the `count` [S] - 1 places after it."""

    first: Places
    count: Places

    def __len__(self) -> int:
        return int(self.count.sum())

    def at(self, rows: Places) -> tuple[Places, Places]:
        """The series and the place of the windows `rows` [N], counted through all series."""
        ends = np.cumsum(self.count)
        series = np.searchsorted(ends, rows, side="right")
        return series, self.first[series] + rows - (ends - self.count)[series]


class Windows:
    """The windows of one split, cut from mapped files when they are asked for."""

    def __init__(self, prepared: Path, split: SplitName) -> None:
        self.state = SeriesPreprocessingState.read(prepared / PREPROCESSING, STATE).series
        table = pl.read_parquet(prepared / SERIES, columns=[f"{split}_first", f"{split}_count"])
        self.runs = Runs(table[f"{split}_first"].to_numpy(), table[f"{split}_count"].to_numpy())
        self._values: Any = np.memmap(prepared / VALUES, dtype=np.float64, mode="r")
        observed = prepared / OBSERVED
        self._observed: Any = np.memmap(observed, dtype=np.uint8, mode="r") if observed.is_file() else None
        self._seen = np.arange(-self.state.context, 0)
        self._ahead = np.arange(self.state.horizon)

    def __len__(self) -> int:
        return len(self.runs)

    def take(self, rows: Places) -> tuple[Floats, Floats]:
        """What is seen [N, context] and what follows [N, horizon], NaN where nothing was observed."""
        _, places = self.runs.at(rows)
        ahead = places[:, None] + self._ahead
        truth = self._values[ahead]
        if self._observed is not None:
            truth = np.where(self._observed[ahead] > 0, truth, np.nan)
        return self._values[places[:, None] + self._seen], truth
