"""Who chooses the next trial's values, and who gives trials up: Optuna's samplers and pruners by configuration.

A sampler is made anew for each trial, with a seed of the search and the trial's number: what it chooses then depends on
the trials before it alone, and a search that was killed goes on with the values that it would have tried.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from optuna.pruners import BasePruner, HyperbandPruner, MedianPruner, NopPruner
from optuna.samplers import BaseSampler, RandomSampler, TPESampler
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from runwright_components.contract.config import ParameterConfig, TuneConfig
from runwright_components.train.tuning.space import distribution, from_unit, to_unit

if TYPE_CHECKING:
    from optuna import Study
    from optuna.distributions import BaseDistribution

STARTUP_TRIALS = 5  # before the median prunes
MODEL_NAME = ("model", "name")
FIRST_SIGMA = 0.25  # of CMA-ES, in the unit cube


def make_sampler(config: TuneConfig, parameters: Sequence[ParameterConfig], number: int) -> BaseSampler:
    """The sampler of trial `number`. A grid's points are given to the study beforehand, so it needs none of its own."""
    seed = int.from_bytes(hashlib.sha256(f"{config.seed}/{number}".encode()).digest()[:4], "big")
    if config.algorithm == "tpe":
        return TPESampler(seed=seed)
    if config.algorithm == "cmaes":
        return CmaSampler(parameters, seed)
    return RandomSampler(seed=seed)


def make_pruner(config: TuneConfig, parameters: Sequence[ParameterConfig], epochs: int) -> BasePruner:
    """`epochs` is the length of the longest trial."""
    if config.pruning == "median":
        median = MedianPruner(n_startup_trials=STARTUP_TRIALS, n_warmup_steps=config.warmup_epochs)
        family = next((one.key for one in parameters if one.path == MODEL_NAME), None)
        return median if family is None else FamilyPruner(median, family)
    if config.pruning == "hyperband":
        return HyperbandPruner(min_resource=max(1, min(config.warmup_epochs, epochs)), max_resource=epochs)
    return NopPruner()


class FamilyPruner(BasePruner):
    """A median pruner that compares a trial with those of its own model family: a round of boosting is no epoch."""

    def __init__(self, median: MedianPruner, key: str) -> None:
        self._median = median
        self._key = key

    def prune(self, study: Study, trial: FrozenTrial) -> bool:
        kin: Any = _Kin(study, self._key, trial.params.get(self._key))
        return self._median.prune(kin, trial)


class _Kin:
    """What of a study a median pruner looks at, of one family alone."""

    def __init__(self, study: Study, key: str, family: Any) -> None:
        self.direction = study.direction
        self._study = study
        self._key = key
        self._family = family

    def get_trials(self, deepcopy: bool, states: tuple[TrialState, ...]) -> list[FrozenTrial]:
        found = self._study.get_trials(deepcopy=deepcopy, states=states)
        return [trial for trial in found if trial.params.get(self._key) == self._family]


class CmaSampler(BaseSampler):
    """CMA-ES (Hansen, "The CMA Evolution Strategy: A Tutorial", 2016) over the numbers that every trial has; whatever
    else there is, is drawn at random.

    Its state is built again from the finished trials in their order, a generation after the other: Optuna's own sampler
    keeps it as a pickle in the study, and we read no pickles.
    """

    def __init__(self, parameters: Sequence[ParameterConfig], seed: int) -> None:
        self._numbers = [one for one in parameters if one.type != "choice" and one.when is None]
        self._seed = seed
        self._rest = RandomSampler(seed=seed)

    def infer_relative_search_space(
        self,
        study: Study,  # noqa: ARG002 (Optuna's interface)
        trial: FrozenTrial,  # noqa: ARG002
    ) -> dict[str, BaseDistribution]:
        return {one.key: distribution(one) for one in self._numbers}

    def sample_relative(
        self,
        study: Study,
        trial: FrozenTrial,  # noqa: ARG002
        search_space: dict[str, BaseDistribution],  # noqa: ARG002
    ) -> dict[str, Any]:
        sign = 1.0 if study.direction == StudyDirection.MINIMIZE else -1.0
        finished = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        results = [
            (self._place(one), sign * one.value) for one in finished if one.value is not None and self._has_all(one)
        ]
        point = self._optimizer(results).ask()
        return {one.key: from_unit(one, float(place)) for one, place in zip(self._numbers, point, strict=True)}

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        return self._rest.sample_independent(study, trial, param_name, param_distribution)

    def _optimizer(self, results: Sequence[tuple[np.ndarray[Any, Any], float]]) -> Any:
        optimizer = self._fresh()
        size = optimizer.population_size
        for start in range(0, len(results) - size + 1, size):
            optimizer.tell(list(results[start : start + size]))
            if optimizer.should_stop():
                optimizer = self._fresh()
        return optimizer

    def _fresh(self) -> Any:
        from cmaes import CMA

        count = len(self._numbers)
        bounds = np.tile([0.0, 1.0], (count, 1))
        return CMA(mean=np.full(count, 0.5), sigma=FIRST_SIGMA, bounds=bounds, seed=self._seed)

    def _has_all(self, trial: FrozenTrial) -> bool:
        return all(one.key in trial.params for one in self._numbers)

    def _place(self, trial: FrozenTrial) -> np.ndarray[Any, Any]:
        return np.array([to_unit(one, trial.params[one.key]) for one in self._numbers])
