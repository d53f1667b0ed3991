"""Tensor parallelism: a few processes share each matrix of a decoder's blocks (Shoeybi et al. 2019, Megatron-LM).

Attention is shared by heads and SwiGLU by its inner features: a process holds the rows of the first matrices that make
its heads, and the columns of the last one that read them, so that each part of a block takes one sum over the group
forward and one backward. Embedding, norms and output are the same on every process of a group.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn

from runwright_components.contract.config import TrainConfig
from runwright_components.contract.outcome import Reason, StageError
from runwright_components.models.decoder import Decoder, DecoderSettings
from runwright_components.models.lora import LoraLinear
from runwright_components.train.ranks import Ranks
from runwright_components.train.shards import is_sharded

WHERE = "train.distributed.tensorParallel"


def check(config: TrainConfig, module: nn.Module, ranks: Ranks) -> None:
    """Raise StageError (InvalidConfig) for a model or a number of processes that cannot share its matrices so."""
    asked = config.distributed
    size = asked.tensor_parallel
    if size == 1:
        return
    if not isinstance(module, Decoder):
        raise _invalid(
            f"there is no plan to share the matrices of the family {config.model.name}",
            "set it to 1 and use `strategy: fsdp`, which shards the same memory; decoders of text generation have one",
        )
    if any(isinstance(part, LoraLinear) for part in module.modules()):
        raise _invalid("adapters are not shared by matrices", "set it to 1, or remove train.model.lora")
    if ranks.world % size:
        raise _invalid(
            f"{ranks.world} processes do not divide into groups of {size}",
            "use a divisor of the number of processes (train.resources)",
        )
    if asked.strategy == "ddp":
        raise _invalid("matrices are shared together with `strategy: fsdp` alone", "set strategy to fsdp or auto")
    if asked.compile == "always":
        raise _invalid("shared matrices are not compiled", "set train.distributed.compile to never, or this to 1")
    if config.precision == "fp8":
        raise _invalid("shared matrices are not multiplied in 8 bits", "set train.precision to bf16, or this to 1")
    for what, count in _divided(module.settings).items():
        if count % size:
            raise _invalid(f"{count} {what} do not divide among {size} processes", f"use a divisor of {count}")


def _divided(settings: DecoderSettings) -> dict[str, int]:
    return {
        "heads": settings.heads,
        "heads of keys and values": settings.key_value_heads,
        "features inside SwiGLU": settings.inner,
    }


def _invalid(message: str, cure: str) -> StageError:
    return StageError(Reason.INVALID_CONFIG, message, where=WHERE, cure=cure)


def share(blocks: Sequence[nn.Module], mesh: Any) -> None:
    """Share the matrices of a decoder's blocks over `mesh`, in place; they are the same on every process before."""
    from torch.distributed.tensor import Replicate
    from torch.distributed.tensor.parallel import (
        ColwiseParallel,
        PrepareModuleInput,
        RowwiseParallel,
        parallelize_module,
    )

    whole = Replicate()
    # Inputs enter the group's graph once a part, so that the backward pass sums their gradients once.
    plan = {
        "self_attn": PrepareModuleInput(
            input_layouts=(whole, None, None), desired_input_layouts=(whole, None, None)
        ),
        "self_attn.q_proj": ColwiseParallel(),
        "self_attn.k_proj": ColwiseParallel(),
        "self_attn.v_proj": ColwiseParallel(),
        "self_attn.o_proj": RowwiseParallel(),
        "mlp": PrepareModuleInput(input_layouts=(whole,), desired_input_layouts=(whole,)),
        "mlp.gate_proj": ColwiseParallel(),
        "mlp.up_proj": ColwiseParallel(),
        "mlp.down_proj": RowwiseParallel(),
    }  # fmt: skip
    for block in blocks:
        parallelize_module(block, mesh, plan, src_data_rank=None)


def by_mesh(weights: Sequence[nn.Parameter]) -> list[list[nn.Parameter]]:
    """The weights by the mesh of processes that they are laid out on: torch computes on those of one mesh at a time."""
    groups: dict[Any, list[nn.Parameter]] = {}
    for weight in weights:
        groups.setdefault(getattr(weight, "device_mesh", None), []).append(weight)
    return list(groups.values())


def clip(groups: Sequence[Sequence[nn.Parameter]], limit: float) -> None:
    """Scale the gradients of the weights of `by_mesh` down to a total norm of `limit`, if it is larger."""
    if len(groups) == 1:
        nn.utils.clip_grad_norm_(groups[0], limit)
        return
    gradients = [[weight.grad for weight in group if weight.grad is not None] for group in groups]
    total = torch.linalg.vector_norm(torch.stack([_norm(group) for group in gradients if group]))
    for group in groups:
        nn.utils.clip_grads_with_norm_(group, limit, total)


def _norm(gradients: Sequence[Tensor]) -> Tensor:
    norm = nn.utils.get_total_norm(gradients)
    return cast(Tensor, cast(Any, norm).full_tensor()) if is_sharded(norm) else norm
