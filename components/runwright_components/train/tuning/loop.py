"""The course of a search: trials begin, are judged epoch by epoch, and end, until the budget is spent.

Where they run is another's matter (`Trials`): processes of this machine, or jobs of a cluster.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from typing import Protocol

from runwright_components.contract.config import TuneConfig
from runwright_components.contract.outcome import Reason, StageError
from runwright_components.contract.progress import Progress
from runwright_components.train.signals import cancelled
from runwright_components.train.tuning.budget import exhausted, reached
from runwright_components.train.tuning.objective import curve_value
from runwright_components.train.tuning.result import short, shown
from runwright_components.train.tuning.space import Values
from runwright_components.train.tuning.study import Study
from runwright_components.train.tuning.trial import Word

POLL_SECONDS = 0.2
HOPELESS_TRIALS = 5  # that fail, and none that does not, end the search


class Fruitless(StageError):  # noqa: N818 (it says what came of it)
    """No trial has given a model."""


class Trials(Protocol):
    """Where trials run, as the search sees it."""

    def room(self) -> bool:
        """Whether another trial may begin."""
        ...

    def running(self) -> list[int]:
        """The trials that have begun and whose end nobody has heard yet."""
        ...

    def gpus(self) -> int:
        """How many GPUs they hold now."""
        ...

    def start(self, number: int, values: Values) -> None:
        """Begin a trial, or go on with it. Raises StageError (InvalidConfig) for values that make no training."""
        ...

    def listen(self, timeout: float) -> list[Word]:
        """What the trials have said, waiting about `timeout` seconds for a first word."""
        ...

    def answer(self, number: int, *, go_on: bool) -> None:
        """After a word of the kind `epoch`: a trial that shall not go on says `pruned` soon."""
        ...

    def end(self, number: int) -> None:
        """Give a trial up at once; it says nothing more."""
        ...

    def forget(self, number: int) -> None:
        """Remove what a trial has left."""
        ...

    def cancel(self) -> None:
        """Stop all trials, so that they can go on another time."""
        ...


class Search:
    """Keeps trials running until a limit is reached."""

    def __init__(
        self,
        trials: Trials,
        tune: TuneConfig,
        study: Study,
        progress: Progress,
        *,
        stopped: Callable[[], bool] = lambda: False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._trials = trials
        self._tune = tune
        self._study = study
        self._stopped = stopped
        self._progress = progress
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
            if ended and not self._trials.running():
                break
            for word in self._trials.listen(POLL_SECONDS):
                self._take(word)
            self._tick()
            if self._stopped():
                self._trials.cancel()
                raise cancelled()
            if (limit := exhausted(self._tune, self._study.spent)) is not None:
                self._end(limit)
            self._tell()
        if self._best is None:
            raise self._fruitless()
        return ended

    def _start_more(self) -> str:
        """Begin as many trials as there is room for; returns the limit that forbids more, if any."""
        while self._trials.room():
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
            self._start(number, values)
        return ""

    def _start(self, number: int, values: Values) -> None:
        self._epochs[number], self._began[number], self._values[number] = 0, self._clock(), values
        try:
            self._trials.start(number, values)
        except StageError as error:
            if error.reason is not Reason.INVALID_CONFIG:
                raise
            self._failed(number, error)

    def _take(self, word: Word) -> None:
        number = word.number
        if word.kind == "epoch":
            self._epochs[number] = word.epoch
            value = curve_value(self._tune, word.figures)
            given_up = value is not None and self._study.report(number, word.epoch, value)
            self._trials.answer(number, go_on=not given_up)
            return
        epochs, seconds = max(word.epoch, self._epochs[number]), word.seconds or self._seconds(number)
        if word.kind == "complete" and word.value is not None and word.value == word.value:
            self._study.complete(number, word.value, epochs=epochs, seconds=seconds)
            self._completed(number)
        elif word.kind == "pruned":
            self._study.prune(number, epochs=epochs, seconds=seconds)
            self._trials.forget(number)
            self._progress.note(f"trial {number} given up after epoch {epochs}: {self._shown(number)}")
        elif not self._stopped():  # a trial that was asked to stop goes on with --resume
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
        for number in self._trials.running():
            self._trials.end(number)
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
        spent.gpu_seconds += passed * self._trials.gpus()
        if int(spent.seconds) != whole:  # about once a second
            self._study.keep_spent()

    def _tell(self) -> None:
        running = self._trials.running()
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

    def _fruitless(self) -> Fruitless:
        fault = self._first_fault
        trials = self._study.trials()
        told = fault.message if fault else next((one.message for one in trials if one.message), "there was no trial")
        return Fruitless(
            fault.reason if fault else Reason.INVALID_CONFIG,
            f"none of {len(trials)} trials has given a model; the first: {told}",
            where="tune",
            cure=(fault.cure if fault else "") or "train once without `tune`, and search around what works",
        )
