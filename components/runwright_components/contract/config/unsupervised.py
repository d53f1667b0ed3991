"""Sizes of the models that learn without a target."""

from __future__ import annotations

from typing import Literal, get_args

from runwright_components.contract.config.base import Config

FittedModel = Literal["isolationforest", "kmeans", "gaussianmixture"]
FITTED_MODELS: tuple[FittedModel, ...] = get_args(FittedModel)
"""Models that are fitted at once, without epochs."""


class UnsupervisedConfig(Config):
    dimension: int = 8  # of the embedding, or of an autoencoder's narrowest layer
    contamination: float = 0.05  # share of rows like the training rows whose score is above the threshold
    clusters: int | None = None  # None: the number with the best silhouette, from 2 to most_clusters
    most_clusters: int = 10
    trees: int = 100  # isolationforest
    rows: int = 256  # isolationforest: rows that each tree sees
