"""A process that trains one trial after the other (`python -m runwright_components.train.tuning.trial`).

It reads orders from its standard input and tells, a JSON line each, every epoch's figures and how the trial ended.
After an epoch it waits for the word to go on, so that a trial that is given up does not train one epoch more.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import IO, Literal

from pydantic import Field

from runwright_components.contract.artifacts import HISTORY, Document, History
from runwright_components.contract.outcome import Reason, StageError
from runwright_components.contract.progress import Event, Progress
from runwright_components.train.job import Job
from runwright_components.train.signals import die_with_parent
from runwright_components.train.tuning.objective import is_asked

GO_ON = "go on"
GIVE_UP = "give up"


class Order(Document):
    """One trial to train, and the metric to judge it by."""

    number: int
    job: Job
    metric: str
    asks: bool = True  # after an epoch, whether to go on


class Word(Document):
    """What a trial says. `seconds` is the time since this process began with it."""

    number: int
    kind: Literal["epoch", "complete", "pruned", "failed"]
    epoch: int = 0
    figures: dict[str, float | str] = Field(default={})  # of an epoch
    value: float | None = None  # of a complete trial
    seconds: float = 0.0
    error: dict[str, str] = Field(default={})  # of a failed one, as StageError has it


class GivenUp(StageError):  # noqa: N818 (no error of anybody's)
    """The trial promises too little."""

    def __init__(self) -> None:
        super().__init__(Reason.CANCELLED, "the trial was given up")


def main() -> int:
    """Train until the orders end. Returns the exit code."""
    die_with_parent()
    with os.fdopen(os.dup(1), "w", buffering=1) as told:
        os.dup2(2, 1)  # what libraries print is no word of ours
        for line in sys.stdin:
            told.write(_run(Order.model_validate_json(line), told).model_dump_json(exclude_defaults=True) + "\n")
    return 0


def _run(order: Order, told: IO[str]) -> Word:
    """Train one trial; returns how it ended."""
    began = time.monotonic()
    epochs = 0

    def hear(event: Event) -> None:
        nonlocal epochs
        if event.kind != "epoch" or event.done is None:
            return
        epochs = int(event.done)
        if not (order.asks and is_asked(epochs)):
            return
        word = Word(number=order.number, kind="epoch", epoch=epochs, figures=event.values)
        told.write(word.model_dump_json(exclude_defaults=True) + "\n")
        if sys.stdin.readline().strip() != GO_ON:
            raise GivenUp

    try:
        value = _train(order, Progress(order.job.stage, sink=hear, interval=0.0))
    except GivenUp:
        word = Word(number=order.number, kind="pruned")
    except Exception as error:  # noqa: BLE001 (whatever it is, the search must hear of it)
        word = Word(number=order.number, kind="failed", error=_told(error))
    else:
        word = Word(number=order.number, kind="complete", value=value)
        epochs = epochs or len(History.read(Path(order.job.out), HISTORY).epochs)
    return word.model_copy(update={"epoch": epochs, "seconds": time.monotonic() - began})


def _train(order: Order, progress: Progress) -> float:
    from runwright_components.train.stage import train
    from runwright_components.train.tuning.judging import judge

    job = order.job
    prepared, out = Path(job.prepared), Path(job.out)
    train(
        job.config,
        prepared=prepared,
        out=out,
        checkpoints=Path(job.checkpoints),
        resume=job.resume,
        progress=progress,
    )
    return judge(out, prepared, order.metric)


def _told(error: Exception) -> dict[str, str]:
    from runwright_components.train.worker import unexpected

    failure = error if isinstance(error, StageError) else unexpected(error)
    return {**failure.as_dict(), "reason": str(failure.reason)}


if __name__ == "__main__":
    sys.exit(main())
