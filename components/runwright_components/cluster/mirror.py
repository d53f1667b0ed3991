"""What a training keeps in storage while it runs: its newest checkpoints and how far it is."""

from __future__ import annotations

import contextlib
import json
import sys
import threading
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from runwright_components.cluster.storage import INDEX, PROGRESS, Index, Place, fetch_folder, index_of, store_folder
from runwright_components.contract.artifacts import COST
from runwright_components.contract.files import canonical_json, file_digest, files_digest
from runwright_components.contract.outcome import StageError
from runwright_components.contract.progress import Event
from runwright_components.contract.retention import kept

CHECKPOINT_PREFIX = "step-"
STATE = "state.json"  # of a checkpoint: names its other files with their digests
PROGRESS_SECONDS = 2.0
CHECKPOINT_SECONDS = 1.0


def fetch_checkpoints(there: Place, target: Path) -> bool:
    """Bring the newest whole checkpoint to the folder `target`; tells whether there is one."""
    target.mkdir(parents=True, exist_ok=True)
    if (spent := there.read(COST)) is not None:
        (target / COST).write_bytes(spent)
    return fetch_newest(there, sorted(_checkpoints(there.folders())), target)


def fetch_newest(there: Place, names: Sequence[str], target: Path) -> bool:
    """Bring the last of the folders `names` that is whole to `target`/NAME; tells whether there is one."""
    for name in reversed(names):
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


class Mirror(ABC):
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


class CheckpointMirror(Mirror):
    """Copies each new checkpoint to storage, and removes there what need not stay.

    Of a sharded training each node holds what its processes wrote, and copies that. The main one holds the state, too,
    which names all files: it copies it once they are there, and then the index, which makes the checkpoint count.
    """

    def __init__(
        self,
        folder: Path,
        there: Place,
        *,
        keep: int,
        keep_every: int | None = None,
        main: bool = True,
        every: float = CHECKPOINT_SECONDS,
    ) -> None:
        super().__init__(every=every, enabled=True)
        self._folder = folder
        self._there = there
        self._keep = keep
        self._keep_every = keep_every
        self._main = main
        self._stored: set[str] = set()
        self._spent = b""

    def _pass(self) -> None:
        for path in sorted(self._folder.glob(f"{CHECKPOINT_PREFIX}*")):  # whole: they appear by a rename
            if path.name in self._stored:
                continue
            there = self._there.under(path.name)
            try:
                done = self._store(path, there) if self._main else self._store_shards(path, there)
            except FileNotFoundError:  # the training has replaced it by newer ones meanwhile
                if self._main:
                    there.remove()
                continue
            if done:
                self._stored.add(path.name)
        if self._main:
            self._tidy()
            self._tell_cost()

    def _tell_cost(self) -> None:
        """What the training has cost so far, for the one that continues it in another pod."""
        with contextlib.suppress(FileNotFoundError):
            spent = (self._folder / COST).read_bytes()
            if spent != self._spent:
                self._there.write(COST, spent)
                self._spent = spent

    def _store(self, folder: Path, there: Place) -> bool:
        """Tells whether the checkpoint is whole in storage."""
        state = json.loads((folder / STATE).read_bytes())
        shards: dict[str, str] = state["layout"]["files"]
        if all((folder / name).exists() for name in shards):
            store_folder(folder, there)
            return True
        for name in shards:
            if (folder / name).exists():
                there.upload(folder / name, name)
        if not {*shards} <= there.files():
            return False
        there.upload(folder / STATE, STATE)
        files = {**shards, STATE: file_digest(folder / STATE)}
        there.write(INDEX, canonical_json(Index(digest=files_digest(files), files=files).model_dump(mode="json")))
        return True

    def _store_shards(self, folder: Path, there: Place) -> bool:
        for path in folder.iterdir():
            if path.name != STATE:
                there.upload(path, path.name)
        return True

    def _tidy(self) -> None:
        """Only whole checkpoints count; what is not whole and older than one of them never will be."""
        names = _checkpoints(self._there.folders())
        whole = {
            _step(name): name for name in names if name in self._stored or index_of(self._there.under(name)) is not None
        }
        staying = kept(whole, newest=self._keep, every=self._keep_every)
        for name in names:
            if _step(name) not in staying and _step(name) < max(whole, default=0):
                self._there.under(name).remove()


def _step(name: str) -> int:
    digits = name.removeprefix(CHECKPOINT_PREFIX)
    return int(digits) if digits.isdigit() else 0


class ProgressMirror(Mirror):
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
