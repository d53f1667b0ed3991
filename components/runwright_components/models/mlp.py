"""Multi-layer perceptron for tables: embedded numbers and categories, then dense blocks."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from runwright_components.contract.config import ModelConfig
from runwright_components.models.layers import Head, activation, norm1d
from runwright_components.models.shape import Shape


class NumericEmbedding(nn.Module):
    """Densely connected periodic embedding of each number: [N, F] to [N, F * width].

    After Gorishniy et al. 2022 (On Embeddings for Numerical Features) in the form of Holzmüller et al. 2024 (RealMLP):
    each number also passes through unchanged, and is first bounded smoothly so that an outlier cannot dominate.
    """

    def __init__(self, features: int, *, frequencies: int = 16, width: int = 4, scale: float = 0.1) -> None:
        super().__init__()
        self.frequency = nn.Parameter(torch.randn(features, frequencies) * scale)
        self.phase = nn.Parameter((torch.rand(features, frequencies) * 2 - 1) * math.pi)
        bound = 1 / math.sqrt(frequencies)
        self.weight = nn.Parameter((torch.rand(features, frequencies, width - 1) * 2 - 1) * bound)
        self.bias = nn.Parameter((torch.rand(features, width - 1) * 2 - 1) * bound)
        self.features = features * width

    def forward(self, numeric: Tensor) -> Tensor:
        bounded = (numeric / torch.sqrt(1 + (numeric / 3) ** 2)).unsqueeze(-1)
        waves = torch.cos(2 * math.pi * bounded * self.frequency + self.phase)
        mixed = torch.einsum("nfk,fkw->nfw", waves, self.weight) + self.bias
        return torch.cat([bounded, mixed], dim=-1).flatten(1)


class CategoryEmbedding(nn.Module):
    """Learned vectors for each column's codes: int64 [N, C] to [N, features]."""

    def __init__(self, sizes: tuple[int, ...], width: int | None) -> None:
        super().__init__()
        widths = [width or embedding_width(size) for size in sizes]
        self.tables = nn.ModuleList(nn.Embedding(size, dim) for size, dim in zip(sizes, widths, strict=True))
        self.features = sum(widths)
        for table in self.tables:
            weight = table.weight
            assert isinstance(weight, Tensor)
            nn.init.normal_(weight, std=weight.shape[1] ** -0.5)
            # Code 0 is the unseen category; where training has none, it stays at the origin, the mean of the others.
            nn.init.zeros_(weight[0])

    def forward(self, codes: Tensor) -> Tensor:
        return torch.cat([table(codes[:, column]) for column, table in enumerate(self.tables)], dim=1)


def embedding_width(size: int) -> int:
    """Width of a categorical embedding by its number of codes (the rule of thumb of fastai)."""
    return max(1, min(50, round(1.6 * math.pow(size, 0.56))))


class Block(nn.Module):
    """Linear, normalization, activation, dropout; with a shortcut where the width stays the same."""

    def __init__(self, width_in: int, width: int, config: ModelConfig, *, shortcut: bool) -> None:
        super().__init__()
        self.linear = nn.Linear(width_in, width)
        self.norm = norm1d(config.normalization, width)
        self.activation = activation(config.activation)
        self.dropout = nn.Dropout(config.dropout)
        self.shortcut = shortcut and width_in == width

    def forward(self, features: Tensor) -> Tensor:
        out: Tensor = self.dropout(self.activation(self.norm(self.linear(features))))
        return features + out if self.shortcut else out


class Mlp(nn.Module):
    """`numeric` float32 [N, F] and `categorical` int64 [N, C], each only where the table has such columns."""

    def __init__(self, config: ModelConfig, shape: Shape) -> None:
        super().__init__()
        self.numeric = NumericEmbedding(shape.numeric) if shape.numeric else None
        self.categorical = CategoryEmbedding(shape.categories, config.embedding) if shape.categories else None
        width = sum(part.features for part in (self.numeric, self.categorical) if part is not None)
        blocks: list[nn.Module] = []
        for hidden in config.hidden:
            blocks.append(Block(width, hidden, config, shortcut=bool(blocks)))
            width = hidden
        self.blocks = nn.Sequential(*blocks)
        self.head = Head(width, shape.classes, regression=shape.task == "regression", dropout=0.0)

    def forward(self, numeric: Tensor | None = None, categorical: Tensor | None = None) -> Tensor:
        parts = []
        if self.numeric is not None and numeric is not None:
            parts.append(self.numeric(numeric))
        if self.categorical is not None and categorical is not None:
            parts.append(self.categorical(categorical))
        features = torch.cat(parts, dim=1) if len(parts) > 1 else parts[0]
        out: Tensor = self.head(self.blocks(features))
        return out
