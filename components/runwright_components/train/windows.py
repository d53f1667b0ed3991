"""Windows of time series as rows, and what is learned of them: quantiles of what follows."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from runwright_components.contract.config import SplitName
from runwright_components.features.series import HISTORY, scaled
from runwright_components.features.series_windows import Windows
from runwright_components.train.data import Inputs
from runwright_components.train.mixing import Blend
from runwright_components.train.objective import Objective, Validation


class SeriesSplit:
    """A split whose series stay on disk, mapped into memory; `take` cuts the windows of a batch and scales each by what
    is seen in it."""

    evaluation_factor = 4

    def __init__(self, prepared: Path, name: SplitName, device: torch.device) -> None:
        self._windows = Windows(prepared, name)
        self._device = device

    def __len__(self) -> int:
        return len(self._windows)

    @property
    def levels(self) -> tuple[float, ...]:
        """The quantiles that are learned."""
        return self._windows.state.levels

    def start(self, epoch: int, upcoming: Iterator[Tensor]) -> None:
        """Every epoch has the same rows."""

    def take(self, rows: Tensor) -> tuple[Inputs, Tensor]:
        """`history` float32 [N, context] and what follows, float32 [N, horizon], NaN where nothing was observed."""
        history, truth = self._windows.take(rows.numpy())
        seen = scaled(history)
        target = ((truth - seen.location[:, None]) / seen.scale[:, None]).astype(np.float32)
        inputs = {HISTORY: torch.from_numpy(seen.history).to(self._device, non_blocking=True)}
        return inputs, torch.from_numpy(target).to(self._device, non_blocking=True)


class QuantileObjective(Objective):
    """The pinball loss (Koenker and Bassett 1978) of `forecast` [N, horizon, levels], mean over steps and levels, in
    the units of each window; of the median it is half the absolute error. Steps without a value cost nothing.

    Validation tells the absolute error of the median in the same units.
    """

    def __init__(self, levels: tuple[float, ...]) -> None:
        super().__init__("forecasting")
        self._levels = torch.tensor(levels)

    @property
    def metric(self) -> str:
        return "scaled_error"

    def loss(self, output: Tensor, target: Tensor, blend: Blend | None = None) -> Tensor:
        """Mean over the batch, scalar float32; unobserved steps count in the number, so that batches add up."""
        assert blend is None
        return self._pinball(output, target).sum() / output.numel()

    def sums(self, output: Tensor, target: Tensor) -> Tensor:
        """Loss, absolute error of the median and observed steps of a batch, float64 [5] with two zeros."""
        observed = ~target.isnan()
        error = torch.where(observed, (output[..., 1].float() - target).abs(), 0.0)
        found = torch.zeros(5, dtype=torch.float64, device=target.device)
        found[0] = self._pinball(output, target).double().sum() / output.shape[-1]
        found[1], found[2] = error.double().sum(), observed.sum()
        return found

    def summarize(self, sums: Tensor) -> Validation:
        """Loss and error of an observed step."""
        loss, error, steps, *_ = (float(value) for value in sums)
        return Validation(loss / max(steps, 1), error / max(steps, 1))

    def _pinball(self, output: Tensor, target: Tensor) -> Tensor:
        """[N, horizon, levels]."""
        levels = self._levels.to(output.device)
        missed = torch.nan_to_num(target)[..., None] - output.float()
        cost = torch.maximum(levels * missed, (levels - 1) * missed)
        return torch.where(target.isnan()[..., None], 0.0, cost)
