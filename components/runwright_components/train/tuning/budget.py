"""What a search may cost, and what it has cost; pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from runwright_components.contract.config import TuneConfig

Limit = Literal["trials", "time", "gpuSeconds"]


@dataclass
class Spent:
    """`seconds` are those of the search, through all its starts; `gpu_seconds` those of its trials together."""

    seconds: float = 0.0
    gpu_seconds: float = 0.0


def reached(config: TuneConfig, spent: Spent, trials: int) -> Limit | None:
    """The limit that forbids another trial after so many have begun."""
    if config.trials is not None and trials >= config.trials:
        return "trials"
    return exhausted(config, spent)


def exhausted(config: TuneConfig, spent: Spent) -> Limit | None:
    """The limit that ends the trials that run."""
    if config.seconds is not None and spent.seconds >= config.seconds:
        return "time"
    if config.gpu_seconds is not None and spent.gpu_seconds >= config.gpu_seconds:
        return "gpuSeconds"
    return None
