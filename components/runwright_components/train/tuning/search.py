"""The search: trials until the budget is spent, and the best one's model as the result of the train stage."""

from __future__ import annotations

import fcntl
import os
import shutil
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from runwright_components.contract.artifacts import ModelManifest, PreparedManifest
from runwright_components.contract.config import ParameterConfig, TrainConfig, TuneConfig
from runwright_components.contract.files import disk_errors
from runwright_components.contract.outcome import Reason, StageError
from runwright_components.contract.progress import Progress
from runwright_components.contract.tuning import SEARCH
from runwright_components.train.job import Job
from runwright_components.train.signals import StopSignal, cancelled
from runwright_components.train.tuning.assignment import assign
from runwright_components.train.tuning.automl import choose
from runwright_components.train.tuning.budget import exhausted, reached
from runwright_components.train.tuning.crew import Crew, Worker, devices
from runwright_components.train.tuning.objective import curve_value
from runwright_components.train.tuning.result import hand_over, short, shown, summarize
from runwright_components.train.tuning.space import Values
from runwright_components.train.tuning.study import Study
from runwright_components.train.tuning.trial import Word

LOCK = ".lock"
POLL_SECONDS = 0.2
HOPELESS_TRIALS = 5  # that fail, and none that does not, end the search


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
        space: tuple[ParameterConfig, ...] = tune.parameters
        first: Sequence[Values] = ()
        if tune.automl:
            space, first = choose(PreparedManifest.read(prepared), config)
        longest = max([config.epochs, *(int(one.max) for one in space if one.path == ("epochs",))])
        gpus = devices() if config.device != "cpu" else []
        if tune.gpu_seconds is not None and not gpus:
            progress.warning("there is no GPU: tune.budget.gpuSeconds does not limit the search")
        with (
            StopSignal() as stop,
            Study(folder, tune, space, epochs=longest, first=first) as study,
            Crew(tune.parallel, processes=config.processes, devices=gpus) as crew,
        ):
            stop.deferred = True
            trials = _Trials(config, tune, space, prepared=prepared, folder=folder, study=study, crew=crew)
            found = _Search(trials, tune, study, crew, stop, progress, gpus=config.processes if gpus else 0).run()
        summary = summarize(tune, space, study, ended=found)
        progress.note(f"the model of trial {summary.best} goes on: {tune.metric} {short(summary.winner.value)}")
        return hand_over(trials.model(summary.best), out, summary, config)


class _Trials:
    """The trials as trainings: their folders, and the jobs that workers get."""

    def __init__(
        self,
        config: TrainConfig,
        tune: TuneConfig,
        space: Sequence[ParameterConfig],
        *,
        prepared: Path,
        folder: Path,
        study: Study,
        crew: Crew,
    ) -> None:
        self._config = config
        self._tune = tune
        self._space = space
        self._prepared = prepared
        self._folder = folder
        self._crew = crew
        best = study.best()
        kept = {number for number, _ in study.unfinished()} | ({best.number} if best else set())
        for path in folder.glob("trial-*"):  # a killed search had no time to clear away
            if int(path.name.removeprefix("trial-")) not in kept:
                shutil.rmtree(path)

    def start(self, worker: Worker, number: int, values: Values) -> None:
        """Raises StageError (InvalidConfig) for values that make no training."""
        job = Job(
            config=assign(self._config, self._space, values),
            prepared=str(self._prepared.resolve()),
            out=str(self.model(number).resolve()),
            checkpoints=str((self._place(number) / "checkpoints").resolve()),
            resume=True,  # a trial that is new has no checkpoints
        )
        self._crew.give(worker, number, job, self._tune.metric, asks=self._tune.pruning != "none")

    def model(self, number: int) -> Path:
        return self._place(number) / "model"

    def forget(self, number: int) -> None:
        shutil.rmtree(self._place(number), ignore_errors=True)

    def _place(self, number: int) -> Path:
        return self._folder / f"trial-{number:05d}"


