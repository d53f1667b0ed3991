"""Vision transformer (Dosovitskiy et al. 2021), as small images and few of them want it.

Patches are embedded by two convolutions instead of one (Xiao et al. 2021, Early Convolutions), positions are fixed
sines of both directions, and the mean over the patches goes to the head (Beyer et al. 2022, Better plain ViT
baselines): three things that make it learn without millions of images.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from runwright_components.contract.config import ModelConfig
from runwright_components.models.image import Standardize
from runwright_components.models.layers import EncoderLayer, Head, activation
from runwright_components.models.shape import Shape


class ViT(nn.Module):
    """`pixels` [N, C, H, W] in patches of `patch` by `patch`, `depth` layers of dimension `width`."""

    positions: Tensor

    def __init__(self, config: ModelConfig, shape: Shape) -> None:
        super().__init__()
        channels, height, width = shape.image
        self.standardize = Standardize(shape)
        halving = 2 if config.patch % 2 == 0 else 1
        step = config.patch // halving
        self.stem = nn.Sequential(
            nn.Conv2d(channels, config.width // 2, 3, stride=halving, padding=1),
            activation(config.activation),
            nn.Conv2d(config.width // 2, config.width, step, stride=step),
        )
        positions = sines(height // config.patch, width // config.patch, config.width)
        self.register_buffer("positions", positions, persistent=False)
        self.layers = nn.ModuleList(EncoderLayer(config) for _ in range(config.depth))
        self.norm = nn.LayerNorm(config.width)
        self.head = Head(config.width, shape.classes, regression=shape.task == "regression", dropout=config.dropout)

    def forward(self, pixels: Tensor) -> Tensor:
        patches = self.stem(self.standardize(pixels)).flatten(2).transpose(1, 2) + self.positions
        for layer in self.layers:
            patches = layer(patches)
        out: Tensor = self.head(self.norm(patches).mean(dim=1))
        return out


def sines(rows: int, columns: int, width: int) -> Tensor:
    """Positions of a grid, float32 [rows * columns, width]: sines and cosines of the row and of the column, a quarter
    of the width each, of wavelengths from 2 pi to 10,000 times that; the rest of a `width` that 4 does not divide is 0.
    """
    quarter = width // 4
    frequency = torch.exp(torch.arange(quarter) * (-math.log(10_000.0) / max(1, quarter - 1)))
    row, column = torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij")
    angles = [place.flatten().unsqueeze(1) * frequency for place in (row, column)]
    parts = torch.cat([wave for angle in angles for wave in (angle.sin(), angle.cos())], dim=1)
    return functional.pad(parts, (0, width - 4 * quarter))
