"""What the train stage is told of language models."""

from __future__ import annotations

from runwright_components.contract.config.base import Config


class LoraConfig(Config):
    """Low-rank adaptation (Hu et al. 2021): `alpha / rank` times the product of two small matrices is added to each
    weight matrix of the blocks."""

    rank: int = 8
    alpha: float = 16.0
    dropout: float = 0.0
