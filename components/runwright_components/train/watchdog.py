"""The end of a training that hangs: a rank that waits for others which never come says where it waits.

A collective operation waits in native code, where no exception reaches it; so a thread watches for steps, and ends the
process when none comes. Every rank has one, and all hang when one does, so that each leaves its stack.
"""

from __future__ import annotations

import os
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import NoReturn, Self

from runwright_components.contract.outcome import Reason, StageError

STACKS = "stacks"
PEERS_SECONDS = 3.0  # for the other ranks' stacks
PACKAGES = f"{os.sep}site-packages{os.sep}"


class Watchdog:
    """Calls `bite` when `beat` has not been called for `seconds` in the time of a `with` block."""

    def __init__(self, seconds: float, bite: Callable[[], object]) -> None:
        self._seconds = seconds
        self._bite = bite
        self._beaten = 0.0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="watchdog", daemon=True)

    def beat(self) -> None:
        """Say that training has come further."""
        self._beaten = time.monotonic()

    def __enter__(self) -> Self:
        self.beat()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()

    def _watch(self) -> None:
        while not self._ended.wait(min(1.0, self._seconds / 10)):
            if time.monotonic() - self._beaten > self._seconds:
                self._bite()
                return


@dataclass(frozen=True)
class Hang:
    """What a worker does when training hangs: leave its stack in `folder`, wait for its peers' stacks, report, end."""

    folder: Path
    rank: int
    peers: range  # the ranks of this machine
    seconds: float
    report: Callable[[StageError], int]  # leaves the failure for the stage; returns the exit code

    def __call__(self) -> NoReturn:
        code = 1
        try:
            leave_stack(self.folder, self.rank)
            until = time.monotonic() + PEERS_SECONDS
            while not {*self.peers} <= {*stacks(self.folder)} and time.monotonic() < until:
                time.sleep(0.05)
            code = self.report(self.error())
        finally:
            os._exit(code)  # the main thread is in native code, and no signal reaches it

    def error(self) -> StageError:
        """All ranks, where each waits, and which are missing."""
        found = stacks(self.folder)
        lines = [f"rank {rank} {_where(found.get(rank))}" for rank in self.peers]
        return StageError(
            Reason.COLLECTIVE_TIMEOUT,
            f"no step ended for {self.seconds:g} s\n" + "\n".join(lines),
            where="train",
            cure="continue with `runwright run --resume`; if steps take so long, raise train.collectiveTimeout; whole"
            f" stacks lie in {self.folder}",
        )


def _where(stack: str | None) -> str:
    return "left no stack: it is stopped or lost" if stack is None else f"waits in {last_line(stack)}"


def clear_stacks(folder: Path) -> None:
    """Remove what an earlier start left."""
    for path in folder.glob("rank-*.txt"):
        path.unlink(missing_ok=True)


def leave_stack(folder: Path, rank: int) -> None:
    """Write the stacks of all threads of this process, the main one first, each with its innermost call last."""
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    main = threading.main_thread().ident
    threads = sorted(sys._current_frames().items(), key=lambda item: item[0] != main)
    text = "\n".join(f"{names.get(ident, '?')}:\n" + "".join(traceback.format_stack(frame)) for ident, frame in threads)
    folder.mkdir(parents=True, exist_ok=True)
    temporary = folder / f".rank-{rank}"
    temporary.write_text(text)
    temporary.replace(folder / f"rank-{rank}.txt")


def stacks(folder: Path) -> dict[int, str]:
    """The stacks that ranks have left in `folder`."""
    return {int(path.stem.removeprefix("rank-")): path.read_text() for path in folder.glob("rank-*.txt")}


def last_line(stack: str) -> str:
    """Where the main thread is: the innermost call of ours, and the innermost of all."""
    places = [line.strip() for line in _first_thread(stack) if line.startswith("  File ")]
    ours = [place for place in places if PACKAGES not in place]
    return " < ".join(dict.fromkeys(_short(place) for place in [*places[-1:], *ours[-1:]]))


def _first_thread(stack: str) -> Iterable[str]:
    return stack.split("\n\n", 1)[0].splitlines()


def _short(place: str) -> str:
    """`File "/a/b/c.py", line 3, in name` as name (b/c.py:3)."""
    path, line, name = place.removeprefix("File ").split(", ", 2)
    short = "/".join(Path(path.strip('"')).parts[-2:])
    return f"{name.removeprefix('in ')} ({short}:{line.removeprefix('line ')})"
