"""What a trial's pod leaves in storage: its curve while it trains, and at the end what it came to."""

from __future__ import annotations

import math
from pathlib import Path

from pydantic import ValidationError

from runwright_components.cluster.mirror import PROGRESS_SECONDS, ProgressMirror
from runwright_components.cluster.storage import Place
from runwright_components.contract.artifacts import HISTORY, Document, History
from runwright_components.contract.progress import Event
from runwright_components.train.tuning.objective import is_asked

CURVE = "curve.json"
RESULT = "result.json"


class Point(Document):
    """The figures of the validation after an epoch."""

    epoch: int
    figures: dict[str, float]


class Curve(Document):
    """The epochs that pruning looks at, in order."""

    points: tuple[Point, ...] = ()


class Result(Document):
    """What a trial came to: the metric on the validation split, None where it is NaN."""

    value: float | None
    epochs: int
    seconds: float


class TrialReports(ProgressMirror):
    """A sink of a trial's events that keeps its curve in storage, too. A pod that goes on from a checkpoint goes on
    with the curve."""

    def __init__(self, there: Place, *, enabled: bool = True, every: float = PROGRESS_SECONDS) -> None:
        super().__init__(there, enabled=enabled, every=every)
        self._points = {point.epoch: point for point in read_curve(there).points}
        self._kept = len(self._points)

    def __call__(self, event: Event) -> None:
        super().__call__(event)
        if event.kind == "epoch" and event.done is not None and is_asked(int(event.done)):
            figures = {name: value for name, value in event.values.items() if _is_finite(value)}
            self._points = {**self._points, int(event.done): Point(epoch=int(event.done), figures=figures)}

    def _pass(self) -> None:
        super()._pass()
        points = self._points  # replaced as a whole by the training's thread
        if len(points) != self._kept:
            curve = Curve(points=tuple(points[epoch] for epoch in sorted(points)))
            self._there.write(CURVE, curve.model_dump_json().encode())
            self._kept = len(points)


def read_curve(there: Place) -> Curve:
    """The curve of the trial at `there` so far."""
    content = there.read(CURVE)
    try:
        return Curve.model_validate_json(content) if content else Curve()
    except ValidationError:
        return Curve()


def read_result(there: Place) -> Result | None:
    """What the trial at `there` came to; None when it left nothing."""
    content = there.read(RESULT)
    try:
        return Result.model_validate_json(content) if content else None
    except ValidationError:
        return None


def leave_result(model: Path, prepared: Path, there: Place, *, metric: str, seconds: float) -> None:
    """Judge the trial's model in the folder `model` and keep the result. Raises StageError."""
    from runwright_components.train.tuning.judging import judge

    value = judge(model, prepared, metric)
    epochs = len(History.read(model, HISTORY).epochs)
    result = Result(value=value if math.isfinite(value) else None, epochs=epochs, seconds=round(seconds, 3))
    there.write(RESULT, result.model_dump_json().encode())


def _is_finite(value: float | str) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)
