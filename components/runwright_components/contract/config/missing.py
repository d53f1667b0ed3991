"""What the prepare stage is told of missing values."""

from __future__ import annotations

from typing import Literal

from runwright_components.contract.config.base import Config

Ordered = Literal["forward", "backward", "interpolate"]
ColumnMissing = Literal["median", "mean", "mode", "constant", "drop", "nearest", "iterative", Ordered]


class MissingRules(Config):
    numeric: Literal["median", "mean", "constant", "drop", "nearest", "iterative", Ordered] = "median"
    categorical: Literal["category", "mode", "constant", "drop"] = (
        "category"  # category: missing is a category of its own
    )
    indicator: bool = True  # adds a 0/1 column for each numeric column that had missing values in the training split
    words: tuple[str, ...] = ("", "na", "n/a", "nan", "null", "none", "missing", "unknown", "?", "-", ".")
    fill_numeric: float = 0.0
    fill_categorical: str = "missing"
    neighbours: int = 5  # nearest
    sample: int = 2000  # nearest: training rows that are kept
    rounds: int = 10  # iterative: at most
    order_by: str | None = None  # Ordered: the column that orders the rows; None: that of a split by time