class _Search:
    """Keeps the workers busy until a limit is reached."""

    def __init__(
        self,
        trials: _Trials,
        tune: TuneConfig,
        study: Study,
        crew: Crew,
        stop: StopSignal,
        progress: Progress,
        *,
        gpus: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._trials = trials
        self._tune = tune
        self._study = study
        self._crew = crew
        self._stop = stop
        self._progress = progress
        self._gpus = gpus  # of one trial
        self._clock = clock
        self._ticked = clock()
        self._queue = deque(study.unfinished())
        self._epochs: dict[int, int] = {}  # of the trials that run
        self._began: dict[int, float] = {}
        self._values: dict[int, Values] = {}
        self._first_fault: StageError | None = None
        self._best = study.best()
        self._overdue = False

    def run(self) -> str:
        """Returns the name of the limit that ended the search. Raises StageError."""
        done = len(self._study.trials())
        if done:
            self._progress.note(f"going on with the search: {done} trials have ended, {len(self._queue)} go on")
        while True:
            ended = self._start_more()
            if not self._crew.busy():
                break
            for worker, word in self._crew.listen(POLL_SECONDS):
                self._take(worker, word)
            self._tick()
            if self._stop.requested:
                self._crew.cancel()
                raise cancelled()
            if (limit := exhausted(self._tune, self._study.spent)) is not None:
                self._end(limit)
            self._tell()
        if self._best is None:
            raise self._fruitless()
        return ended

    def _start_more(self) -> str:
        """Begin as many trials as there are idle workers; returns the limit that forbids more, if any."""
        while (worker := self._crew.idle()) is not None:
            if self._queue:
                number, values = self._queue.popleft()
            else:
                if self._best is None and self._failures() >= HOPELESS_TRIALS:
                    return "failures"
                limit = reached(self._tune, self._study.spent, self._study.begun)
                if limit is not None:
                    return limit
                asked = self._study.ask()
                if asked is None:
                    return "grid"
                number, values = asked
            self._start(worker, number, values)
        return ""

    def _start(self, worker: Worker, number: int, values: Values) -> None:
        self._epochs[number], self._began[number], self._values[number] = 0, self._clock(), values
        try:
            self._trials.start(worker, number, values)
        except StageError as error:
            self._failed(number, error)

    def _take(self, worker: Worker, word: Word) -> None:
        number = word.number
        if word.kind == "epoch":
            self._epochs[number] = word.epoch
            value = curve_value(self._tune, word.figures)
            given_up = value is not None and self._study.report(number, word.epoch, value)
            worker.answer(go_on=not given_up)
            return
        epochs, seconds = max(word.epoch, self._epochs[number]), self._seconds(number)
        if word.kind == "complete" and word.value is not None and word.value == word.value:
            self._study.complete(number, word.value, epochs=epochs, seconds=seconds)
            self._completed(number)
        elif word.kind == "pruned":
            self._study.prune(number, epochs=epochs, seconds=seconds)
            self._trials.forget(number)
            self._progress.note(f"trial {number} given up after epoch {epochs}: {self._shown(number)}")
        elif not self._stop.requested:  # a trial that was asked to stop goes on with --resume
            error = word.error or {"reason": str(Reason.TRAINING_DIVERGED), "message": f"{self._tune.metric} is NaN"}
            self._failed(number, StageError(Reason(error["reason"]), error["message"], cure=error.get("cure", "")))

    def _completed(self, number: int) -> None:
        best, before = self._study.best(), self._best
        assert best is not None
        trial = next(one for one in self._study.trials() if one.number == number)
        leads = best.number == number
        if leads and before is not None:
            self._trials.forget(before.number)
        elif not leads:
            self._trials.forget(number)
        self._best = best
        shown = ", the best so far" if leads else ""
        figure = f"{self._tune.metric} {short(trial.value)}{shown}"
        self._progress.note(f"trial {number}: {figure}: {self._shown(number)}")

    def _failed(self, number: int, error: StageError) -> None:
        self._first_fault = self._first_fault or error
        seconds = self._seconds(number)
        self._study.fail(number, error.message, epochs=self._epochs[number], seconds=seconds)
        self._trials.forget(number)
        self._progress.warning(f"trial {number} failed: {error.message.splitlines()[0]}: {self._shown(number)}")

    def _end(self, limit: str) -> None:
        """The budget is spent: what runs is given up. While there is no result, the first is waited for."""
        if self._best is None:
            if not self._overdue:
                self._progress.warning(f"the budget ({limit}) is spent and no trial has ended: waiting for the first")
            self._overdue = True
            return
        for worker in self._crew.busy():
            number = worker.number
            assert number is not None
            worker.close()
            worker.number = None
            self._study.fail(
                number, "the budget was spent", epochs=self._epochs[number], seconds=self._seconds(number), stopped=True
            )
            self._trials.forget(number)

    # -------------------------------------------------------- figures

    def _tick(self) -> None:
        before, self._ticked = self._ticked, self._clock()
        spent, passed = self._study.spent, self._ticked - before
        whole = int(spent.seconds)
        spent.seconds += passed
        spent.gpu_seconds += passed * self._gpus * len(self._crew.busy())
        if int(spent.seconds) != whole:  # about once a second
            self._study.keep_spent()

    def _tell(self) -> None:
        running = sorted(worker.number for worker in self._crew.busy() if worker.number is not None)
        values: dict[str, float | str] = {}
        if running:
            values["running"] = ", ".join(map(str, running))
        if self._best is not None and self._best.value is not None:
            values["best"] = f"{self._tune.metric} {short(self._best.value)} (trial {self._best.number})"
        done, planned = len(self._study.trials()), self._study.planned
        if planned is None and self._tune.seconds is not None:
            values["trials"] = done
            self._progress.update(self._study.spent.seconds, self._tune.seconds, unit="s", values=values)
        else:
            self._progress.update(done, planned, unit="trials", values=values)

    def _seconds(self, number: int) -> float:
        return self._clock() - self._began[number]

    def _failures(self) -> int:
        return sum(trial.state == "failed" for trial in self._study.trials())

    def _shown(self, number: int) -> str:
        return shown(self._values[number])

    def _fruitless(self) -> StageError:
        fault = self._first_fault
        trials = self._study.trials()
        told = fault.message if fault else next((one.message for one in trials if one.message), "there was no trial")
        return StageError(
            fault.reason if fault else Reason.INVALID_CONFIG,
            f"none of {len(trials)} trials has given a model; the first: {told}",
            where="tune",
            cure=(fault.cure if fault else "") or "train once without `tune`, and search around what works",
        )


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
