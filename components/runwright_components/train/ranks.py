"""This process among the others of a training."""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, cast

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed import PrefixStore  # type: ignore[attr-defined]
from torch.distributed.rendezvous import rendezvous

from runwright_components.contract.config import TrainConfig
from runwright_components.contract.outcome import Reason, StageError

# Added to torch's own limit: the watchdog of a training that hangs bites before, and knows more.
LATE_SECONDS = 60.0


@dataclass(frozen=True)
class Ranks:
    """`control` is a gloo group for small messages between CPUs; gradients travel in the default group."""

    rank: int
    world: int
    device: torch.device
    control: Any = None
    local: int = 0  # place among the neighbours, the processes of this machine
    neighbours: int = 1
    tensor: int = 1  # processes that share each matrix and see the same rows, one after the other in rank

    @property
    def main(self) -> bool:
        return self.rank == 0

    @property
    def replica(self) -> int:
        """Number of the group that this process shares its matrices, and its rows, with."""
        return self.rank // self.tensor

    @property
    def replicas(self) -> int:
        return self.world // self.tensor

    def sum(self, numbers: Tensor) -> Tensor:
        """Sum of a CPU tensor over all ranks, in place."""
        if self.control is not None:
            dist.all_reduce(numbers, group=self.control)
        return numbers

    def agree(self, numbers: list[int]) -> list[int]:
        """Rank 0's list, on every rank."""
        if self.control is None:
            return numbers
        size = int(self.sum(torch.tensor([len(numbers) if self.main else 0])).item())
        said = torch.tensor(numbers if self.main else [0] * size, dtype=torch.int64)
        return cast(list[int], self.sum(said).tolist())

    def gather(self, state: Tensor) -> list[Tensor]:
        """A CPU tensor of the same size from every rank, in the order of the ranks."""
        if self.control is None:
            return [state]
        states = [torch.empty_like(state) for _ in range(self.world)]
        dist.all_gather(states, state, group=self.control)
        return states


class Vote:
    """Agreement of all ranks to stop, or to save, after the same step, without waiting: votes of a step are counted a
    step later. One voice is enough."""

    def __init__(self, ranks: Ranks) -> None:
        self._ranks = ranks
        self._ballot = torch.zeros(2, dtype=torch.int32)
        self._pending: Any = None

    def __call__(self, stop: bool, save: bool) -> tuple[bool, bool]:
        if self._ranks.control is None:
            return stop, save
        stops = saves = False
        if self._pending is not None:
            self._pending.wait()
            stops, saves = bool(self._ballot[0]), bool(self._ballot[1])
        self._ballot[0], self._ballot[1] = int(stop), int(save)
        self._pending = None if stops else dist.all_reduce(self._ballot, group=self._ranks.control, async_op=True)
        return stops, saves

    def close(self) -> None:
        """Receive the votes under way, so that none is left in the group."""
        if self._pending is not None:
            self._pending.wait()
            self._pending = None


def alone(config: TrainConfig) -> Ranks:
    """The only process of a training."""
    return Ranks(0, 1, _device(config, 0))


def join(config: TrainConfig) -> Ranks:
    """Join the process group that torchrun's environment (RANK, WORLD_SIZE, MASTER_ADDR, ...) describes."""
    rank, world, local = (int(os.environ[name]) for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK"))
    device = _device(config, local)
    store, _, _ = next(iter(rendezvous("env://", rank, world)))
    # The agent's store outlives a restart and still holds the addresses of the workers before.
    store = PrefixStore(f"attempt-{os.environ.get('TORCHELASTIC_RESTART_COUNT', '0')}", store)
    timeout = timedelta(seconds=config.collective_timeout + LATE_SECONDS)
    if device.type == "cuda":
        torch.cuda.set_device(device)
        dist.init_process_group("nccl", store=store, rank=rank, world_size=world, timeout=timeout, device_id=device)
    else:
        dist.init_process_group("gloo", store=store, rank=rank, world_size=world, timeout=timeout)
    neighbours = int(os.environ.get("LOCAL_WORLD_SIZE", str(world)))
    control = cast(Any, dist.new_group(backend="gloo", timeout=timeout))
    return Ranks(rank, world, device, control, local, neighbours, config.distributed.tensor_parallel)


def _device(config: TrainConfig, local_rank: int) -> torch.device:
    if config.device == "cpu":
        return torch.device("cpu")
    available = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if config.device == "cuda" and local_rank >= available:
        raise StageError(
            Reason.INVALID_CONFIG,
            f"process {local_rank} has no GPU; this machine has {available}",
            where="train.resources",
            cure="ask for at most as many processes as there are GPUs, or none to train on the CPU",
        )
    return torch.device("cuda", local_rank) if local_rank < available else torch.device("cpu")


def leave() -> None:
    """Leave the process group."""
    dist.destroy_process_group()
