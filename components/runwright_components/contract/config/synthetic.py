"""What a generator makes."""

from __future__ import annotations

from typing import Literal

from runwright_components.contract.config.base import Config


class SyntheticConfig(Config):
    """The rows are a function of these fields alone."""

    kind: Literal["classification", "regression", "images", "text"]
    rows: int = 1000
    seed: int = 0
    features: int = 10  # numeric columns of classification and regression
    classes: int = 3
    noise: float = 0.1  # share of labels drawn anew; of the target's spread
