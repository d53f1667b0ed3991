"""Layers that several families share."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from runwright_components.contract.config import ModelConfig

Activation = Literal["relu", "gelu", "silu"]
Normalization = Literal["batch", "layer", "none"]

_ACTIVATIONS: dict[str, type[nn.Module]] = {"relu": nn.ReLU, "gelu": nn.GELU, "silu": nn.SiLU}


def activation(name: Activation) -> nn.Module:
    return _ACTIVATIONS[name]()


def norm1d(name: Normalization, width: int) -> nn.Module:
    """Normalization of features [N, width]."""
    if name == "batch":
        return nn.BatchNorm1d(width)
    return nn.LayerNorm(width) if name == "layer" else nn.Identity()


def norm2d(name: Normalization, channels: int) -> nn.Module:
    """Normalization of maps [N, channels, H, W]; `layer` is a group norm with one group (Wu and He 2018)."""
    if name == "batch":
        return nn.BatchNorm2d(channels)
    return nn.GroupNorm(1, channels) if name == "layer" else nn.Identity()


class Head(nn.Module):
    """The last layer: [N, width] to `logits` [N, K], or to `value` [N] for regression."""

    def __init__(self, width: int, classes: int, *, regression: bool, dropout: float) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.linear = nn.Linear(width, classes)
        self.regression = regression
        # Zero weights start every class at the same logit: the first loss is the one of a uniform guess.
        nn.init.zeros_(self.linear.weight)
        nn.init.zeros_(self.linear.bias)

    def forward(self, features: Tensor) -> Tensor:
        out: Tensor = self.linear(self.dropout(features))
        return out.squeeze(-1) if self.regression else out


class EncoderLayer(nn.Module):
    """Self-attention (Vaswani et al. 2017) and a feed-forward part of four times the width, each after a layer norm
    (pre-norm: Xiong et al. 2020), each with a shortcut."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        width = config.width
        self.heads = config.heads
        self.attention_norm = nn.LayerNorm(width)
        self.query_key_value = nn.Linear(width, 3 * width)
        self.attention_out = nn.Linear(width, width)
        self.feed_norm = nn.LayerNorm(width)
        self.feed = nn.Sequential(
            nn.Linear(width, 4 * width), activation(config.activation), nn.Dropout(config.dropout),
            nn.Linear(4 * width, width),
        )  # fmt: skip
        self.dropout = nn.Dropout(config.dropout)

    def forward(
        self, tokens: Tensor, visible: Tensor | None = None, angles: tuple[Tensor, Tensor] | None = None
    ) -> Tensor:
        """Of `tokens` [N, T, width]. `visible`, bool and broadcast to [N, heads, T, T], says who sees whom, all without
        it; `angles`, cosines and sines [T, width / heads / 2], turn queries and keys by their positions."""
        batch, length, width = tokens.shape
        mixed = self.query_key_value(self.attention_norm(tokens))
        query, key, value = mixed.view(batch, length, 3, self.heads, width // self.heads).permute(2, 0, 3, 1, 4)
        if angles is not None:
            query, key = rotate(query, *angles), rotate(key, *angles)
        attended = functional.scaled_dot_product_attention(query, key, value, attn_mask=visible)
        tokens = tokens + self.dropout(self.attention_out(attended.transpose(1, 2).reshape(batch, length, width)))
        out: Tensor = tokens + self.dropout(self.feed(self.feed_norm(tokens)))
        return out


def rotate(heads: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
    """Turn each pair of features of `heads` [N, H, T, D] by its position's angle [T, D / 2] (Su et al. 2021)."""
    first, second = heads.chunk(2, dim=-1)
    return torch.cat([first * cosine - second * sine, second * cosine + first * sine], dim=-1)
