"""What the prepare stage is told of time series."""

from __future__ import annotations

from typing import Literal

from runwright_components.contract.config.base import Config


class SeriesRules(Config):
    time: str  # the column of the stamps
    by: tuple[str, ...] = ()  # columns that tell one series from another
    frequency: str | None = None  # 15m, 1h, 1d, 1w, 1mo, 1q, 1y; None: inferred
    horizon: int  # steps that are forecast
    context: int | None = None  # steps that are seen before them; None: two horizons or two seasons
    season: int | None = None  # steps; None: by the frequency
    interval: float = 0.8  # share of truths that the forecast interval should hold
    gaps: Literal["refuse", "forward"] = "refuse"
