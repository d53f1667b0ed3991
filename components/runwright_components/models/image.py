"""Standardization of images inside the graph."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from runwright_components.models.shape import Shape


class Standardize(nn.Module):
    """`pixels` float32 [N, C, H, W] in [0, 1], less the training split's mean, over its deviation, per channel."""

    mean: Tensor
    std: Tensor

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(shape.mean, dtype=torch.float32).view(1, -1, 1, 1))
        self.register_buffer("std", torch.tensor(shape.std, dtype=torch.float32).clamp(min=1e-3).view(1, -1, 1, 1))

    def forward(self, pixels: Tensor) -> Tensor:
        return (pixels - self.mean) / self.std
