"""Splits as tensors, and the order in which training sees their rows."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from runwright_components.contract.config import SplitName, TaskKind
from runwright_components.contract.kinds import LABELLED
from runwright_components.features import load_split
from runwright_components.features.split_io import check_target

Inputs = dict[str, Tensor]


@dataclass(frozen=True)
class BatchPlan:
    """Which rows each step of each epoch takes.

    An epoch is a permutation that depends on the seed and the epoch alone, cut into steps whose sizes differ by one at
    most, so that no row is left out and no batch is a remnant. A step's rows go to the ranks in turn.
    """

    rows: int
    batch_size: int  # per process and micro-batch
    world: int
    accumulate: int
    seed: int
    step_rows: int = 0  # at most, over all ranks; 0: as many as batches of that size make

    @property
    def at_most(self) -> int:
        """Rows of the largest step."""
        return self.step_rows or self.batch_size * self.world * self.accumulate

    def sharing(self, step_rows: int) -> BatchPlan:
        """The same steps as one of `step_rows`, whatever the number of ranks; in as few micro-batches as hold them."""
        parts = math.ceil(step_rows / (self.batch_size * self.world))
        return replace(self, step_rows=step_rows, accumulate=parts)

    @property
    def steps(self) -> int:
        """Optimizer steps an epoch."""
        return math.ceil(self.rows / self.at_most)

    def order(self, epoch: int) -> Tensor:
        """The epoch's permutation, int64 [rows]."""
        return torch.from_numpy(np.random.default_rng([self.seed, epoch]).permutation(self.rows))

    def bounds(self, step: int) -> tuple[int, int]:
        """First and past-the-last place of a step's rows in the permutation."""
        return step * self.rows // self.steps, (step + 1) * self.rows // self.steps

    def micro_batches(self, order: Tensor, step: int, rank: int) -> Iterator[tuple[Tensor, float]]:
        """The rows of each micro-batch of one rank, and its loss's share of the step.

        The shares make the mean of the ranks' gradients the gradient of the mean over all rows of the step.
        """
        first, last = self.bounds(step)
        mine = order[first + rank : last : self.world]
        size = len(mine)
        for part in range(self.accumulate):
            rows = mine[part * size // self.accumulate : (part + 1) * size // self.accumulate]
            yield rows, len(rows) * self.world / (last - first)

    def upcoming(self, order: Tensor, step: int, rank: int) -> Iterator[Tensor]:
        """The rows of each micro-batch of one rank from `step` to the end of the epoch."""
        for later in range(step, self.steps):
            for rows, _ in self.micro_batches(order, later, rank):
                yield rows

    @property
    def smallest(self) -> int:
        """Rows of the smallest micro-batch."""
        return self.rows // self.steps // self.world // self.accumulate


class Rows(Protocol):
    """A split that training takes batches from."""

    @property
    def evaluation_factor(self) -> int:
        """Rows of a validation batch over those of a training batch."""

    def __len__(self) -> int: ...

    def start(self, epoch: int, upcoming: Iterator[Tensor]) -> None:
        """Called before the first batch of an epoch, and again where a training continues in the midst of it.

        `upcoming`: the rows that `take` will be asked for, batch by batch, so that they may be read ahead.
        """

    def take(self, rows: Tensor) -> tuple[Inputs, Tensor]:
        """Inputs by tensor name and targets of `rows` (int64, CPU)."""


class TensorSplit:
    """A whole split on a device: tables, tokens and uint8 images, from which `take` picks batches."""

    evaluation_factor = 4

    def __init__(self, inputs: Inputs, target: Tensor, device: torch.device, *, lengths: Tensor | None = None) -> None:
        """`lengths` [N] of the texts where it is known; else the attention mask tells."""
        self.device = device
        mask = inputs.get("attention_mask")
        self._lengths = lengths if lengths is not None or mask is None else mask.sum(dim=1)
        self._inputs = {name: tensor.to(device) for name, tensor in inputs.items()}
        self._target = target.to(device)

    def __len__(self) -> int:
        return len(self._target)

    @property
    def target(self) -> Tensor:
        return self._target

    def start(self, epoch: int, upcoming: Iterator[Tensor]) -> None:
        """Every epoch has the same rows."""

    def take(self, rows: Tensor) -> tuple[Inputs, Tensor]:
        """Inputs by tensor name and targets of `rows` (int64, CPU); texts cut to the longest, pixels in [0, 1]."""
        inputs, target = self.pick(rows)
        return scaled(inputs), target

    def pick(self, rows: Tensor) -> tuple[Inputs, Tensor]:
        """As `take`, with pixels as they are stored."""
        index = rows.to(self.device, non_blocking=True)
        if self._lengths is not None:
            longest = max(int(self._lengths[rows].max()), 1)
            inputs = {name: tensor[:, :longest].index_select(0, index) for name, tensor in self._inputs.items()}
        else:
            inputs = {name: tensor.index_select(0, index) for name, tensor in self._inputs.items()}
        return inputs, self._target.index_select(0, index)


def scaled(inputs: Inputs) -> Inputs:
    """Inputs with uint8 pixels in [0, 1]."""
    if "pixels" in inputs:
        inputs["pixels"] = inputs["pixels"].to(torch.float32).div_(255)
    return inputs


def read_split(prepared: Path, name: SplitName, task: TaskKind, classes: int, device: torch.device) -> TensorSplit:
    """Load a prepared split onto `device`. Raises StageError (DataInvalid) for targets that cannot be learned from."""
    split = load_split(prepared, name)
    target = np.asarray(split.target)
    check_target(target, task, classes, split=name, where=str(prepared))
    inputs = {tensor: _tensor(array) for tensor, array in split.inputs.items()}
    kind = torch.int64 if task in LABELLED else torch.float32
    return TensorSplit(inputs, _tensor(target).to(kind), device)


def _tensor(array: NDArray[Any]) -> Tensor:
    """The array as a tensor, without a copy where it may be shared."""
    return torch.from_numpy(np.require(array, requirements=["C", "W"]))
