"""DLinear (Zeng et al. 2023, Are Transformers Effective for Time Series Forecasting?)."""

from __future__ import annotations

from torch import Tensor, nn

from runwright_components.contract.config import ModelConfig
from runwright_components.models.forecasting import QUANTILES, Fixed, moving_average, quantiles
from runwright_components.models.shape import Shape

KERNEL = 25  # steps, as in the paper


class DLinear(nn.Module):
    """`history` float32 [N, context] to `forecast` [N, horizon, QUANTILES], both in the units of the window: one linear
    map of the moving average and one of what differs from it. It has no sizes to choose."""

    def __init__(self, config: ModelConfig, shape: Shape) -> None:  # noqa: ARG002 (every family takes it)
        super().__init__()
        self.trend_of = Fixed(moving_average(shape.context, min(KERNEL, shape.context)))
        self.trend, self.rest = (nn.Linear(shape.context, QUANTILES * shape.horizon) for _ in range(2))
        for part in (self.trend, self.rest):
            nn.init.zeros_(part.weight)
            nn.init.zeros_(part.bias)

    def forward(self, history: Tensor) -> Tensor:
        trend = self.trend_of(history)
        parts = self.trend(trend) + self.rest(history - trend)
        return quantiles(parts.unflatten(1, (-1, QUANTILES)))
