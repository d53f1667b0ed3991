"""How the train stage's processes share the work."""

from __future__ import annotations

from typing import Literal

from runwright_components.contract.config.base import Config

When = Literal["never", "auto", "always"]


class DistributedConfig(Config):
    strategy: Literal["auto", "ddp", "fsdp"] = "auto"  # auto: by the model's size and the GPU's memory
    sharding: Literal["full", "gradients"] = "full"  # fsdp: whether weights are let go of between the passes
    tensor_parallel: int = 1  # processes that share each matrix and see the same rows
    compile: When = "never"
    activation_checkpointing: When = "auto"
    loading: Literal["auto", "memory", "stream"] = "auto"  # of the rows
