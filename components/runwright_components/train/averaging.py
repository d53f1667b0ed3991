"""An exponential moving average of the weights (Polyak and Juditsky 1992; as Tan and Le 2019 train EfficientNet)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class Average:
    """Follows the floating-point tensors of a module's state dict; running statistics of norms are among them.

    The decay of step `s` (from 0) is at most (1 + s) / (10 + s), so that the first weights, which are random, are
    forgotten soon. `weights` is all that a checkpoint needs.
    """

    def __init__(self, module: nn.Module, decay: float) -> None:
        self._module = module
        self._decay = decay
        self.weights = {name: tensor.detach().clone() for name, tensor in _floating(module).items()}

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Move the average towards the weights after 0-based `step`."""
        decay = min(self._decay, (1 + step) / (10 + step))
        torch._foreach_lerp_(list(self.weights.values()), list(_floating(self._module).values()), 1 - decay)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """The module has the averaged weights for the time of the block, and its own again after it, to the bit."""
        current = list(_floating(self._module).values())
        own = [tensor.clone() for tensor in current]
        _copy(current, list(self.weights.values()))
        try:
            yield
        finally:
            _copy(current, own)

    def restore(self, weights: dict[str, Tensor]) -> None:
        """Go back to the `weights` of a checkpoint."""
        for name, tensor in self.weights.items():
            tensor.copy_(weights[name])


def _floating(module: nn.Module) -> dict[str, Tensor]:
    return {name: tensor for name, tensor in module.state_dict().items() if tensor.is_floating_point()}


@torch.no_grad()
def _copy(targets: list[Tensor], sources: list[Tensor]) -> None:
    torch._foreach_copy_(targets, sources)
