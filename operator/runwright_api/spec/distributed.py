"""`spec.train.distributed`: how the processes of a training share its work and its memory."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from runwright_api.part import Part, Rule, unless
from runwright_api.spec.language import TASK

# A word, and no boolean: a field of a CRD has one type, and YAML 1.1 reads `on` and `off` as booleans.
_When = Literal["never", "auto", "always"]


class Distributed(Part):
    """How the processes of a training share its work and its memory."""

    strategy: Literal["auto", "ddp", "fsdp"] = "auto"
    """ddp: each process holds the whole model; fsdp: each holds its share of weights, gradients and optimizer state;
    auto: fsdp where the whole would fill half of a GPU's memory. Default: auto."""
    sharding: Literal["full", "gradients"] = "full"
    """fsdp: full gathers a block's weights for each pass and lets go of them; gradients keeps them from the forward to
    the backward pass, which is faster and takes more memory. Default: full."""
    tensor_parallel: Annotated[int, Field(ge=1, le=64)] = 1
    """Processes that share each matrix of a text-generation model's blocks; they see the same rows. It divides the
    processes, the heads and the heads of keys and values. Default: 1."""
    compile: _When = "never"
    """torch.compile of the model's blocks; auto: on a GPU where a compiler is there. Default: never."""
    activation_checkpointing: _When = "auto"
    """Compute a block's activations again in the backward pass in place of keeping them; auto: where a GPU could not
    hold them. Default: auto."""
    loading: Literal["auto", "memory", "stream"] = "auto"
    """memory: each process holds all rows; stream: it reads those of its steps from memory-mapped files; auto: stream
    where the rows would fill a quarter of the memory. Default: auto."""


def _may_share_matrices(train: Any) -> bool:
    asked = train.distributed
    return bool(asked.tensor_parallel == 1 or (train.task == TASK and asked.strategy != "ddp"))


DISTRIBUTED_RULES = (
    Rule(
        message="`precision: fp16` does not go with `strategy: fsdp`",
        broken=lambda self: unless(self.precision != "fp16" or self.distributed.strategy != "fsdp", "precision"),
        cel=(
            "!has(self.precision) || self.precision != 'fp16' || !has(self.distributed)"
            " || !has(self.distributed.strategy) || self.distributed.strategy != 'fsdp'"
        ),
        cure="use bf16, or `strategy: ddp`",
    ),
    Rule(
        message="`optimizer: adafactor` does not go with `strategy: fsdp`",
        broken=lambda self: unless(self.optimizer != "adafactor" or self.distributed.strategy != "fsdp", "optimizer"),
        cel=(
            "!has(self.optimizer) || self.optimizer != 'adafactor' || !has(self.distributed)"
            " || !has(self.distributed.strategy) || self.distributed.strategy != 'fsdp'"
        ),
        cure="use adamw, whose state is sharded, or `strategy: ddp`",
    ),
    Rule(
        message="tensorParallel is for text-generation, with `strategy: fsdp` or auto",
        broken=lambda self: unless(_may_share_matrices(self), "distributed", "tensorParallel"),
        cel=(
            "!has(self.distributed) || !has(self.distributed.tensorParallel) || self.distributed.tensorParallel == 1"
            f" || (self.task == '{TASK}' && (!has(self.distributed.strategy) || self.distributed.strategy != 'ddp'))"
        ),
        cure="remove it; `strategy: fsdp` shards the same memory",
    ),
)
"""Rules of `TrainSpec` that `distributed` takes part in."""
