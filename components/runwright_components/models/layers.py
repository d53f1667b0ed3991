"""Layers that several families share."""

from __future__ import annotations

from typing import Literal

from torch import Tensor, nn

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
