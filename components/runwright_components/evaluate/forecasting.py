"""How good forecasts are, against the truth and against two that need no model, on the same windows.

The naive forecast says the last value again, the seasonal naive one the last season. An error is measured by the mean
difference of values a season apart in the training split (mean absolute scaled error, Hyndman and Koehler 2006), so
that series of any size count the same. `skill` is the share of the better naive forecast's MASE that the model saves.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from runwright_components.contract.artifacts import RAW_TEST, ROW_ID, TARGET
from runwright_components.contract.config import EvaluateConfig
from runwright_components.contract.evaluation import ForecastSample, SliceMetrics
from runwright_components.contract.progress import Progress
from runwright_components.evaluate import slices, speed
from runwright_components.evaluate.judged import Judged, not_finite, slice_columns
from runwright_components.features.series import SeriesPreprocessing, SeriesState
from runwright_components.features.series_windows import SCALE
from runwright_components.serve.predictor import Predictor

Floats = NDArray[np.float64]

_CHUNK = 4096
_SAMPLES = 4
_SEEN = 3  # horizons of the past that are drawn


@dataclass(frozen=True)
class Outcome:
    """Windows [N, horizon] of the test: `truth` (NaN: not observed), `forecast` with the ends of its interval, the two
    naive forecasts, and `scale` [N] (NaN: not measured)."""

    truth: Floats
    forecast: Floats
    lower: Floats
    upper: Floats
    naive: Floats
    seasonal: Floats
    scale: Floats

    def of(self, rows: NDArray[np.int64]) -> Outcome:
        """Some of the windows."""
        return Outcome(**{name: values[rows] for name, values in vars(self).items()})


def judge(config: EvaluateConfig, predictor: Predictor, prepared: Path, progress: Progress) -> Judged:
    """Forecast the windows of the test split through the graph that is served, and compare."""
    rows, truth = pl.read_parquet(prepared / RAW_TEST), pl.read_parquet(prepared / "test.parquet")
    columns = slice_columns(config, rows.drop(ROW_ID))
    found = _forecast(predictor, rows, truth, progress)
    wrong = not_finite(np.stack([found.forecast, found.lower, found.upper], axis=1))
    words = predictor.preprocessing.target_state.words
    return Judged(
        rows=len(rows),
        wrong=wrong,
        metrics={} if wrong else metrics(found),
        slices=tuple(
            SliceMetrics(column=column, value=name, rows=len(index), metrics={} if wrong else metrics(found.of(index)))
            for column in columns
            for name, index in slices.groups(rows, column, {}, words)
        ),
        details={} if wrong else {"forecasts": tuple(_samples(predictor, rows, found))},
        latency=speed.measure(predictor, rows, requests=config.latency_requests, batch=config.throughput_batch),
        table=rows.select(ROW_ID).with_columns(
            pl.Series(name, values)
            for name, values in (
                ("truth", found.truth),
                ("prediction", found.forecast),
                ("lower", found.lower),
                ("upper", found.upper),
            )
        ),
    )


def _forecast(predictor: Predictor, rows: pl.DataFrame, truth: pl.DataFrame, progress: Progress) -> Outcome:
    state = _state(predictor)
    target = predictor.signature.target
    parts: list[tuple[Floats, ...]] = []
    for chunk in rows.iter_slices(_CHUNK):
        forecasts = predictor.predict(chunk).forecasts
        assert forecasts is not None
        seen = chunk[target].to_numpy()
        parts.append((forecasts.values, forecasts.lower, forecasts.upper, *naive(seen, state.season, state.horizon)))
        progress.update(min(len(parts) * _CHUNK, len(rows)), len(rows), unit="windows")
    forecast, lower, upper, last, seasonal = (np.concatenate(column) for column in zip(*parts, strict=True))
    return Outcome(truth[TARGET].to_numpy(), forecast, lower, upper, last, seasonal, truth[SCALE].to_numpy())


def naive(seen: Floats, season: int, horizon: int) -> tuple[Floats, Floats]:
    """The naive and the seasonal naive forecast [N, horizon] of what is seen [N, context]."""
    back = seen.shape[1] - season + np.arange(horizon) % season
    return np.repeat(seen[:, -1:], horizon, axis=1), seen[:, back]


def metrics(found: Outcome) -> dict[str, float]:
    """The errors, coverage and skill of the model, and the MASE of the naive forecasts. What cannot be measured is
    left out."""
    error = found.forecast - found.truth
    size = np.abs(found.forecast) + np.abs(found.truth)
    inside = (found.truth >= found.lower) & (found.truth <= found.upper)
    figures = {
        "mase": _mean(np.abs(error) / found.scale[:, None]),
        "smape": _mean(2 * np.abs(error) / np.where(size > 0, size, 1.0)),
        "mae": _mean(np.abs(error)),
        "rmse": _mean(np.square(error)) ** 0.5,
        "coverage": _mean(np.where(np.isnan(found.truth), np.nan, inside)),
        "baselineMase": _mean(np.abs(found.seasonal - found.truth) / found.scale[:, None]),
        "naiveMase": _mean(np.abs(found.naive - found.truth) / found.scale[:, None]),
    }
    better = min(figures["baselineMase"], figures["naiveMase"])
    if better > 0:
        figures["skill"] = 1 - figures["mase"] / better
    return {name: value for name, value in figures.items() if np.isfinite(value)}


def _mean(values: Floats) -> float:
    """Of what is observed and measured; NaN where nothing is."""
    known = np.isfinite(values)
    return float(values[known].mean()) if known.any() else float("nan")


def _samples(predictor: Predictor, rows: pl.DataFrame, found: Outcome) -> Iterator[ForecastSample]:
    """Some windows, evenly over the test split, with as much of their past as can be looked at."""
    state = _state(predictor)
    target = predictor.signature.target
    seen = min(state.context, _SEEN * state.horizon)
    for place in np.unique(np.linspace(0, len(rows) - 1, _SAMPLES + 2).round().astype(int)[1:-1]).tolist():
        row = rows.row(place, named=True)
        yield ForecastSample(
            series=", ".join(str(row[name]) for name in state.by),
            last=row[state.time].isoformat(),
            history=tuple(row[target][-seen:]),
            truth=tuple(None if np.isnan(value) else value for value in found.truth[place].tolist()),
            forecast=tuple(found.forecast[place].tolist()),
            lower=tuple(found.lower[place].tolist()),
            upper=tuple(found.upper[place].tolist()),
        )


def _state(predictor: Predictor) -> SeriesState:
    preprocessing = predictor.preprocessing
    assert isinstance(preprocessing, SeriesPreprocessing)
    return preprocessing.state
