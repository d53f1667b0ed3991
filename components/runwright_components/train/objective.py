"""What training minimizes and what validation reports."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from runwright_components.contract.config import TaskKind
from runwright_components.train.mixing import Blend


@dataclass(frozen=True)
class Validation:
    """Mean loss over the validation split, and accuracy, R2 or bits per byte."""

    loss: float
    metric: float


class Objective:
    """Cross entropy of `logits` [N, K], or squared error of `value` [N] in standardized units.

    Class weights are balanced over the training split, so that each class counts the same and the mean weight is 1;
    the mean of a batch is over its rows, not its weights: then batches of any sizes add up.
    """

    def __init__(
        self,
        task: TaskKind,
        *,
        smoothing: float = 0.0,
        weights: Tensor | None = None,
    ) -> None:
        self.task = task
        self.smoothing = smoothing
        self.weights = weights

    @property
    def metric(self) -> str:
        return "accuracy" if self.task == "classification" else "r2"

    def loss(self, output: Tensor, target: Tensor, blend: Blend | None = None) -> Tensor:
        """Mean over the batch, scalar float32, with label smoothing; of mixed images by their targets' shares."""
        if blend is not None:
            return blend.share * self.loss(output, target) + (1 - blend.share) * self.loss(output, blend.partner)
        if self.task == "regression":
            return functional.mse_loss(output.float(), target)
        if self.weights is None:
            return functional.cross_entropy(output.float(), target, label_smoothing=self.smoothing)
        return self._weighted(output, target, self.smoothing) / len(target)

    def _weighted(self, output: Tensor, target: Tensor, smoothing: float) -> Tensor:
        return functional.cross_entropy(
            output.float(), target, weight=self.weights, label_smoothing=smoothing, reduction="sum"
        )

    def sums(self, output: Tensor, target: Tensor) -> Tensor:
        """Sums of a batch that `summarize` needs, float64 [5]; they add up over batches and ranks."""
        ones = torch.ones((), device=target.device, dtype=torch.float64)
        if self.task == "classification":
            loss = self._weighted(output, target, 0.0).double()
            correct = (output.argmax(dim=1) == target).sum().double()
            return torch.stack([loss, correct, ones * len(target), ones * 0, ones * 0])
        truth = target.double()
        error = (output.double() - truth).square().sum()
        return torch.stack([error, error, ones * len(target), truth.sum(), truth.square().sum()])

    def summarize(self, sums: Tensor) -> Validation:
        """The figures of a split from the total of its batches' `sums`."""
        loss, figure, count, total, squares = (float(value) for value in sums)
        if self.task == "classification":
            return Validation(loss / count, figure / count)
        spread = squares - total * total / count
        return Validation(loss / count, 1 - figure / spread if spread > 0 else 0.0)


class RowLoss(Objective):
    """The mean of the rows' losses [N], which the module gives itself; there is no target."""

    @property
    def metric(self) -> str:
        return "row_loss"

    def loss(self, output: Tensor, target: Tensor, blend: Blend | None = None) -> Tensor:  # noqa: ARG002
        """Mean over the batch, scalar float32."""
        assert blend is None
        return output.float().mean()

    def sums(self, output: Tensor, target: Tensor) -> Tensor:
        """The sum of the losses and the number of rows, float64 [5] with three zeros."""
        sums = torch.zeros(5, dtype=torch.float64, device=target.device)
        sums[0], sums[1] = output.double().sum(), len(output)
        return sums

    def summarize(self, sums: Tensor) -> Validation:
        mean = float(sums[0] / sums[1])
        return Validation(mean, mean)


def balanced_weights(counts: Tensor) -> Tensor:
    """Weight of each class from its number of rows [K]: n / (K * n_k); 0 for a class without rows."""
    weights = counts.sum() / (len(counts) * counts.clamp(min=1))
    return torch.where(counts > 0, weights, torch.zeros_like(weights)).float()
