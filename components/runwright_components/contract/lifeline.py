"""No step outlives its runner.

The local runner holds an exclusive lock on WORKSPACE/lock for as long as it lives. A step waits for that lock in a
thread: the kernel hands it over when the runner lets go of it to cancel the run, and just as well when the runner was
killed with SIGKILL. So a run that was killed leaves no process behind that writes to the workspace.
"""

from __future__ import annotations

import fcntl
import os
import signal
import threading
import time
from collections.abc import Mapping
from pathlib import Path

from runwright_components.contract.outcome import ExitCode
from runwright_components.contract.step import LOCK, WORKSPACE_ENV

GRACE_SECONDS = 5.0

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
        fcntl.flock(file, fcntl.LOCK_SH)  # blocks until the runner lets go
        _cut.set()
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(grace)
        os._exit(ExitCode.CANCELLED)  # busy in native code that does not look at signals
