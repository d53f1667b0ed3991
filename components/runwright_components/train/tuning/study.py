"""The study: every trial with its values, its curve and its end, in a store that outlives the process."""

from __future__ import annotations

import os
import random
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import optuna
from optuna.storages import BaseStorage, JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.storages.journal._file import BaseJournalFileLock
from optuna.trial import FrozenTrial, TrialState

from runwright_components.contract.config import ParameterConfig, TuneConfig
from runwright_components.contract.tuning import JOURNAL, Trial
from runwright_components.contract.tuning import TrialState as Ending
from runwright_components.train.tuning.budget import Spent
from runwright_components.train.tuning.objective import is_asked, is_better
from runwright_components.train.tuning.samplers import make_pruner, make_sampler
from runwright_components.train.tuning.space import (
    Values,
    distribution,
    from_study,
    grid,
    in_order,
    is_active,
    to_study,
)

NAME = "tuning"  # Hyperband's brackets depend on it
LARGEST_GRID = 10_000
IMPORTANT_TRIALS = 4  # fewer say nothing of importance
_ENDED = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)
_STATES: Mapping[TrialState, Ending] = {TrialState.COMPLETE: "complete", TrialState.PRUNED: "pruned"}


class Study:
    """The trials of one search. One process writes; the storage's owner sees to that."""

    def __init__(
        self,
        storage: BaseStorage,
        config: TuneConfig,
        parameters: Sequence[ParameterConfig],
        *,
        epochs: int,
        first: Sequence[Values] = (),
        name: str = NAME,
    ) -> None:
        """Open the study `name` in `storage`, or begin it; `first` are values that are tried before all others."""
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self._config = config
        self._parameters = in_order(parameters)
        self._study = optuna.create_study(
            study_name=name,
            storage=storage,
            direction=config.direction,
            pruner=make_pruner(config, parameters, epochs),
            load_if_exists=True,
        )
        self._open: dict[int, optuna.Trial] = {}
        planned = _shuffled_grid(config, self._parameters) if config.algorithm == "grid" else list(first)
        for values in planned[len(self._study.trials) :]:  # a killed process may have planned some of them
            self._study.enqueue_trial(self._to_study(values))
        self._planned = len(planned)
        self.spent = Spent(**self._study.user_attrs.get("spent", {}))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.keep_spent()

    # -------------------------------------------------------- trials that run

    def unfinished(self) -> list[tuple[int, Values]]:
        """The trials that ran when the search was cut short, with their values."""
        found = self._study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
        return [(trial.number, self._take(trial.number, trial._trial_id)) for trial in found]

    def ask(self) -> tuple[int, Values] | None:
        """Begin a trial; None when a grid has no more points."""
        waiting = self._study.get_trials(deepcopy=False, states=(TrialState.WAITING,))
        if not waiting and self._config.algorithm == "grid":
            return None
        number = waiting[0].number if waiting else len(self._study.trials)
        self._study.sampler = make_sampler(self._config, self._parameters, number)
        trial = self._study.ask()
        self._open[trial.number] = trial
        return trial.number, self._values(trial)

    def report(self, number: int, epoch: int, value: float) -> bool:
        """Keep a point of a trial's curve; tells whether the trial is to be given up."""
        trial = self._open[number]
        if self._config.pruning == "none" or not is_asked(epoch):
            return False
        if epoch not in self._frozen(number).intermediate_values:  # a resumed trial tells some of them again
            trial.report(value, epoch)
        return bool(trial.should_prune())

    def complete(self, number: int, value: float, *, epochs: int, seconds: float) -> None:
        self._end(number, TrialState.COMPLETE, value, epochs=epochs, seconds=seconds)

    def prune(self, number: int, *, epochs: int, seconds: float) -> None:
        self._end(number, TrialState.PRUNED, None, epochs=epochs, seconds=seconds)

    def fail(self, number: int, message: str, *, epochs: int, seconds: float, stopped: bool = False) -> None:
        """End a trial without a result: it failed, or the budget `stopped` it."""
        self._open[number].set_user_attr("stopped", stopped)
        self._open[number].set_user_attr("message", message)
        self._end(number, TrialState.FAIL, None, epochs=epochs, seconds=seconds)

    def keep_spent(self) -> None:
        self._study.set_user_attr("spent", asdict(self.spent))

    # -------------------------------------------------------- what came of them

    @property
    def planned(self) -> int | None:
        """How many trials there will be at most; None when time alone limits them."""
        if self._config.algorithm == "grid":
            return min(self._planned, self._config.trials or self._planned)
        return self._config.trials

    @property
    def begun(self) -> int:
        return sum(trial.state != TrialState.WAITING for trial in self._study.get_trials(deepcopy=False))

    def trials(self) -> tuple[Trial, ...]:
        """The trials that have ended, by number."""
        found = self._study.get_trials(deepcopy=False, states=_ENDED)
        return tuple(self._ended(trial) for trial in found)

    def best(self) -> Trial | None:
        """The complete trial with the best value, the earliest of several."""
        best: Trial | None = None
        for trial in self.trials():
            if trial.value is not None and is_better(self._config.direction, trial.value, best.value if best else None):
                best = trial
        return best

    def wanted(self) -> set[int]:
        """The trials whose files are needed: those that go on, and the best one."""
        best = self.best()
        running = self._study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
        return {trial.number for trial in running} | ({best.number} if best else set())

    def importance(self) -> dict[str, float]:
        """Each parameter's share in reaching the best quarter of the trials: PED-ANOVA (Watanabe et al., "PED-ANOVA:
        Efficiently Quantifying Hyperparameter Importance in Arbitrary Subspaces", IJCAI 2023), the greatest first."""
        from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances

        complete = self._study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        if len(complete) < IMPORTANT_TRIALS:
            return {}
        found = get_param_importances(self._study, evaluator=PedAnovaImportanceEvaluator(target_quantile=0.25))
        ordered = sorted(found.items(), key=lambda item: (-item[1], item[0]))
        return {name: round(float(share), 6) for name, share in ordered}

    # -------------------------------------------------------- inside

    def _take(self, number: int, trial_id: int) -> Values:
        self._study.sampler = make_sampler(self._config, self._parameters, number)
        self._open[number] = optuna.Trial(self._study, trial_id)
        return self._values(self._open[number])

    def _values(self, trial: optuna.Trial) -> Values:
        values: Values = {}
        for one in self._parameters:
            if is_active(one, values):
                values[one.key] = from_study(one, trial._suggest(one.key, distribution(one)))
        return values

    def _end(self, number: int, state: TrialState, value: float | None, *, epochs: int, seconds: float) -> None:
        trial = self._open.pop(number)
        trial.set_user_attr("epochs", epochs)
        trial.set_user_attr("seconds", round(seconds, 3))
        self.keep_spent()
        self._study.tell(trial, value, state)

    def _ended(self, trial: FrozenTrial) -> Trial:
        attributes = trial.user_attrs
        state = _STATES.get(trial.state) or ("stopped" if attributes.get("stopped") else "failed")
        keys = {one.key: one for one in self._parameters}
        return Trial(
            number=trial.number,
            state=state,
            values={name: from_study(keys[name], value) for name, value in trial.params.items()},
            value=trial.value if state == "complete" else None,
            epochs=attributes.get("epochs", 0),
            seconds=attributes.get("seconds", 0.0),
            message=attributes.get("message", ""),
        )

    def _frozen(self, number: int) -> FrozenTrial:
        return self._study.get_trials(deepcopy=False)[number]

    def _to_study(self, values: Values) -> dict[str, Any]:
        return {one.key: to_study(one, values[one.key]) for one in self._parameters if one.key in values}


def _shuffled_grid(config: TuneConfig, parameters: Sequence[ParameterConfig]) -> list[Values]:
    """Every point, in an order that does not favour the first values when the budget ends before the grid."""
    found = list(islice(grid(parameters), LARGEST_GRID))
    random.Random(config.seed).shuffle(found)  # noqa: S311 (an order, no secret)
    return found


def journal_in(folder: Path) -> JournalStorage:
    """The journal of a study in a folder of this machine."""
    journal = folder / JOURNAL
    _mend(journal)
    return JournalStorage(JournalFileBackend(str(journal), lock_obj=_OneWriter()))


class _OneWriter(BaseJournalFileLock):
    """No lock: one process at a time has the folder, and a lock file would outlive one that was killed."""

    def acquire(self) -> bool:
        return True

    def release(self) -> None:
        pass


def _mend(journal: Path) -> None:
    """Cut off the line that a killed process was writing: what is appended to it would be lost, and all after it."""
    if not journal.exists():
        return
    content = journal.read_bytes()
    whole = content.rfind(b"\n") + 1
    if whole < len(content):
        os.truncate(journal, whole)
