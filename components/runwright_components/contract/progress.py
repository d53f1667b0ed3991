"""Progress of a stage as JSON lines, for the terminal on a laptop and for the operator in a cluster.

A stage gets a `Progress`; it calls `update` as often as it likes (writes are limited to a few a second).
Events go to the file that RUNWRIGHT_PROGRESS names (appended; one `write` a line, so processes may share it).
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

PROGRESS_ENV = "RUNWRIGHT_PROGRESS"

Kind = Literal["start", "progress", "note", "warning", "epoch", "done", "cached", "failed"]


class Event(BaseModel):
    """One line of progress. `done` and `total` count `unit`s; `values` are figures of the moment (loss, throughput)."""

    model_config = ConfigDict(frozen=True)

    time: float
    stage: str
    kind: Kind
    message: str = ""
    done: float | None = None
    total: float | None = None
    unit: str = ""
    values: dict[str, float | str] = {}
    error: dict[str, Any] | None = None


class Progress:
    """Emits a stage's events. `sink` gets each one; the default appends to the file of RUNWRIGHT_PROGRESS, if set."""

    def __init__(
        self,
        stage: str,
        sink: Callable[[Event], None] | None = None,
        *,
        clock: Callable[[], float] = time.time,
        interval: float = 0.2,
    ) -> None:
        self.stage = stage
        self._sink = sink or file_sink(os.environ.get(PROGRESS_ENV))
        self._clock = clock
        self._interval = interval
        self._last = 0.0

    def emit(self, kind: Kind, message: str = "", **fields: Any) -> None:
        self._sink(Event(time=self._clock(), stage=self.stage, kind=kind, message=message, **fields))

    def note(self, message: str) -> None:
        self.emit("note", message)

    def warning(self, message: str) -> None:
        self.emit("warning", message)

    def epoch(self, number: int, values: Mapping[str, float]) -> None:
        """Tell the figures of the validation after epoch (or round) `number`, counted from 1; never dropped.

        `values` has `validation_loss` and, by its name, the metric. Whoever listens may end the training by raising a
        StageError: a search for hyperparameters gives up what promises little.
        """
        self.emit("epoch", done=number, values=dict(values))

    def update(
        self,
        done: float,
        total: float | None = None,
        *,
        unit: str = "",
        message: str = "",
        values: Mapping[str, float | str] | None = None,
    ) -> None:
        """Say how far the stage is; calls closer than the interval are dropped, except the last (`done == total`)."""
        now = self._clock()
        if now - self._last < self._interval and done != total:
            return
        self._last = now
        self.emit("progress", message, done=done, total=total, unit=unit, values=dict(values or {}))


def file_sink(path: str | os.PathLike[str] | None) -> Callable[[Event], None]:
    """A sink that appends JSON lines to `path`; with no path, one that drops them."""
    if path is None:
        return lambda _event: None
    target = Path(path)

    def write(event: Event) -> None:
        line = json.dumps(event.model_dump(mode="json", exclude_defaults=True), ensure_ascii=False) + "\n"
        with target.open("ab", buffering=0) as file:
            file.write(line.encode())

    return write


def silent(stage: str = "test") -> Progress:
    """A Progress that goes nowhere."""
    return Progress(stage, sink=lambda _event: None)
