"""The JSON lines that user code appends to RUNWRIGHT_METRICS, as progress and learning curves."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from runwright_components.contract.artifacts import Epoch, History
from runwright_components.contract.progress import Progress

READ_BYTES = 2**20  # at a time
LONGEST_LINE = 64 * 1024
MOST_EPOCHS = 10_000
MOST_VALUES = 20  # figures of one line
LARGEST = 1e300

_PLACE = ("step", "steps", "epoch", "epochs", "total")
_OF_EPOCH = ("train_loss", "validation_loss", "validation_metric")


class Metrics:
    """Follows the file. A line is an object of numbers; its names are told in docs/own-code.md.

    `step` of `total` (else `epoch` of `epochs`) says how far the training is. A line with `epoch`, `train_loss`,
    `validation_loss` and `validation_metric` is a point of the learning curves.
    """

    def __init__(
        self, path: Path, progress: Progress, *, rows: int, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._path = path
        self._progress = progress
        self._rows = rows
        self._clock = clock
        self._began = clock()
        self._offset = 0
        self._epochs: dict[int, Epoch] = {}
        self._warned = False
        self.steps = 0

    def poll(self) -> None:
        """Read the lines that are new and whole."""
        while True:
            content = self._new()
            end = content.rfind(b"\n") + 1
            if not end:
                if len(content) > LONGEST_LINE:  # no line at all: leave it out
                    self._offset += len(content)
                    self._warn("a line is longer than 64 KiB")
                return
            self._offset += end
            for line in content[:end].splitlines():
                if line.strip():
                    self._take(line)

    def _new(self) -> bytes:
        try:
            with self._path.open("rb") as file:
                file.seek(self._offset)
                return file.read(READ_BYTES)
        except FileNotFoundError:
            return b""

    def _take(self, line: bytes) -> None:
        try:
            given = json.loads(line)
        except (ValueError, RecursionError):
            self._warn(f"not JSON: {line[:80].decode(errors='replace')}")
            return
        if not isinstance(given, Mapping):
            self._warn(f"not an object: {line[:80].decode(errors='replace')}")
            return
        numbers = {str(name): float(value) for name, value in given.items() if _is_number(value)}
        self._tell(numbers)
        self._keep(numbers)

    def _tell(self, numbers: Mapping[str, float]) -> None:
        values: dict[str, float | str] = {
            name: value if math.isfinite(value) else str(value)
            for name, value in list(numbers.items())[:MOST_VALUES]
            if name not in _PLACE
        }
        if "loss" not in values and "train_loss" in values:
            values["loss"] = values.pop("train_loss")
        if "step" in numbers:
            if math.isfinite(numbers.get("epoch", math.nan)):
                values["epoch"] = numbers["epoch"]
            self.steps = max(self.steps, _whole(numbers["step"]))
            total = numbers.get("total", numbers.get("steps"))
            self._progress.update(numbers["step"], total, unit="steps", values=values)
        elif "epoch" in numbers:
            self._progress.update(numbers["epoch"], numbers.get("epochs"), unit="epochs", values=values)

    def _keep(self, numbers: Mapping[str, float]) -> None:
        if "epoch" not in numbers or any(name not in numbers for name in _OF_EPOCH):
            return
        if not all(math.isfinite(value) for value in numbers.values()):
            self._warn("a figure of an epoch is not a number")
            return
        if len(self._epochs) >= MOST_EPOCHS:
            return
        epoch, seconds = _whole(numbers["epoch"]), self._clock() - self._began
        before = sum(entry.seconds for entry in self._epochs.values())
        took = max(seconds - before, 1e-6)
        self._epochs[epoch] = Epoch(
            epoch=epoch,
            step=_whole(numbers.get("step", numbers["epoch"])),
            train_loss=numbers["train_loss"],
            validation_loss=numbers["validation_loss"],
            validation_metric=numbers["validation_metric"],
            learning_rate=numbers.get("learning_rate", 0.0),
            seconds=took,
            samples_per_second=self._rows / took,
        )

    def _warn(self, what: str) -> None:
        if not self._warned:
            self._warned = True
            self._progress.warning(f"RUNWRIGHT_METRICS: {what}; such lines are left out")

    def history(self, *, resumed: bool) -> History:
        """The learning curves. The best epoch is the one of the least validation loss."""
        epochs = tuple(self._epochs[number] for number in sorted(self._epochs))
        best = min(epochs, key=lambda entry: entry.validation_loss).epoch if epochs else 0
        first = epochs[0].step if epochs and resumed else 0
        return History(epochs=epochs, best_epoch=best, stopped="epochs", resumed_from_step=first)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and not abs(value) > LARGEST


def _whole(value: float) -> int:
    return round(value) if math.isfinite(value) else 0
