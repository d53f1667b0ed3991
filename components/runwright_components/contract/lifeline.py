"""No step outlives its runner.

The local runner holds an exclusive lock on WORKSPACE/lock for as long as it lives, and its process id stands in the
file. A step asks for a shared lock again and again in a thread: it gets it when the runner let go to cancel the run,
and just as well when the runner was killed with SIGKILL. The step keeps the shared lock until it has ended, so that the
next run waits for it. So a run that was killed leaves no process behind that writes to the workspace.
"""

from __future__ import annotations

import fcntl
import os
import signal
import threading
import time
from collections.abc import Mapping
from io import BufferedReader
from pathlib import Path

from runwright_components.contract.outcome import ExitCode
from runwright_components.contract.step import LOCK, WORKSPACE_ENV

GRACE_SECONDS = 5.0
POLL_SECONDS = 0.1
"""Between two looks at the lock; the next runner gives the steps of a dead one several of these."""

_cut = threading.Event()


def was_cut() -> bool:
    """Whether the runner let go of this process."""
    return _cut.is_set()


def hold(environment: Mapping[str, str] = os.environ, *, grace: float = GRACE_SECONDS) -> None:
    """Tie this process to its runner: SIGINT when the runner is gone, and the end after `grace` seconds.

    Does nothing outside a workspace (in a cluster, the kubelet ends the container).
    """
    workspace = environment.get(WORKSPACE_ENV)
    if not workspace:
        return
    lock = Path(workspace) / LOCK
    if lock.exists():
        threading.Thread(target=_wait, args=(lock, grace), name="lifeline", daemon=True).start()


def _wait(lock: Path, grace: float) -> None:
    with lock.open("rb") as file:
        runner = file.read()
        while not _free(file) and lock.read_bytes() == runner:  # another id: the next runner was faster than we
            time.sleep(POLL_SECONDS)
        _cut.set()
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(grace)
        os._exit(ExitCode.CANCELLED)  # busy in native code that does not look at signals


def _free(file: BufferedReader) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
