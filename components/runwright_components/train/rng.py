"""The states of all random generators of a process as tensors, for checkpoints without pickle."""

from __future__ import annotations

import random

import numpy as np
import torch
from torch import Tensor


def seed_everything(seed: int) -> None:
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)


def capture(device: torch.device) -> dict[str, Tensor]:
    """States of Python's, numpy's, torch's and the device's generator, each a CPU tensor of constant size."""
    version, words, gauss = random.getstate()
    name, keys, position, has_gauss, cached = np.random.get_state(legacy=True)
    assert version == 3
    assert name == "MT19937"
    states = {
        "python": torch.tensor([*words], dtype=torch.int64),
        "python_gauss": torch.tensor(float("nan") if gauss is None else gauss, dtype=torch.float64),
        "numpy": torch.tensor([*np.asarray(keys).tolist(), position, has_gauss], dtype=torch.int64),
        "numpy_gauss": torch.tensor(cached, dtype=torch.float64),
        "torch": torch.get_rng_state().clone(),
    }
    if device.type == "cuda":
        states["cuda"] = torch.cuda.get_rng_state(device).clone()
    return states


def restore(states: dict[str, Tensor], device: torch.device) -> None:
    gauss = float(states["python_gauss"])
    random.setstate((3, tuple(states["python"].tolist()), None if gauss != gauss else gauss))
    *keys, position, has_gauss = states["numpy"].tolist()
    words = np.array(keys, dtype=np.uint32)
    np.random.set_state(("MT19937", words, position, has_gauss, float(states["numpy_gauss"])))
    torch.set_rng_state(states["torch"])
    if device.type == "cuda":
        torch.cuda.set_rng_state(states["cuda"], device)


def derive(rank: int) -> None:
    """Give this rank a random state of its own, which depends on the present one, the same on all ranks, and `rank`."""
    drawn = torch.randint(2**62, ()).item()
    seed_everything(int(np.random.SeedSequence([int(drawn), rank]).generate_state(1)[0]))
