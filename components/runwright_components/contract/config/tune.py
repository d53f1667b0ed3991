"""What the search for hyperparameters is told, within the train stage."""

from __future__ import annotations

from typing import Literal

from pydantic import JsonValue

from runwright_components.contract.config.base import Config

Direction = Literal["maximize", "minimize"]


class ConditionConfig(Config):
    """The parameter `key` has one of `values`."""

    key: str
    values: tuple[JsonValue, ...]


class ParameterConfig(Config):
    """One dimension: `path` is a field of TrainConfig, `key` names the parameter in the study and to people."""

    key: str
    path: tuple[str, ...]
    type: Literal["float", "int", "choice"]
    min: float = 0.0
    max: float = 0.0
    log: bool = False
    step: float | None = None
    choices: tuple[JsonValue, ...] = ()
    when: ConditionConfig | None = None


class TuneConfig(Config):
    parameters: tuple[ParameterConfig, ...] = ()
    automl: bool = False  # parameters are chosen by the data
    metric: str = "loss"  # of the validation split
    direction: Direction = "minimize"
    algorithm: Literal["tpe", "cmaes", "random", "grid"] = "tpe"
    pruning: Literal["none", "median", "hyperband"] = "median"
    warmup_epochs: int = 5
    parallel: int = 1
    trials: int | None = None  # None: no limit, or the whole grid
    seconds: float | None = None
    gpu_seconds: float | None = None
    seed: int = 0
    jobs: bool = False  # in a cluster, each trial is a job of its own
