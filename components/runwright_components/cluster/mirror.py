"""What a training keeps in storage while it runs: its newest checkpoints and how far it is."""

from __future__ import annotations

import sys
import threading
from abc import ABC, abstractmethod
from pathlib import Path
from types import TracebackType
from typing import Self

from runwright_components.cluster.storage import PROGRESS, Place, fetch_folder, index_of, store_folder
from runwright_components.contract.outcome import StageError
from runwright_components.contract.progress import Event

CHECKPOINT_PREFIX = "step-"
PROGRESS_SECONDS = 2.0
CHECKPOINT_SECONDS = 1.0


def fetch_checkpoints(there: Place, target: Path) -> bool:
    """Bring the newest whole checkpoint to the folder `target`; tells whether there is one."""
    target.mkdir(parents=True, exist_ok=True)
    for name in sorted(_checkpoints(there.folders()), reverse=True):
        if index_of(there.under(name)) is None:
            continue
        try:
            fetch_folder(there.under(name), target / name)
        except StageError as error:
            print(f"checkpoint {name} is left out: {error}", file=sys.stderr)  # noqa: T201 (the pod's log)
            continue
        return True
    return False


def _checkpoints(names: list[str]) -> list[str]:
    return [name for name in names if name.startswith(CHECKPOINT_PREFIX)]


class _Mirror(ABC):
    """A thread that calls `_pass` now and then for the time of a `with` block, and once more at its end."""

    def __init__(self, *, every: float, enabled: bool) -> None:
        self._every = every
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._loop, name=type(self).__name__, daemon=True) if enabled else None

    @abstractmethod
    def _pass(self) -> None:
        """Bring what is new to the storage."""

    def _loop(self) -> None:
        while not self._ended.wait(self._every):
            self._try()

    def _try(self) -> None:
        try:
            self._pass()
        except (StageError, OSError) as error:  # a training does not end because its storage has a bad minute
            print(f"{type(self).__name__}: {error}", file=sys.stderr)  # noqa: T201 (the pod's log)

    def __enter__(self) -> Self:
        if self._thread is not None:
            self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._thread is not None:
            self._ended.set()
            self._thread.join()
            self._try()


class CheckpointMirror(_Mirror):
    """Copies each new checkpoint to storage and keeps the newest `keep` there."""

    def __init__(
        self, folder: Path, there: Place, *, keep: int, enabled: bool = True, every: float = CHECKPOINT_SECONDS
    ) -> None:
        super().__init__(every=every, enabled=enabled)
        self._folder = folder
        self._there = there
        self._keep = max(1, keep)
        self._stored: set[str] = set()

    def _pass(self) -> None:
        for path in sorted(self._folder.glob(f"{CHECKPOINT_PREFIX}*")):  # whole: they appear by a rename
            if path.name not in self._stored:
                try:
                    store_folder(path, self._there.under(path.name))
                except FileNotFoundError:  # the training has replaced it by newer ones meanwhile
                    self._there.under(path.name).remove()
                    continue
                self._stored.add(path.name)
        for name in sorted(_checkpoints(self._there.folders()))[: -self._keep]:
            self._there.under(name).remove()


class ProgressMirror(_Mirror):
    """A sink of events that writes the newest progress to storage, where the train step reads it."""

    def __init__(self, there: Place, *, enabled: bool = True, every: float = PROGRESS_SECONDS) -> None:
        super().__init__(every=every, enabled=enabled)
        self._there = there
        self._newest: Event | None = None
        self._written: Event | None = None

    def __call__(self, event: Event) -> None:
        if event.kind == "progress":
            self._newest = event
        elif event.message:
            print(f"{event.kind}: {event.message}", flush=True)  # noqa: T201 (the pod's log)

    def _pass(self) -> None:
        event = self._newest
        if event is not None and event is not self._written:
            self._there.write(PROGRESS, event.model_dump_json(exclude_defaults=True).encode())
            self._written = event
