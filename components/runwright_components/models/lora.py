"""Low-rank adaptation (Hu et al. 2021): pretrained matrices stay as they are, and a product of two small ones beside
each learns. Merging adds the product to the matrix, so that a served model costs nothing more."""

from __future__ import annotations

import math
from typing import TypeVar

import torch
from torch import Tensor, nn

from runwright_components.contract.config import LoraConfig

M = TypeVar("M", bound=nn.Module)
L = TypeVar("L", bound=nn.Module)


class LoraLinear(nn.Module):
    """A frozen linear layer without bias plus `scale` times the product of `down` [rank, in] and `up` [out, rank].

    `up` starts at zero, so that training starts from the pretrained model.
    """

    def __init__(self, base: nn.Linear, config: LoraConfig) -> None:
        super().__init__()
        self.base = base.requires_grad_(requires_grad=False)
        self.scale = config.alpha / config.rank
        self.dropout = nn.Dropout(config.dropout)
        self.down = nn.Parameter(torch.empty(config.rank, base.in_features))
        self.up = nn.Parameter(torch.zeros(base.out_features, config.rank))
        nn.init.kaiming_uniform_(self.down, a=math.sqrt(5))

    def forward(self, states: Tensor) -> Tensor:
        low = nn.functional.linear(self.dropout(states), self.down)
        out: Tensor = self.base(states) + self.scale * nn.functional.linear(low, self.up)
        return out

    @torch.no_grad()
    def merged(self) -> nn.Linear:
        """The base layer with the product added to its weights."""
        self.base.weight += self.scale * (self.up @ self.down)
        return self.base


def adapt(module: M, config: LoraConfig) -> M:
    """Freeze `module` and put adapters beside the linear layers of its blocks, in place."""
    module.requires_grad_(requires_grad=False)
    for parent, name, layer in _layers(module, nn.Linear):
        setattr(parent, name, LoraLinear(layer, config))
    return module


def merge(module: M) -> M:
    """The module without adapters, in place; one that has none stays as it is."""
    for parent, name, layer in _layers(module, LoraLinear):
        setattr(parent, name, layer.merged())
    return module.requires_grad_()


def _layers(module: nn.Module, kind: type[L]) -> list[tuple[nn.Module, str, L]]:
    """The parts of `kind` inside the blocks, which are the items of lists of modules."""
    blocks = [block for part in module.modules() if isinstance(part, nn.ModuleList) for block in part]
    return [
        (parent, name, child)
        for block in blocks
        for parent in block.modules()
        for name, child in parent.named_children()
        if isinstance(child, kind)
    ]
