"""A step's process. It outlives the double, as a pod does: its end is a file, which a restarted double finds.

The launcher of a pod writes down how its program ended; here a small shell does, which takes no notice of SIGTERM, so
that the program itself has the say.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.doubles.kfp.store import Step

# `wait` returns early for a signal, so that it is asked until the program is no more.
_LAUNCHER = """
trap : TERM
"$@" &
wait $!; code=$?
while kill -0 $! 2>/dev/null; do wait $!; code=$?; done
echo $code > "$ENDED.part" && mv "$ENDED.part" "$ENDED"
"""
ENDED = "ended"
LOG = "log"
_POLL = 0.05
_KILLED = 137
_children: dict[int, subprocess.Popen[bytes]] = {}  # those of this process, to be reaped


def start(command: Sequence[str], folder: Path, environment: Mapping[str, str]) -> Step:
    """Start `command` with its log and its end in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / LOG).open("ab") as log:
        process = subprocess.Popen(
            ["/bin/sh", "-c", _LAUNCHER, "launcher", *command],
            cwd=folder,
            env={**environment, "ENDED": str(folder / ENDED)},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    _children[process.pid] = process
    return Step(pid=process.pid, started=_start_time(process.pid) or 0, folder=str(folder))


async def ended(step: Step) -> int:
    """The exit code, once there is one. A program that was killed with its launcher has 137."""
    while True:
        if not alive(step):
            code = _code(step)
            return _KILLED if code is None else code
        await asyncio.sleep(_POLL)


async def stop(step: Step, grace: float) -> None:
    """SIGTERM, and SIGKILL after `grace` seconds."""
    _signal(step, signal.SIGTERM)
    try:
        await asyncio.wait_for(ended(step), grace)
    except TimeoutError:
        _signal(step, signal.SIGKILL)
        await ended(step)


def kill(step: Step) -> None:
    _signal(step, signal.SIGKILL)


def alive(step: Step) -> bool:
    child = _children.get(step.pid)
    if child is not None and child.poll() is not None:
        del _children[step.pid]
    return _start_time(step.pid) == step.started


def last_words(step: Step) -> str:
    """The last line of the log that speaks of an error, else the last one that says something."""
    path = Path(step.folder) / LOG
    lines = [line.strip() for line in path.read_text(errors="replace").splitlines()] if path.exists() else []
    said = [line for line in reversed(lines) if line]
    return next((line for line in said if "error" in line.lower()), said[0] if said else "")[:500]


def _code(step: Step) -> int | None:
    path = Path(step.folder) / ENDED
    return int(path.read_text()) if path.exists() else None


def _signal(step: Step, number: signal.Signals) -> None:
    if alive(step):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(step.pid, number)


def _start_time(pid: int) -> int | None:
    """Field 22 of /proc/PID/stat; None for a process that is no more, or only waits to be reaped."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] == "Z" else int(fields[19])
