"""What the models of time series share: quantiles that cannot cross, and fixed linear maps over time."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

QUANTILES = 3  # the lower end of the forecast interval, the median, the upper end


def quantiles(parts: Tensor) -> Tensor:
    """From [N, H, QUANTILES], free numbers, to lower end, median and upper end, in this order: the ends keep off the
    median by what is never negative."""
    below, middle, above = parts.unbind(dim=-1)
    return torch.stack([middle - functional.softplus(below), middle, middle + functional.softplus(above)], dim=-1)


def interpolation(knots: int, length: int) -> Tensor:
    """The matrix [knots, length] that draws straight lines between evenly spread knots, the first and the last of them
    at the ends."""
    if knots == 1:
        return torch.ones(1, length)
    places = torch.linspace(0, knots - 1, length)
    distance = (places[None, :] - torch.arange(knots)[:, None]).abs()
    return (1 - distance).clamp(min=0)


def moving_average(length: int, kernel: int) -> Tensor:
    """The matrix [length, length] of the mean over `kernel` neighbours, the values at the ends repeated beyond them."""
    reach = (kernel - 1) // 2
    weights = torch.zeros(length, length)
    for place in range(length):
        for neighbour in range(place - reach, place - reach + kernel):
            weights[min(max(neighbour, 0), length - 1), place] += 1 / kernel
    return weights


class Fixed(nn.Module):
    """A linear map over the last dimension that does not learn and is not stored: [..., A] to [..., B]."""

    matrix: Tensor

    def __init__(self, matrix: Tensor) -> None:
        super().__init__()
        self.register_buffer("matrix", matrix, persistent=False)

    def forward(self, values: Tensor) -> Tensor:
        return values @ self.matrix
