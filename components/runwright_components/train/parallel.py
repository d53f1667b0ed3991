"""How the processes of a training share its work: replicas or shards, compiled blocks, activations computed again."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Literal, cast

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from runwright_components.contract.config import DistributedConfig, TrainConfig
from runwright_components.contract.outcome import Reason, StageError
from runwright_components.models.pretrained import Pretrained
from runwright_components.train import float8, tensor_parallel
from runwright_components.train.estimate import Estimate, state_bytes
from runwright_components.train.precision import Precision, autocast
from runwright_components.train.ranks import Ranks
from runwright_components.train.shards import is_sharded

SHARD_SHARE = 0.5  # of a GPU's memory: state that takes more is sharded
FULL_SHARE = 0.85  # state and activations that take more have the activations computed again


@dataclass(frozen=True)
class Layout:
    """What `DistributedConfig` comes to for one model on one machine."""

    strategy: Literal["single", "ddp", "fsdp"]
    reshard: bool = True  # fsdp: let go of a block's weights between the passes
    compiled: bool = False
    recomputed: bool = False  # activations
    tensor: int = 1  # processes that share each matrix
    float8: bool = False  # products of the blocks' linear layers in 8 bits

    def describe(self) -> str:
        """For people, for example `fsdp, compiled`."""
        extras = [
            (f"tensor parallel {self.tensor}", self.tensor > 1),
            ("compiled", self.compiled),
            ("activation checkpointing", self.recomputed),
            ("fp8", self.float8),
        ]
        return ", ".join([self.strategy, *(name for name, used in extras if used)])


def blocks_of(module: nn.Module) -> list[nn.Module]:
    """The repeated part of a model, whose pieces are sharded, compiled and computed again one by one.

    The children of the ModuleList or Sequential that holds the most weights among those whose children are all of one
    kind; empty for a model without one.
    """
    best: list[nn.Module] = []
    for part in module.modules():
        children = list(part.children()) if isinstance(part, nn.ModuleList | nn.Sequential) else []
        alike = len({type(child) for child in children}) == 1 and _size(children[0]) > 0
        if alike and sum(map(_size, children)) > sum(map(_size, best)):
            best = children
    return best


def _size(module: nn.Module) -> int:
    return sum(weight.numel() for weight in module.parameters())


def choose(config: TrainConfig, module: nn.Module, ranks: Ranks, costs: Estimate | None) -> Layout:
    """Settle what is left to us by the model's size and the device's memory.

    Raises StageError (InvalidConfig) for what this machine or model cannot do.
    """
    asked = config.distributed
    tensor_parallel.check(config, module, ranks)
    memory = torch.cuda.get_device_properties(ranks.device).total_memory if ranks.device.type == "cuda" else None
    state = state_bytes(module, config.optimizer)
    obstacle = _obstacle(config)
    strategy = strategy_for(asked, world=ranks.world, state=state, memory=memory, shardable=obstacle is None)
    if asked.tensor_parallel > 1:
        strategy = "fsdp"
    if obstacle is not None and strategy == "fsdp":
        raise obstacle
    share = state / ranks.world if strategy == "fsdp" else state
    full = memory is not None and costs is not None and share + costs.activations > FULL_SHARE * memory
    if config.precision == "fp8":
        float8.check_model(config.model.name, blocks_of(module))
    return Layout(
        strategy,
        reshard=asked.sharding == "full",
        compiled=asked.tensor_parallel == 1 and _compiled(asked, ranks.device),
        recomputed=_recomputed(asked, module, full=full),
        tensor=asked.tensor_parallel,
        float8=config.precision == "fp8",
    )


def strategy_for(
    asked: DistributedConfig, *, world: int, state: int, memory: int | None, shardable: bool = True
) -> Literal["single", "ddp", "fsdp"]:
    """Sharding costs traffic: it begins where replicas would fill a good part of a GPU.

    `state` and `memory` in bytes; None: no GPU.
    """
    if world == 1:
        return "single"
    if asked.strategy != "auto":
        return asked.strategy
    return "fsdp" if shardable and memory is not None and state > SHARD_SHARE * memory else "ddp"


def _obstacle(config: TrainConfig) -> StageError | None:
    """What keeps the weights from being sharded."""
    found = (
        (
            config.model.unfreeze is not None,
            "a model whose weights are sharded cannot begin to learn layer by layer",
            "train.model.unfreeze",
            "use train.layerDecay in place of freeze and unfreeze",
        ),
        (
            config.optimizer == "adafactor",
            "adafactor sums rows and columns of whole matrices, which no process of a sharded model has",
            "train.optimizer",
            "use adamw, whose state is sharded",
        ),
        (
            config.precision == "fp16",
            "the scaled losses of fp16 do not go with sharded weights",
            "train.precision",
            "use bf16",
        ),
    )
    for there, message, where, cure in found:
        if there:
            cure = f"{cure}, or set train.distributed.strategy to ddp"
            return StageError(Reason.INVALID_CONFIG, message, where=where, cure=cure)
    return None


def _compiled(asked: DistributedConfig, device: torch.device) -> bool:
    if asked.compile == "never" or (asked.compile == "auto" and device.type != "cuda"):
        return False
    missing = missing_compiler(device)
    if missing and asked.compile == "always":
        raise StageError(
            Reason.INVALID_CONFIG,
            f"torch.compile needs {missing}, which is not here",
            where="train.distributed.compile",
            cure="set it to never or auto, or train in an image that has it",
        )
    return not missing


def missing_compiler(device: torch.device) -> str:
    """What torch.compile lacks on this machine, in words; empty when it lacks nothing."""
    if device.type == "cuda" and importlib.util.find_spec("triton") is None:
        return "the package triton"
    name, usual = ("CC", ("gcc", "clang")) if device.type == "cuda" else ("CXX", ("g++", "clang++"))
    asked = os.environ.get(name)
    if not any(shutil.which(command) for command in ((asked,) if asked else usual)):
        return f"a compiler ({asked or ' or '.join(usual)})"
    return ""


def _recomputed(asked: DistributedConfig, module: nn.Module, *, full: bool) -> bool:
    if asked.activation_checkpointing == "never":
        return False
    blocks = blocks_of(module)
    forbidden = ""
    if not blocks:
        forbidden = "the model has no repeated blocks whose activations could be computed again"
    elif any(isinstance(part, nn.modules.batchnorm._BatchNorm) for block in blocks for part in block.modules()):
        forbidden = "batch norm would count each batch twice when activations are computed again"
    if forbidden and asked.activation_checkpointing == "always":
        raise StageError(
            Reason.INVALID_CONFIG,
            forbidden,
            where="train.distributed.activationCheckpointing",
            cure="set it to never, or set train.model.normalization to layer",
        )
    return not forbidden and (full or asked.activation_checkpointing == "always")


def distribute(module: nn.Module, layout: Layout, ranks: Ranks, precision: Precision) -> nn.Module:
    """Bring `module`, fresh on the CPU and the same on every rank, to the device; returns what a step calls.

    The module is changed in place: with fsdp its weights become shards (DTensors), so that an optimizer is made
    afterwards. Names of weights stay as they are. With fp8 its layers are converted before (`float8.convert`).
    """
    blocks = blocks_of(module)
    if layout.strategy != "fsdp":
        module.to(ranks.device)
    if layout.recomputed:
        for block in blocks:
            block.forward = _recomputing(block.forward)
    if layout.compiled:
        for part in blocks or [module]:  # blocks compile faster than the whole, and but once
            part.compile()
    if layout.strategy == "fsdp":
        return _shard(module, blocks, layout, ranks, precision)
    if layout.strategy == "ddp":
        devices = [ranks.device.index] if ranks.device.type == "cuda" else None
        thawing = isinstance(module, Pretrained) and module.unfreeze is not None
        with _learning(module) if thawing else contextlib.nullcontext():
            return nn.parallel.DistributedDataParallel(
                module, device_ids=devices, gradient_as_bucket_view=True, find_unused_parameters=thawing
            )
    return module


@contextlib.contextmanager
def _learning(module: nn.Module) -> Iterator[None]:
    """All weights learn in the block, so that DDP also averages the gradients of those that are frozen at first."""
    frozen = [weight for weight in module.parameters() if not weight.requires_grad]
    for weight in frozen:
        weight.requires_grad_(True)
    yield
    for weight in frozen:
        weight.requires_grad_(False)


def _recomputing(forward: Callable[..., Any]) -> Callable[..., Any]:
    """Activation checkpointing (Chen et al. 2016). A function of its own: torch.compile looks through no `partial`."""

    def recomputed(*args: Any, **kwargs: Any) -> Any:
        return checkpoint(forward, *args, use_reentrant=False, **kwargs)

    return recomputed


def _shard(module: nn.Module, blocks: list[nn.Module], layout: Layout, ranks: Ranks, precision: Precision) -> nn.Module:
    """FSDP2 (Zhao et al. 2023): block by block, then what is left; inside of it tensor parallelism, if asked for."""
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard

    if layout.tensor == 1:
        mesh = init_device_mesh(ranks.device.type, (ranks.world,))
    else:
        names = ("replicas", "tensor")
        both = init_device_mesh(ranks.device.type, (ranks.replicas, layout.tensor), mesh_dim_names=names)
        tensor_parallel.share(blocks, both["tensor"])
        mesh = both["replicas"]
    # Gradients are summed in fp32. Inputs keep their type, as under autocast: angles of positions must not be rounded.
    policy = MixedPrecisionPolicy(
        param_dtype=torch.bfloat16 if precision in ("bf16", "fp8") else None,
        reduce_dtype=torch.float32,
        cast_forward_inputs=False,
    )
    for block in blocks:
        fully_shard(block, mesh=mesh, reshard_after_forward=layout.reshard, mp_policy=policy)
    fully_shard(module, mesh=mesh, mp_policy=policy)
    return module


def _is_fsdp(module: nn.Module) -> bool:
    """Whether it was sharded; asked without importing FSDP, which takes most of a second."""
    return hasattr(module, "set_requires_gradient_sync")


def settle(forward: nn.Module, inputs: Mapping[str, Tensor]) -> None:
    """Have DistributedDataParallel lay out its buckets before the first step, where it does so after it.

    The layout decides in which order gradients of more than two ranks are summed, and so their last bits: it must be
    the same in a training that begins and in one that goes on. Weights, buffers and random states stay as they are.
    """
    if not isinstance(forward, nn.parallel.DistributedDataParallel):
        return
    buffers = [(buffer, buffer.clone()) for buffer in forward.buffers()]
    device = next(forward.parameters()).device
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        forward(**inputs).float().mean().backward()
    forward.zero_grad()
    for buffer, before in buffers:
        buffer.copy_(before)


def synchronizing(forward: nn.Module, *, wanted: bool) -> AbstractContextManager[Any]:
    """A block for one micro-batch; unless `wanted`, its gradients stay local: averaging once a step is enough."""
    if _is_fsdp(forward):
        cast(Any, forward).set_requires_gradient_sync(wanted)
    elif not wanted and isinstance(forward, nn.parallel.DistributedDataParallel):
        return forward.no_sync()
    return contextlib.nullcontext()


@contextlib.contextmanager
def evaluating(module: nn.Module, precision: Precision, device: torch.device) -> Iterator[None]:
    """A block for forward passes without gradients.

    Shards that are gathered in it serve training afterwards, which tensors of the inference mode could not; with bf16
    they are gathered in it, so that the rest computes in it, too.
    """
    if _is_fsdp(module):
        with torch.no_grad(), autocast(precision, device):
            yield
    else:
        with torch.inference_mode():
            yield


def whole(module: nn.Module, layout: Layout, fresh: Callable[[], nn.Module]) -> nn.Module:
    """`module` as `fresh` makes it, on the CPU, with the trained weights; every rank calls."""
    if layout == Layout(layout.strategy) and layout.strategy != "fsdp":
        return module
    state = {name: gathered(tensor).cpu() for name, tensor in module.state_dict().items()}
    plain = fresh()
    plain.load_state_dict(state)
    return plain


def gathered(tensor: Tensor) -> Tensor:
    """The whole of a tensor that may be a shard; every rank calls."""
    return cast(Tensor, cast(Any, tensor).full_tensor()) if is_sharded(tensor) else tensor
