"""What the models have in common that learn without a target."""

from __future__ import annotations

from abc import abstractmethod

import torch
from torch import Tensor, nn

from runwright_components.models.shape import Shape


class Unsupervised(nn.Module):
    """A module that is trained by one function and serves another; both take the graph's inputs by name."""

    def forward(self, **inputs: Tensor) -> Tensor:
        return self.loss(**inputs)

    @abstractmethod
    def loss(self, **inputs: Tensor) -> Tensor:
        """What training minimizes, of each row, float32 [N]."""

    @abstractmethod
    def answer(self, **inputs: Tensor) -> Tensor:
        """What the graph gives: the only output."""


class Answering(nn.Module):
    """An `Unsupervised` as it is served: `forward` is its `answer`."""

    def __init__(self, module: Unsupervised) -> None:
        super().__init__()
        self.module = module

    def forward(self, numeric: Tensor | None = None, categorical: Tensor | None = None) -> Tensor:
        given = {"numeric": numeric, "categorical": categorical}
        return self.module.answer(**{name: value for name, value in given.items() if value is not None})


def served(module: nn.Module) -> nn.Module:
    """The module whose outputs the graph has: itself, but for what is trained by another function."""
    return Answering(module).eval() if isinstance(module, Unsupervised) else module


class Dense(nn.Module):
    """A table's inputs side by side, categories as one 0/1 feature a code: float32 [N, features]."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.sizes = shape.categories
        self.features = shape.numeric + sum(shape.categories)

    def forward(self, numeric: Tensor | None = None, categorical: Tensor | None = None) -> Tensor:
        parts = [] if numeric is None else [numeric]
        if categorical is not None:
            for column, size in enumerate(self.sizes):
                codes = torch.arange(size, device=categorical.device)
                parts.append((categorical[:, column : column + 1] == codes).float())
        return torch.cat(parts, dim=1) if len(parts) > 1 else parts[0]


class Scoring(Unsupervised):
    """Answers an anomaly score [N] in [0, 1): e / (e + t) of the row's error e and the threshold t, so that 0.5 is the
    threshold whatever the model."""

    threshold: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("threshold", torch.ones(()))

    def loss(self, **inputs: Tensor) -> Tensor:
        return self.error(**inputs)

    def answer(self, **inputs: Tensor) -> Tensor:
        error = self.error(**inputs)
        score: Tensor = error / (error + self.threshold)
        return score

    @abstractmethod
    def error(self, **inputs: Tensor) -> Tensor:
        """How unlike the training rows each row is, float32 [N], 0 or more."""
