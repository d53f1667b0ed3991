"""Optimizers and learning-rate schedules."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import nn

from runwright_components.contract.config import TrainConfig
from runwright_components.models.mlp import NumericEmbedding

ONECYCLE_RISE = 0.3  # share of the steps until the highest rate
ONECYCLE_START = 25.0  # the highest rate over the first
ONECYCLE_END = 1e4  # the first rate over the last


def make_optimizer(config: TrainConfig, module: nn.Module) -> torch.optim.Optimizer:
    """Optimizer over the parameters that learn; weight decay acts on matrices and filters alone."""
    groups = parameter_groups(module, config.weight_decay)
    if config.optimizer == "sgd":
        return torch.optim.SGD(groups, lr=config.learning_rate, momentum=config.momentum, fused=True)
    kind = torch.optim.AdamW if config.optimizer == "adamw" else torch.optim.Adam
    return kind(groups, lr=config.learning_rate, fused=True)


def parameter_groups(module: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Learning parameters with and without weight decay; biases, norms and embeddings go without."""
    exempt = {
        id(parameter)
        for part in module.modules()
        if isinstance(part, nn.Embedding | NumericEmbedding)
        for parameter in part.parameters(recurse=False)
    }
    decayed: list[nn.Parameter] = []
    plain: list[nn.Parameter] = []
    for parameter in module.parameters():
        if parameter.requires_grad:
            (plain if parameter.ndim < 2 or id(parameter) in exempt else decayed).append(parameter)
    groups = [{"params": decayed, "weight_decay": weight_decay}, {"params": plain, "weight_decay": 0.0}]
    return [group for group in groups if group["params"]]


def rate_factor(schedule: str, step: int, total: int, warmup: int) -> float:
    """The learning rate of 0-based `step` of `total`, as a share of the configured one.

    A linear warm-up over `warmup` steps, then constant, linear to 0 or cosine to 0 (Loshchilov and Hutter 2017);
    `onecycle` rises over `warmup` steps (by default 30 % of all) and falls to almost 0, both by cosine (Smith 2018).
    Being a function of the step alone, it needs no state in a checkpoint.
    """
    if schedule == "onecycle":
        return _onecycle(step, total, warmup or math.ceil(ONECYCLE_RISE * total))
    if step < warmup:
        return (step + 1) / warmup
    done = (step - warmup) / max(1, total - warmup)
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
