"""One process group of user code, from its start to its end."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO

from runwright_components.train.code.output import Output
from runwright_components.train.signals import StopSignal

POLL_SECONDS = 0.1
STOP_SECONDS = 30.0  # for user code to write a checkpoint
_CHUNK = 64 * 1024


def run_process(
    command: Sequence[str],
    *,
    folder: Path,
    environment: Mapping[str, str],
    output: Output,
    poll: Callable[[], None],
    stop: StopSignal,
    deadline: float | None,
) -> int:
    """Run `command` in `folder`, without a shell and in a process group of its own. Returns its exit code, negative for
    a signal.

    `poll` is called several times a second. A stop is handed on as SIGTERM; who has not ended 30 s later is killed.
    Whatever of the group is left when the first process ends is killed, too. Raises
    TimeoutError when it runs at `deadline`, by time.monotonic().
    """
    process = subprocess.Popen(
        list(command),
        cwd=folder,
        env=dict(environment),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    assert process.stdout is not None
    reader = threading.Thread(target=_drain, args=(process.stdout, output), name="output", daemon=True)
    reader.start()
    asked: float | None = None
    try:
        while process.poll() is None:
            poll()
            now = time.monotonic()
            if stop.requested and asked is None:
                process.send_signal(signal.SIGTERM)
                asked = now
            if asked is not None and now - asked > STOP_SECONDS:
                _kill(process)
            if deadline is not None and asked is None and now > deadline:
                raise TimeoutError
            time.sleep(POLL_SECONDS)
    finally:
        _kill(process)
        process.wait()
        reader.join(timeout=5)  # a process that left the group may hold the pipe for ever
        output.close()
    poll()
    return process.returncode


def _kill(process: subprocess.Popen[bytes]) -> None:
    """The whole group; torchrun's workers have groups of their own and die with their agent."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)


def _drain(pipe: IO[bytes], output: Output) -> None:
    while chunk := os.read(pipe.fileno(), _CHUNK):
        output.feed(chunk)
