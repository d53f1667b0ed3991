"""What the prepare stage is told of the past of rows."""

from __future__ import annotations

from typing import Literal

from runwright_components.contract.config.base import Config

WindowFunction = Literal["mean", "min", "max", "std", "count"]


class RollingRules(Config):
    window: int  # rows before the row
    functions: tuple[WindowFunction, ...]


class WindowRules(Config):
    by: tuple[str, ...] = ()  # columns that tell entities apart
    order: str
    columns: tuple[str, ...]
    lags: tuple[int, ...] = ()  # rows
    rolling: tuple[RollingRules, ...] = ()
