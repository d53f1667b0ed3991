"""Checkpoints on disk: safetensors and JSON, whole or absent, verified when they are read.

CHECKPOINTS/step-000001200/shard-00000.safetensors, ..., state.json: the latter is written last and names the digests of
the former and of itself. A state that every process holds whole is one shard, written by rank 0; of a sharded one each
process writes its part. Any number of processes reads either.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from safetensors import SafetensorError
from torch import Tensor

from runwright_components.contract.files import canonical_json, disk_errors
from runwright_components.contract.outcome import Reason, StageError
from runwright_components.contract.retention import kept
from runwright_components.train.ranks import Ranks
from runwright_components.train.shards import Layout, is_sharded, read, sync, write_whole

STATE = "state.json"
PREFIX = "step-"
LOCK = ".lock"
LOCK_SECONDS = 10.0  # a killed training's workers are gone by then


@dataclass(frozen=True)
class Snapshot:
    """What a checkpoint is to hold of this process. `state` is JSON, the same on all; `recipe` names what a training
    must have in common to continue from here; `sharded`: tensors are DTensors of which each process holds a part."""

    step: int
    recipe: str
    state: dict[str, Any]
    tensors: dict[str, Tensor]
    sharded: bool = False


@dataclass(frozen=True)
class Checkpoint:
    """One that lies in `folder`; tensors are read when they are asked for."""

    step: int
    recipe: str
    state: dict[str, Any]
    layout: Layout
    folder: Path

    def blank(self, name: str) -> Tensor:
        """Room on the CPU for one tensor as it was saved. Raises StageError (CheckpointInvalid)."""
        try:
            found = self.layout.tensors[name]
            return torch.empty(found.shape, dtype=found.torch_dtype)
        except (KeyError, ValueError) as error:
            raise _damaged(self.folder, error) from error

    def fill(self, targets: dict[str, Tensor]) -> None:
        """Fill `targets` in place, each with what this process holds of it. Raises StageError (CheckpointInvalid)."""
        try:
            if any(map(is_sharded, targets.values())):
                from runwright_components.train import sharded

                sharded.load(self.folder, self.layout, targets)
            else:
                read(self.folder, self.layout, targets)
        except (OSError, ValueError, KeyError, SafetensorError) as error:
            raise _damaged(self.folder, error) from error


class CheckpointStore:
    """The checkpoints of one training, written by a thread of their own. Every rank has one.

    `keep` is how many of the newest stay, besides the first in each span of `keep_every` steps. When the disk is full,
    training goes on, with a warning, and what was written before stays.
    """

    def __init__(
        self,
        folder: Path,
        *,
        keep: int,
        warn: Callable[[str], None],
        keep_every: int | None = None,
        ranks: Ranks | None = None,
    ) -> None:
        self.folder = folder
        self._keep = keep
        self._keep_every = keep_every
        self._warn = warn
        self._ranks = ranks or Ranks(0, 1, torch.device("cpu"))
        self._group: Any = None  # of the writers' own messages, which must not mix with the training thread's
        self._writer = ThreadPoolExecutor(max_workers=1, thread_name_prefix="checkpoint")
        self._pending: Future[float] | None = None
        self._lock: int | None = None
        self._full = False
        self.write_seconds = 0.0  # of the latest write, in the background

    # -------------------------------------------------------- reading

    def steps(self) -> list[int]:
        """Steps of the checkpoints that are there, the newest first."""
        names = [path.name.removeprefix(PREFIX) for path in self.folder.glob(f"{PREFIX}*")]
        return sorted((int(name) for name in names if name.isdigit()), reverse=True)

    def newest(self, recipe: str) -> Checkpoint | None:
        """The newest checkpoint that is whole, with a warning for each that is not; None when there are none. All ranks
        call, and get the same one: each verifies its share of the files.

        Raises StageError (CheckpointInvalid) when it is of another recipe, or when none is whole.
        """
        steps = self._ranks.agree(self.steps())
        for step in steps:
            found, damage = None, ""
            try:
                found = self.load(step)
            except StageError as error:
                damage = error.message
            misses = [rank for rank, miss in enumerate(self._ranks.gather(torch.tensor([int(found is None)]))) if miss]
            if found is None or misses:
                if misses[0] == self._ranks.rank:
                    self._warn(f"checkpoint of step {step} is damaged and left out: {damage}")
                continue
            if found.recipe != recipe:
                raise StageError(
                    Reason.CHECKPOINT_INVALID,
                    f"the checkpoint of step {step} is of another configuration or of other data",
                    where=str(self.folder),
                    cure="run without --resume to train anew, or restore the configuration and the data of then",
                )
            return found
        if steps:
            raise StageError(
                Reason.CHECKPOINT_INVALID,
                "every checkpoint is damaged",
                where=str(self.folder),
                cure="run without --resume to train anew",
            )
        return None

    def load(self, step: int) -> Checkpoint:
        """One checkpoint; this process verifies its share of the files. Raises StageError (CheckpointInvalid) for any
        damage."""
        folder = self._path(step)
        try:
            document = json.loads((folder / STATE).read_bytes())
            digest = document.pop("digest")
            if digest != _digest(document):
                raise ValueError(f"{STATE} was altered")
            layout = Layout.model_validate(document["layout"])
            layout.verify(folder, sorted(layout.files)[self._ranks.local :: self._ranks.neighbours])
        except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
            raise _damaged(folder, error) from error
        return Checkpoint(document["step"], document["recipe"], document["state"], layout, folder)

    # -------------------------------------------------------- writing

    def open(self, *, resume: bool) -> None:
        """Take the folder for this training, remove what a killed writer left and, unless resuming, old checkpoints.
        All ranks call; those of a node share the folder."""
        if self._ranks.local == 0:
            with disk_errors(self.folder):
                self.folder.mkdir(parents=True, exist_ok=True)
                self._take_lock()
                for path in self.folder.glob(f".{PREFIX}*"):
                    shutil.rmtree(path, ignore_errors=True)
                if not resume:
                    for step in self.steps():
                        shutil.rmtree(self._path(step))
        self._ranks.sum(torch.zeros(1))  # nobody writes or reads before

    @property
    def busy(self) -> bool:
        return self._pending is not None and not self._pending.done()

    def save(self, snapshot: Snapshot, *, ready: torch.cuda.Event | None = None) -> None:
        """Write in the background; waits for the write before, and raises what went wrong in it.

        The tensors belong to the store from here on. `ready`: the event after which tensors on a GPU are valid. All
        ranks call for a sharded state, rank 0 alone for another.
        """
        self.wait()
        if snapshot.sharded and self._group is None:
            self._group = dist.new_group(backend="gloo")
        self._pending = self._writer.submit(self._write, snapshot, ready)

    def wait(self) -> None:
        """Until the write under way is done. A full disk is a warning; raises what else went wrong."""
        if self._pending is None:
            return
        pending, self._pending = self._pending, None
        try:
            self.write_seconds = pending.result()
            self._full = False
        except StageError as error:
            if error.reason is not Reason.STORAGE_FULL:
                raise
            if self._ranks.main and not self._full:
                newest = next(iter(self.steps()), None)
                left = "there is none yet" if newest is None else f"the newest is of step {newest}"
                self._warn(f"no checkpoint could be written, {left}; training goes on: {error}")
            self._full = True

    def close(self) -> None:
        """Finish the write under way; raises what went wrong in it."""
        try:
            self.wait()
        finally:
            self._writer.shutdown()
            if self._lock is not None:
                os.close(self._lock)
                self._lock = None

    def _path(self, step: int) -> Path:
        return self.folder / f"{PREFIX}{step:09d}"

    def _write(self, snapshot: Snapshot, ready: torch.cuda.Event | None) -> float:
        start = time.monotonic()
        temporary = self.folder / f".{PREFIX}{snapshot.step:09d}"
        with disk_errors(self.folder), _beside_training(ready):
            try:
                temporary.mkdir(exist_ok=True)
                layout = self._write_tensors(snapshot, temporary)
                if self._ranks.main:
                    _write_state(snapshot, layout, temporary)
                if self._ranks.local == 0:
                    self._publish(temporary, self._path(snapshot.step))
            except BaseException:
                shutil.rmtree(temporary, ignore_errors=True)
                raise
        return time.monotonic() - start

    def _write_tensors(self, snapshot: Snapshot, folder: Path) -> Layout:
        if not snapshot.sharded:
            return write_whole(folder, {name: tensor.cpu() for name, tensor in snapshot.tensors.items()})
        from runwright_components.train import sharded

        return sharded.save(folder, snapshot.tensors, self._group)

    def _publish(self, temporary: Path, target: Path) -> None:
        """Make the checkpoint appear whole, and remove those that need not stay."""
        sync(temporary)
        if target.exists():  # damaged, or the same step again after a resume
            shutil.rmtree(target)
        temporary.replace(target)
        sync(self.folder)
        steps = self.steps()
        for step in {*steps} - kept(steps, newest=self._keep, every=self._keep_every):
            shutil.rmtree(self._path(step))

    def _take_lock(self) -> None:
        self._lock = os.open(self.folder / LOCK, os.O_RDWR | os.O_CREAT, 0o644)
        until = time.monotonic() + LOCK_SECONDS
        while True:
            try:
                fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() < until:
                    time.sleep(0.1)
                    continue
                raise StageError(
                    Reason.CHECKPOINT_INVALID,
                    "another training writes its checkpoints here",
                    where=str(self.folder),
                    cure="wait for it to end, stop it, or choose another workspace",
                ) from None
            return


@contextmanager
def _beside_training(ready: torch.cuda.Event | None) -> Iterator[None]:
    """Copies from a GPU go through a stream of their own: they must not queue up in the one that training uses."""
    if ready is None:
        yield
        return
    with torch.cuda.stream(torch.cuda.Stream()):  # type: ignore[no-untyped-call]
        ready.wait()
        yield


def _write_state(snapshot: Snapshot, layout: Layout, folder: Path) -> None:
    document = {
        "step": snapshot.step,
        "recipe": snapshot.recipe,
        "state": snapshot.state,
        "layout": layout.model_dump(mode="json"),
    }
    path = folder / STATE
    path.write_bytes(canonical_json({**document, "digest": _digest(document)}))
    sync(path)


def _damaged(folder: Path, error: Exception) -> StageError:
    return StageError(
        Reason.CHECKPOINT_INVALID,
        str(error),
        where=str(folder),
        cure="remove this checkpoint; the one before is used then",
    )


def _digest(document: dict[str, Any]) -> str:
    return "sha256:" + hashlib.sha256(canonical_json(document)).hexdigest()
