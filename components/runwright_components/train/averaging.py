"""An exponential moving average of the weights (Polyak and Juditsky 1992; as Tan and Le 2019 train EfficientNet)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from runwright_components.train.shards import local


class Average:
    """Follows the floating-point tensors of a module's state dict; running statistics of norms are among them.

    The decay of step `s` (from 0) is at most (1 + s) / (10 + s), so that the first weights, which are random, are
    forgotten soon. `weights` is all that a checkpoint keeps; they are changed in place alone.
    """

    def __init__(self, module: nn.Module, decay: float) -> None:
        self._module = module
        self._decay = decay
        self.weights = {name: tensor.detach().clone() for name, tensor in _floating(module).items()}

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Move the average towards the weights after 0-based `step`."""
        decay = min(self._decay, (1 + step) / (10 + step))
        torch._foreach_lerp_(_local(self.weights), _local(_floating(self._module)), 1 - decay)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """The module has the averaged weights for the time of the block, and its own again after it, to the bit."""
        current = _local(_floating(self._module))
        own = [tensor.clone() for tensor in current]
        _copy(current, _local(self.weights))
        try:
            yield
        finally:
            _copy(current, own)


def _floating(module: nn.Module) -> dict[str, Tensor]:
    return {name: tensor for name, tensor in module.state_dict().items() if tensor.is_floating_point()}


def _local(tensors: dict[str, Tensor]) -> list[Tensor]:
    return [local(tensor) for tensor in tensors.values()]


@torch.no_grad()
def _copy(targets: list[Tensor], sources: list[Tensor]) -> None:
    torch._foreach_copy_(targets, sources)
