"""Autoencoder for tables: what cannot be put back together from a few numbers is unlike the training rows.

After Hinton and Salakhutdinov 2006 (Reducing the Dimensionality of Data with Neural Networks).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from runwright_components.contract.config import ModelConfig
from runwright_components.models.mlp import Block
from runwright_components.models.shape import Shape
from runwright_components.models.unsupervised import Dense, Scoring


class Autoencoder(Scoring):
    """`numeric` float32 [N, F] and `categorical` int64 [N, C], each only where the table has such columns.

    The error of a row is the mean over its columns: of a number its squared error, in the unit of the scaled column, of
    a category its cross entropy in nats. It serves the narrowest layer where the task is an embedding, else the score.
    """

    def __init__(self, config: ModelConfig, shape: Shape) -> None:
        super().__init__()
        assert config.unsupervised is not None
        self.embeds = shape.task == "embedding"
        self.numeric = shape.numeric
        self.sizes = shape.categories
        self.dense = Dense(shape)
        self.encoder = _narrowing(self.dense.features, config.unsupervised.dimension, config)
        mirrored = config.model_copy(update={"hidden": config.hidden[::-1]})
        self.decoder = _narrowing(config.unsupervised.dimension, self.dense.features, mirrored)

    def error(self, **inputs: Tensor) -> Tensor:
        rebuilt = self.decoder(self.encoder(self.dense(**inputs))).float()
        errors = []
        if self.numeric:
            errors.append((rebuilt[:, : self.numeric] - inputs["numeric"]).square().sum(dim=1))
        first = self.numeric
        for column, size in enumerate(self.sizes):
            codes = inputs["categorical"][:, column]
            chances = functional.log_softmax(rebuilt[:, first : first + size], dim=1)
            errors.append(-chances.gather(1, codes.unsqueeze(1)).squeeze(1))
            first += size
        return torch.stack(errors).sum(dim=0) / (self.numeric + len(self.sizes))

    def answer(self, **inputs: Tensor) -> Tensor:
        if self.embeds:
            embedding: Tensor = self.encoder(self.dense(**inputs))
            return embedding
        return super().answer(**inputs)


def _narrowing(width: int, out: int, config: ModelConfig) -> nn.Sequential:
    """Blocks of `config.hidden` features, and a linear layer to `out`."""
    layers: list[nn.Module] = []
    for hidden in config.hidden:
        layers.append(Block(width, hidden, config, shortcut=False))
        width = hidden
    return nn.Sequential(*layers, nn.Linear(width, out))
