"""What a step computes and keeps, found before the first one: the passes run on shapes alone, on the meta device."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.utils.flop_counter import FlopCounterMode


@dataclass(frozen=True)
class Estimate:
    """Of one micro-batch: floating-point operations of its forward and backward pass, and bytes kept between them."""

    flops: int
    activations: int


def estimate(module: nn.Module, inputs: Mapping[str, Tensor]) -> Estimate | None:
    """Run both passes over the shapes of `inputs`; weights, gradients and random generators stay as they are.

    Matrix products and convolutions count, two operations a multiply-add, as is usual for model FLOPs utilization
    (Chowdhery et al. 2022, PaLM, appendix B). None for a module that looks at values.
    """
    kept: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        if not isinstance(tensor, nn.Parameter):
            kept[id(tensor.untyped_storage())] = tensor.numel() * tensor.element_size()
        alive.append(tensor)  # so that no other storage gets its identity
        return tensor

    alive: list[Tensor] = []
    with torch.device("meta"):
        weights = {
            name: nn.Parameter(torch.empty_like(weight, device="meta"), requires_grad=weight.requires_grad)
            for name, weight in module.named_parameters()
        }
        buffers = {name: torch.empty_like(buffer, device="meta") for name, buffer in module.named_buffers()}
        shapes = {name: torch.empty_like(tensor, device="meta") for name, tensor in inputs.items()}
    counter = FlopCounterMode(display=False)
    try:
        with counter, torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            output = functional_call(module, {**weights, **buffers}, args=(), kwargs=shapes)
            learning = [weight for weight in weights.values() if weight.requires_grad]
            torch.autograd.grad(output.float().sum(), learning, allow_unused=True)
    except (RuntimeError, NotImplementedError, TypeError, AttributeError):
        return None  # whatever it was: a figure less, and no training the worse for it
    return Estimate(counter.get_total_flops(), sum(kept.values()))


def state_bytes(module: nn.Module, optimizer: str) -> int:
    """Bytes of weights, gradients and optimizer state in fp32."""
    learning = sum(weight.numel() for weight in module.parameters() if weight.requires_grad)
    frozen = sum(weight.numel() for weight in module.parameters() if not weight.requires_grad)
    moments = {"adamw": 2, "adam": 2, "sgd": 1}.get(optimizer, 0)
    return 4 * (frozen + learning * (2 + moments))
