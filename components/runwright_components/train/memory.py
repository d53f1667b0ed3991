"""Memory that a training's process may fill."""

from __future__ import annotations

import os
from pathlib import Path

import torch

from runwright_components.train.ranks import Ranks

CGROUP_LIMIT = Path("/sys/fs/cgroup/memory.max")  # of a container (cgroup v2)


def available(ranks: Ranks) -> int:
    """Bytes of the process's GPU, or its share of the machine's memory; a container's limit counts."""
    if ranks.device.type == "cuda":
        return torch.cuda.get_device_properties(ranks.device).total_memory
    return host_bytes() // ranks.neighbours


def host_bytes(limit: Path = CGROUP_LIMIT) -> int:
    """Bytes of the machine's memory, or of the container's where that is less."""
    physical = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    try:
        return min(physical, int(limit.read_text()))
    except (OSError, ValueError):  # no container, or "max"
        return physical
