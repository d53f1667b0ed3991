"""A search on this machine: trials as processes, and the best one's model as the result of the train stage."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from runwright_components.contract.artifacts import ModelManifest, PreparedManifest
from runwright_components.contract.config import ParameterConfig, TrainConfig
from runwright_components.contract.files import disk_errors
from runwright_components.contract.outcome import Reason, StageError
from runwright_components.contract.progress import Progress
from runwright_components.contract.tuning import SEARCH, trial_name
from runwright_components.train.job import Job
from runwright_components.train.signals import StopSignal
from runwright_components.train.tuning.assignment import assign
from runwright_components.train.tuning.automl import choose
from runwright_components.train.tuning.crew import Crew, devices
from runwright_components.train.tuning.loop import Search
from runwright_components.train.tuning.result import hand_over, short, summarize
from runwright_components.train.tuning.space import Values
from runwright_components.train.tuning.study import Study, journal_in
from runwright_components.train.tuning.trial import Word

LOCK = ".lock"


def search(
    config: TrainConfig, *, prepared: Path, out: Path, checkpoints: Path, resume: bool, progress: Progress
) -> ModelManifest:
    """Search as `config.tune` says, and write the best trial's model, with `tuning.json`, to `out`.

    The study and the trials' own checkpoints lie in `checkpoints`; with `resume` no trial that has ended is repeated,
    and those that ran go on. Raises StageError: Cancelled; what the first trial failed with when all fail.
    """
    tune = config.tune
    assert tune is not None
    folder = checkpoints / SEARCH
    with _own(folder, resume=resume):
        plan = Plan.of(config, prepared)
        gpus = devices() if config.device != "cpu" else []
        if tune.gpu_seconds is not None and not gpus:
            progress.warning("there is no GPU: tune.budget.gpuSeconds does not limit the search")
        with (
            StopSignal() as stop,
            Study(journal_in(folder), tune, plan.space, epochs=plan.epochs, first=plan.first) as study,
            Crew(tune.parallel, processes=config.processes, devices=gpus) as crew,
        ):
            stop.deferred = True
            trials = ProcessTrials(
                config, plan.space, crew, prepared=prepared, folder=folder, gpus=config.processes if gpus else 0
            )
            trials.clear(but=study.wanted())
            found = Search(trials, tune, study, progress, stopped=lambda: stop.requested).run()
        summary = summarize(tune, plan.space, study, ended=found)
        progress.note(f"the model of trial {summary.best} goes on: {tune.metric} {short(summary.winner.value)}")
        return hand_over(trials.model(summary.best), out, summary, config)


@dataclass(frozen=True)
class Plan:
    """What is searched: the space, the values that are tried `first`, and the length of the longest trial in epochs."""

    space: tuple[ParameterConfig, ...]
    first: Sequence[Values]
    epochs: int

    @classmethod
    def of(cls, config: TrainConfig, prepared: Path) -> Plan:
        """As `config.tune` says, for the prepared data in `prepared`. Raises StageError."""
        tune = config.tune
        assert tune is not None
        space: tuple[ParameterConfig, ...] = tune.parameters
        first: Sequence[Values] = ()
        if tune.automl:
            space, first = choose(PreparedManifest.read(prepared), config)
        longest = max([config.epochs, *(int(one.max) for one in space if one.path == ("epochs",))])
        return cls(space, first, longest)


class ProcessTrials:
    """Trials as processes of this machine, each with a folder of its own."""

    def __init__(
        self,
        config: TrainConfig,
        space: Sequence[ParameterConfig],
        crew: Crew,
        *,
        prepared: Path,
        folder: Path,
        gpus: int,
    ) -> None:
        """`gpus` is the number of GPUs that one trial has."""
        assert config.tune is not None
        self._config = config
        self._tune = config.tune
        self._space = space
        self._crew = crew
        self._prepared = prepared
        self._folder = folder
        self._gpus = gpus

    def clear(self, *, but: set[int]) -> None:
        """Remove what other trials have left: a killed search had no time to clear away."""
        kept = {trial_name(number) for number in but}
        for path in self._folder.glob("trial-*"):
            if path.name not in kept:
                shutil.rmtree(path)

    def room(self) -> bool:
        return self._crew.idle() is not None

    def running(self) -> list[int]:
        return sorted(worker.number for worker in self._crew.busy() if worker.number is not None)

    def gpus(self) -> int:
        return self._gpus * len(self._crew.busy())

    def start(self, number: int, values: Values) -> None:
        job = Job(
            config=assign(self._config, self._space, values),
            prepared=str(self._prepared.resolve()),
            out=str(self.model(number).resolve()),
            checkpoints=str((self._place(number) / "checkpoints").resolve()),
            resume=True,  # a trial that is new has no checkpoints
        )
        worker = self._crew.idle()
        assert worker is not None
        self._crew.give(worker, number, job, self._tune.metric, asks=self._tune.pruning != "none")

    def listen(self, timeout: float) -> list[Word]:
        return [word for _, word in self._crew.listen(timeout)]

    def answer(self, number: int, *, go_on: bool) -> None:
        worker = self._crew.of(number)
        if worker is not None:  # it has not died meanwhile
            worker.answer(go_on=go_on)

    def end(self, number: int) -> None:
        worker = self._crew.of(number)
        if worker is not None:
            worker.close()
            worker.number = None

    def forget(self, number: int) -> None:
        shutil.rmtree(self._place(number), ignore_errors=True)

    def cancel(self) -> None:
        self._crew.cancel()

    def model(self, number: int) -> Path:
        return self._place(number) / "model"

    def _place(self, number: int) -> Path:
        return self._folder / trial_name(number)


@contextmanager
def _own(folder: Path, *, resume: bool) -> Iterator[None]:
    """Take the search's folder for this process; without `resume` what an earlier search left is removed."""
    with disk_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        lock = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise StageError(
                Reason.CHECKPOINT_INVALID,
                "another search keeps its study here",
                where=str(folder),
                cure="wait for it to end, stop it, or choose another workspace",
            ) from error
        else:
            for path in () if resume else folder.iterdir():
                if path.name != LOCK:
                    shutil.rmtree(path) if path.is_dir() else path.unlink()
            yield
        finally:
            os.close(lock)
