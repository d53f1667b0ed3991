"""Matrix products of operands in 8 bits (Micikevicius et al. 2022, FP8 Formats for Deep Learning), by torchao.

Each product rounds its two operands to 8 bits, scaled by the largest number that each holds at that moment; sums are in
more. Weights, gradients and optimizer state stay as they are, and so does whatever reads a checkpoint or a model. What
is no product of a block's linear layer computes in bf16.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from runwright_components.contract.outcome import Reason, StageError

FAMILIES = ("transformer", "vit", "decoder", "pretrained")
MULTIPLE = 16  # the tensor cores' products take sizes that it divides
CAPABILITY = (8, 9)  # the first NVIDIA GPUs that have them

_WHERE = "train.precision"
_CURE = "set it to bf16"


def check_device(device: torch.device) -> None:
    """Raise StageError (InvalidConfig) for a device that cannot multiply in 8 bits."""
    if device.type != "cuda":
        raise StageError(
            Reason.INVALID_CONFIG, "fp8 needs a GPU", where=_WHERE, cure=f"{_CURE}, or give the training a GPU"
        )
    check_gpu(torch.cuda.get_device_name(device), torch.cuda.get_device_capability(device))


def check_gpu(name: str, capability: tuple[int, int]) -> None:
    """Raise StageError (InvalidConfig) for a GPU of before."""
    if capability < CAPABILITY:
        raise StageError(
            Reason.INVALID_CONFIG,
            f"fp8 needs a GPU of compute capability {_version(CAPABILITY)}, and {name} has {_version(capability)};"
            " Ada (L4, L40S), Hopper (H100, H200), Blackwell (B200) and later ones have it",
            where=_WHERE,
            cure=_CURE,
        )


def _version(capability: tuple[int, int]) -> str:
    return ".".join(map(str, capability))


def check_model(family: str, blocks: Sequence[nn.Module]) -> None:
    """Raise StageError (InvalidConfig) for a model that has no layer which could multiply in 8 bits."""
    if family not in FAMILIES:
        raise StageError(
            Reason.INVALID_CONFIG,
            f"fp8 is for models of transformer blocks ({', '.join(FAMILIES)}), and this is {family}",
            where=_WHERE,
            cure=_CURE,
        )
    if not any(fits(layer) for block in blocks for layer in block.modules()):
        raise StageError(
            Reason.INVALID_CONFIG,
            f"fp8 takes linear layers whose sizes {MULTIPLE} divides, and no block of the model has one",
            where=_WHERE,
            cure=f"{_CURE}, or use a train.model.width that {MULTIPLE} divides",
        )


def fits(layer: nn.Module) -> bool:
    """Whether it is a linear layer of sizes that can be multiplied in 8 bits."""
    if type(layer) is not nn.Linear:  # what is derived from it may not call `forward`
        return False
    return layer.in_features % MULTIPLE == 0 and layer.out_features % MULTIPLE == 0


def convert(blocks: Sequence[nn.Module], *, emulate: bool = False) -> None:
    """Have the linear layers of `blocks` that fit multiply in 8 bits when they train, in place.

    The parameters stay the same objects under the same names. `emulate` rounds to 8 bits and multiplies in fp32, which
    any machine can: it is for tests, and no configuration leads to it.
    """
    logging.getLogger("torch.utils._pytree").setLevel(logging.ERROR)  # torchao calls what torch is about to drop
    from torchao.float8 import Float8LinearConfig, convert_to_float8_training

    config = Float8LinearConfig(pad_inner_dim=True, emulate=emulate)  # a batch may have any number of rows
    for block in blocks:
        names = [name for name, layer in block.named_modules() if fits(layer)]
        convert_to_float8_training(block, config=config, module_filter_fn=lambda layer, _: fits(layer))
        for name in names:
            layer = block.get_submodule(name)
            layer.forward = _in_training(cast(nn.Linear, layer))


def _in_training(layer: nn.Linear) -> Callable[[Tensor], Tensor]:
    """The layer's `forward`, which validation leaves: it computes as the model will that is served."""
    quick = layer.forward

    def forward(states: Tensor) -> Tensor:
        return quick(states) if layer.training else functional.linear(states, layer.weight, layer.bias)

    return forward
