"""N-HiTS (Challu et al. 2023, Neural Hierarchical Interpolation for Time Series Forecasting)."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from runwright_components.contract.config import ModelConfig
from runwright_components.models.forecasting import QUANTILES, Fixed, interpolation, quantiles
from runwright_components.models.layers import activation
from runwright_components.models.shape import Shape

RATE = 4  # between a block and the one after it


class Block(nn.Module):
    """Sees the history pooled by `rate`, and draws forecast and backcast between knots `rate` steps apart: [N, context]
    to ([N, context], [N, horizon, QUANTILES]). The `last` block's backcast would be for nobody: it is zero."""

    def __init__(self, config: ModelConfig, shape: Shape, rate: int, *, last: bool) -> None:
        super().__init__()
        self.pool = min(rate, shape.context)
        width = math.ceil(shape.context / self.pool)
        layers: list[nn.Module] = []
        for hidden in config.hidden:
            layers += [nn.Linear(width, hidden), activation(config.activation), nn.Dropout(config.dropout)]
            width = hidden
        self.layers = nn.Sequential(*layers)
        seen, ahead = (max(1, math.ceil(length / rate)) for length in (shape.context, shape.horizon))
        self.backcast = None if last else nn.Linear(width, seen)
        self.forecast = nn.Linear(width, QUANTILES * ahead)
        self.draw_back = None if last else Fixed(interpolation(seen, shape.context))
        self.draw = Fixed(interpolation(ahead, shape.horizon))
        nn.init.zeros_(self.forecast.weight)
        nn.init.zeros_(self.forecast.bias)

    def forward(self, history: Tensor) -> tuple[Tensor, Tensor]:
        pooled = functional.max_pool1d(history.unsqueeze(1), self.pool, ceil_mode=True).squeeze(1)
        features = self.layers(pooled)
        knots = self.forecast(features).unflatten(1, (QUANTILES, -1))
        ahead: Tensor = self.draw(knots).transpose(1, 2)
        if self.backcast is None or self.draw_back is None:
            return torch.zeros_like(history), ahead
        return self.draw_back(self.backcast(features)), ahead


class NHits(nn.Module):
    """`history` float32 [N, context] to `forecast` [N, horizon, QUANTILES], both in the units of the window.

    The first of `depth` blocks is the coarsest and the last sees every value; each explains what the ones before it
    left over. What they add up to is the change from the last value seen. The quantiles are ours; the paper foretells
    one number a step.
    """

    def __init__(self, config: ModelConfig, shape: Shape) -> None:
        super().__init__()
        places = range(config.depth - 1, -1, -1)
        self.blocks = nn.ModuleList(Block(config, shape, RATE**place, last=place == 0) for place in places)

    def forward(self, history: Tensor) -> Tensor:
        rest, total = history, None
        for block in self.blocks:
            seen, ahead = block(rest)
            rest = rest - seen
            total = ahead if total is None else total + ahead
        assert total is not None
        level = functional.pad(history[:, -1:, None], (1, 1))  # of the median alone
        return quantiles(total + level)
