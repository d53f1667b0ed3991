"""SIGTERM and SIGINT as a request to stop at the next step, and children that do not outlive their parent."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading
from types import FrameType, TracebackType
from typing import Any, Self

from runwright_components.contract.outcome import Reason, StageError

PR_SET_PDEATHSIG, PR_SET_NAME = 1, 15  # prctl(2)


def cancelled(saved_step: int | None = None) -> StageError:
    """The error of a training that was asked to stop."""
    kept = f"; its state after step {saved_step} is kept" if saved_step is not None else ""
    return StageError(
        Reason.CANCELLED, f"training was asked to stop{kept}", cure="continue with `runwright run --resume`"
    )


class StopSignal:
    """Handlers of SIGTERM and SIGINT for the time of a `with` block, where Python allows them (the main thread).

    While `deferred`, a signal sets `requested`, so that a step can end and a checkpoint be written; a second one, or
    one at any other time, raises StageError (Cancelled) at once.
    """

    def __init__(self) -> None:
        self.requested = False
        self.deferred = False
        self._previous: dict[int, Any] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGTERM, signal.SIGINT):
                self._previous[number] = signal.signal(number, self._handle)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def _handle(self, _number: int, _frame: FrameType | None) -> None:
        # torchrun's agent repeats a signal that the terminal has already sent to the whole group.
        if self.deferred:
            self.requested = True
            return
        raise cancelled()


def die_with_parent() -> None:
    """Have the kernel kill this process when its parent dies (Linux), so that a killed training leaves no workers."""
    if sys.platform != "linux":
        return
    parent = os.getppid()
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it died before the request
        os.kill(os.getpid(), signal.SIGKILL)


def name_process(name: str) -> None:
    """What `ps` and `top` call this process (Linux): at most 15 bytes."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_NAME, name.encode())
