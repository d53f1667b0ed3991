"""What goes wrong inside torch, in words that a person can act on."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from runwright_components.contract.config import TrainConfig
from runwright_components.contract.outcome import Reason, StageError
from runwright_components.train.ranks import Ranks

_NO_MEMORY = re.compile(r"can't allocate memory|out of memory|bad_alloc", re.IGNORECASE)
_TOO_LATE = re.compile(r"timed out|timeout", re.IGNORECASE)


@contextmanager
def told(config: TrainConfig, ranks: Ranks) -> Iterator[None]:
    """Turn memory that ran out, and ranks that waited too long for each other, into StageErrors."""
    try:
        yield
    except (torch.OutOfMemoryError, MemoryError) as error:
        raise out_of_memory(config, ranks, str(error)) from error
    except RuntimeError as error:
        if _NO_MEMORY.search(str(error)):
            raise out_of_memory(config, ranks, str(error)) from error
        if ranks.world > 1 and _TOO_LATE.search(str(error)):
            raise _too_late(config, ranks, str(error)) from error
        raise


def out_of_memory(config: TrainConfig, ranks: Ranks, message: str) -> StageError:
    """Says what was asked for, and what takes less for the same result."""
    ways = []
    if config.batch_size > 1:
        ways.append(
            f"set train.batchSize to {config.batch_size // 2} (now {config.batch_size}) and train.accumulate to"
            f" {2 * config.accumulate} (now {config.accumulate}) for the same result"
        )
    if config.distributed.activation_checkpointing != "always":
        ways.append("set train.distributed.activationCheckpointing to always, which computes activations again")
    if ranks.world > 1 and config.distributed.strategy != "fsdp":
        ways.append("set train.distributed.strategy to fsdp, which shares weights and optimizer state out")
    first = message.splitlines()[0].strip() if message else ""
    return StageError(
        Reason.OUT_OF_MEMORY,
        f"rank {ranks.rank} of {ranks.world} ran out of memory on {_place(ranks.device)}"
        + f" with batches of {config.batch_size} rows"
        + (f": {first}" if first else ""),
        where="train.batchSize",
        cure="; or ".join(ways) or "use a machine with more memory, or a smaller model",
    )


def _place(device: torch.device) -> str:
    if device.type != "cuda":
        return "the CPU"
    free, total = torch.cuda.mem_get_info(device)
    return f"{device} ({free / 2**30:.1f} of {total / 2**30:.1f} GiB are free)"


def _too_late(config: TrainConfig, ranks: Ranks, message: str) -> StageError:
    return StageError(
        Reason.COLLECTIVE_TIMEOUT,
        f"rank {ranks.rank} waited too long for the others: {message.splitlines()[0]}",
        where="train",
        cure="continue with `runwright run --resume`; if steps take so long, raise train.collectiveTimeout"
        f" (now {config.collective_timeout:g} s)",
    )
