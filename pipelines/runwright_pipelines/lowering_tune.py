"""From `spec.tune` to the search's configuration; pure."""

from __future__ import annotations

import re
from typing import Any

from runwright_api.spec.run import TrainingRunSpec
from runwright_api.spec.tune import Parameter, TuneSpec, direction_of
from runwright_api.text import seconds
from runwright_components.contract.config import ConditionConfig, ParameterConfig, TuneConfig

DEFAULT_TRIALS = 20
DEFAULT_METRICS = {"classification": "logLoss", "regression": "rmse"}


def lower_tune(spec: TrainingRunSpec) -> TuneConfig | None:
    """The search that a TrainingRun asks for; None for one training with the values of spec.train."""
    tune = spec.tune
    if tune is None:
        return None
    metric = tune.objective.metric or DEFAULT_METRICS.get(spec.train.kind, "loss")
    return TuneConfig(
        parameters=tuple(_parameter(one) for one in tune.search_space),
        automl=tune.automl,
        metric=metric,
        direction=direction_of(metric),
        algorithm=tune.algorithm,
        pruning=tune.pruning.algorithm,
        warmup_epochs=tune.pruning.warmup_epochs,
        parallel=tune.parallel,
        trials=tune.budget.trials or _default_trials(tune),
        seconds=seconds(tune.budget.time) if tune.budget.time else None,
        gpu_seconds=tune.budget.gpu_seconds,
        seed=tune.seed,
        jobs=tune.backend == "jobs",
    )


def _default_trials(tune: TuneSpec) -> int | None:
    return None if tune.automl or tune.algorithm == "grid" else DEFAULT_TRIALS


def _parameter(one: Parameter) -> ParameterConfig:
    given: dict[str, Any] = {"min": one.min, "max": one.max, "step": one.step}
    return ParameterConfig(
        key=one.name,
        path=tuple(re.sub(r"[A-Z]", lambda letter: f"_{letter[0].lower()}", part) for part in one.name.split(".")),
        type=one.type,
        log=one.log,
        choices=tuple(list(choice) if isinstance(choice, tuple) else choice for choice in one.choices),
        when=_condition(one),
        **{name: value for name, value in given.items() if value is not None},
    )


def _condition(one: Parameter) -> ConditionConfig | None:
    if one.when is None:
        return None
    values = tuple(list(value) if isinstance(value, tuple) else value for value in one.when.values)
    return ConditionConfig(key=one.when.name, values=values)
