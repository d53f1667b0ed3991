"""The folder of a run on one machine: its lock, its logs, and what the last run left in it."""

from __future__ import annotations

import fcntl
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from runwright_components.contract.files import disk_errors
from runwright_components.contract.lifeline import POLL_SECONDS
from runwright_components.contract.outcome import Reason, StageError
from runwright_components.contract.step import CACHE, CHECKPOINTS, LOCK, LOGS, REGISTRY

PROGRESS = "progress.jsonl"
ARTIFACTS = "artifacts"
REPORT = "report.html"
PIPELINE_LOG = "pipeline.log"
KEPT_RUNS = 5  # folders of artifacts; files that the cache has too are the same files


class Workspace:
    """Paths under `root`, and the lock that lets one run at a time work there."""

    def __init__(self, root: Path) -> None:
        self.root = root.absolute()
        self.progress = self.root / PROGRESS
        self.artifacts = self.root / ARTIFACTS
        self.cache = self.root / CACHE
        self.checkpoints = self.root / CHECKPOINTS
        self.registry = self.root / REGISTRY
        self.report = self.root / REPORT
        self.log = self.root / LOGS / PIPELINE_LOG

    def artifact(self, name: str) -> Path | None:
        """Where the newest run that made artifact `name` has put it; both layouts use the same names."""
        found = list(self.artifacts.glob(f"*/*/{name}"))
        return max(found, key=lambda path: path.parents[1].name, default=None)

    @contextmanager
    def locked(self, *, patience: float = 10.0) -> Iterator[Lock]:
        """Hold the workspace. Raises StageError when another run has it.

        `patience`: seconds to wait for the processes of a run that was killed, which end by themselves.
        """
        with disk_errors(self.root):
            self.root.mkdir(parents=True, exist_ok=True)
            self.log.parent.mkdir(exist_ok=True)
            self._ignore_in_git()
            file = (self.root / LOCK).open("a+b")
        with file:
            lock = Lock(file, self.root)
            lock.take(patience)
            try:
                yield lock
            finally:
                lock.let_go()

    def _ignore_in_git(self) -> None:
        ignore = self.root / ".gitignore"
        if not ignore.exists():
            ignore.write_text("*\n")

    def prune(self) -> None:
        """Remove the artifacts of all but the newest runs."""
        runs = sorted((path for path in self.artifacts.glob("*") if path.is_dir()), key=lambda path: path.name)
        for old in runs[:-KEPT_RUNS]:
            shutil.rmtree(old, ignore_errors=True)


class Lock:
    """An exclusive lock on a workspace. Letting go of it ends the steps that are still running: see
    `runwright_components.contract.lifeline`."""

    def __init__(self, file: BinaryIO, root: Path) -> None:
        self._file = file
        self._root = root

    def take(self, patience: float) -> None:
        """Lock, waiting at most `patience` seconds, in which a living holder is told apart from a dying one."""
        until = time.monotonic() + patience
        if self._try():
            if self._holder() is None:
                return self._sign()
            fcntl.flock(self._file, fcntl.LOCK_UN)  # the last runner was killed: let its steps notice and be waited for
            time.sleep(5 * POLL_SECONDS)
        while not self._try():
            holder = self._holder()
            if time.monotonic() > until or (holder and _alive(holder)):
                raise StageError(
                    Reason.INVALID_CONFIG,
                    f"another run works in this workspace{f' (process {holder})' if holder else ''}",
                    where=str(self._root),
                    cure="wait for its end, stop it, or choose another folder with --workspace",
                )
            time.sleep(0.1)
        return self._sign()

    def _sign(self) -> None:
        self._file.truncate(0)
        self._file.write(str(os.getpid()).encode())
        self._file.flush()

    def let_go(self) -> None:
        if not self._file.closed:
            self._file.truncate(0)
            fcntl.flock(self._file, fcntl.LOCK_UN)

    def _try(self) -> bool:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def _holder(self) -> int | None:
        self._file.seek(0)
        text = self._file.read(20)
        return int(text) if text.isdigit() else None


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return process != os.getpid()
