"""Optimizers and learning-rate schedules."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import nn

from runwright_components.contract.config import TrainConfig
from runwright_components.models.depth import depths
from runwright_components.models.mlp import NumericEmbedding

COOLDOWN = 0.2  # share of the steps in which wsd falls
ONECYCLE_RISE = 0.3  # share of the steps until the highest rate
ONECYCLE_START = 25.0  # the highest rate over the first
ONECYCLE_END = 1e4  # the first rate over the last


def make_optimizer(config: TrainConfig, module: nn.Module) -> torch.optim.Optimizer:
    """Optimizer over the parameters that learn, now or later; weight decay acts on matrices and filters alone."""
    later = config.model.unfreeze is not None
    groups = parameter_groups(module, config.weight_decay, layer_decay=config.layer_decay, frozen=later)
    rate = config.learning_rate
    if config.optimizer == "sgd":
        return torch.optim.SGD(groups, lr=rate, momentum=config.momentum, fused=True)
    if config.optimizer == "adafactor":  # Shazeer and Stern 2018: the memory of a row and a column a matrix
        return torch.optim.Adafactor(groups, lr=rate)
    kind = torch.optim.AdamW if config.optimizer == "adamw" else torch.optim.Adam
    return kind(groups, lr=rate, fused=True)


def parameter_groups(
    module: nn.Module, weight_decay: float, *, layer_decay: float = 1.0, frozen: bool = False
) -> list[dict[str, Any]]:
    """Learning parameters (with `frozen`, all) by weight decay and by `rate_share`, their part of the learning rate.

    Biases, norms and embeddings go without weight decay. Below the head, a layer of a pretrained encoder has
    `layer_decay` times the share of the one above it (discriminative fine-tuning, Howard and Ruder 2018; ELECTRA).
    """
    exempt = {
        id(parameter)
        for part in module.modules()
        if isinstance(part, nn.Embedding | NumericEmbedding)
        for parameter in part.parameters(recurse=False)
    }
    shares = rate_shares(module, layer_decay) if layer_decay < 1 else {}
    groups: dict[tuple[float, bool, int], list[nn.Parameter]] = {}
    meshes: list[Any] = [None]  # of processes that weights are laid out on; torch updates those of one at a time
    for name, parameter in module.named_parameters():
        if parameter.requires_grad or frozen:
            plain = parameter.ndim < 2 or id(parameter) in exempt
            mesh = getattr(parameter, "device_mesh", None)
            if mesh not in meshes:
                meshes.append(mesh)
            groups.setdefault((shares.get(name, 1.0), plain, meshes.index(mesh)), []).append(parameter)
    return [
        {"params": parameters, "weight_decay": 0.0 if plain else weight_decay, "rate_share": share}
        for (share, plain, _), parameters in sorted(groups.items(), key=lambda group: (-group[0][0], group[0][1:]))
    ]


def rate_shares(module: nn.Module, layer_decay: float) -> dict[str, float]:
    """The share of the learning rate of each parameter of `module.encoder`, by its name in `module`."""
    found = depths(module.get_submodule("encoder"))
    top = max(found.values()) + 1
    return {f"encoder.{name}": layer_decay ** (top - depth) for name, depth in found.items()}


def rate_factor(schedule: str, step: int, total: int, warmup: int) -> float:
    """The learning rate of 0-based `step` of `total`, as a share of the configured one.

    A linear warm-up over `warmup` steps, then constant, linear to 0 or cosine to 0 (Loshchilov and Hutter 2017);
    `wsd` (warm-up, stable, decay: Hu et al. 2024) is constant and linear to 0 over the last fifth of the steps;
    `inverse` falls with the square root of the step (Vaswani et al. 2017), counted from the end of the warm-up;
    `onecycle` rises over `warmup` steps (by default 30 % of all) and falls to almost 0, both by cosine (Smith 2018).
    Being a function of the step alone, it needs no state in a checkpoint.
    """
    if schedule == "onecycle":
        return _onecycle(step, total, warmup or math.ceil(ONECYCLE_RISE * total))
    if step < warmup:
        return (step + 1) / warmup
    done = (step - warmup) / max(1, total - warmup)
    if schedule == "wsd":
        return min(1.0, max(0.0, (total - step) / max(1.0, COOLDOWN * total)))
    if schedule == "inverse":
        return math.sqrt(max(1, warmup) / max(1, warmup, step))
    if schedule == "linear":
        return max(0.0, 1 - done)
    if schedule == "cosine":
        return 0.5 * (1 + math.cos(math.pi * min(1.0, done)))
    return 1.0


def _onecycle(step: int, total: int, rise: int) -> float:
    first = 1 / ONECYCLE_START
    if step < rise:
        return _cosine_between(first, 1.0, step / max(1, rise))
    return _cosine_between(1.0, first / ONECYCLE_END, min(1.0, (step - rise) / max(1, total - rise)))


def _cosine_between(start: float, end: float, share: float) -> float:
    return end + (start - end) * 0.5 * (1 + math.cos(math.pi * share))
