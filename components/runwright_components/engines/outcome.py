"""How a worker's task ends: a StageError crosses to the driver as what a person reads, not as an engine's stack."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from runwright_components.contract.outcome import Reason, StageError

_ERROR = re.compile(r"[\w.]+(?:Error|Exception|Interrupt|Exit)\b")
_SHOWN = 300  # characters

Part = TypeVar("Part")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Outcome(Generic[Result]):
    """Of one task: its result, or what `StageError.as_dict` says."""

    result: Result | None = None
    error: dict[str, Any] | None = None


@dataclass(frozen=True)
class Task(Generic[Part, Result]):
    """`do`, with its StageError as an outcome: of what an engine raises for it, the cure would be lost."""

    do: Callable[[Part], Result]

    def __call__(self, part: Part) -> Outcome[Result]:
        try:
            return Outcome(self.do(part))
        except StageError as error:
            return Outcome(error=error.as_dict())


def results(outcomes: list[Outcome[Result]]) -> list[Result]:
    """The results. Raises the StageError of the first task that has one."""
    for outcome in outcomes:
        if (error := outcome.error) is not None:
            raise StageError(Reason(error["reason"]), error["message"], where=error["where"], cure=error["cure"])
    return [outcome.result for outcome in outcomes]  # type: ignore[misc]


def gave_up(engine: str, said: str) -> StageError:
    """Of a task that failed as often as the engine tries; of the tracebacks that it tells, the last error counts that
    is not its own."""
    lines = [line for line in said.splitlines() if _ERROR.match(line)]
    lines = [line for line in lines if not line.startswith("ray.exceptions.UserCode")] or lines
    return StageError(
        Reason.WORKER_FAILED,
        f"{engine} gave up: {lines[-1] if lines else said.strip()[:_SHOWN]}",
        where="data.engine",
        cure="read the workers' log; one that was killed needs more memory, and each must see the stage's folders",
    )


def missing(engine: str, what: str, cure: str) -> StageError:
    """Of something that the engine needs on this machine."""
    return StageError(Reason.INVALID_CONFIG, f"engine: {engine} needs {what}", where="data.engine", cure=cure)
