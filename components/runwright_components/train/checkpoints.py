"""Checkpoints on disk: safetensors and JSON, whole or absent, verified when they are read.

CHECKPOINTS/step-000001200/tensors.safetensors, state.json - the latter names the digest of the former and of itself.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from runwright_components.contract.files import canonical_json, disk_errors, file_digest
from runwright_components.contract.outcome import Reason, StageError
from runwright_components.models.weights import save_tensors

TENSORS = "tensors.safetensors"
STATE = "state.json"
PREFIX = "step-"
LOCK = ".lock"
LOCK_SECONDS = 10.0  # a killed training's workers are gone by then


@dataclass(frozen=True)
class Checkpoint:
    """`state` is JSON; `recipe` names what a training must have in common to continue from here."""

    step: int
    recipe: str
    state: dict[str, Any]
    tensors: dict[str, Tensor]


class CheckpointStore:
    """The checkpoints of one training, at most `keep`, written by a thread of their own."""

    def __init__(self, folder: Path, *, keep: int, warn: Callable[[str], None]) -> None:
        self.folder = folder
        self._keep = max(1, keep)
        self._warn = warn
        self._writer = ThreadPoolExecutor(max_workers=1, thread_name_prefix="checkpoint")
        self._pending: Future[float] | None = None
        self._lock: int | None = None
        self.write_seconds = 0.0  # of the latest write, in the background

    # -------------------------------------------------------- reading

    def steps(self) -> list[int]:
        """Steps of the checkpoints that are there, the newest first."""
        names = [path.name.removeprefix(PREFIX) for path in self.folder.glob(f"{PREFIX}*")]
        return sorted((int(name) for name in names if name.isdigit()), reverse=True)

    def newest(self, recipe: str) -> Checkpoint | None:
        """The newest checkpoint that is whole, with a warning for each that is not; None when there are none.

        Raises StageError (CheckpointInvalid) when it is of another recipe, or when none is whole.
        """
        steps = self.steps()
        for step in steps:
            try:
                found = self.load(step)
            except StageError as error:
                self._warn(f"checkpoint of step {step} is damaged and left out: {error.message}")
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
        """Read and verify one checkpoint. Raises StageError (CheckpointInvalid) for any damage."""
        folder = self._path(step)
        try:
            document = json.loads((folder / STATE).read_bytes())
            digest = document.pop("digest")
            if digest != _digest(document):
                raise ValueError(f"{STATE} was altered")
            if file_digest(folder / TENSORS) != document["tensors"]:
                raise ValueError(f"{TENSORS} was altered")
            tensors = load_file(folder / TENSORS)
        except (OSError, ValueError, KeyError, AttributeError, TypeError, SafetensorError) as error:
            raise StageError(
                Reason.CHECKPOINT_INVALID,
                str(error),
                where=str(folder),
                cure="remove this checkpoint; the one before is used then",
            ) from error
        return Checkpoint(document["step"], document["recipe"], document["state"], tensors)

    # -------------------------------------------------------- writing

    def open(self, *, resume: bool) -> None:
        """Take the folder for this process, remove what a killed writer left and, unless resuming, old checkpoints."""
        with disk_errors(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
            self._take_lock()
            for path in self.folder.glob(f".{PREFIX}*"):
                shutil.rmtree(path, ignore_errors=True)
            if not resume:
                for step in self.steps():
                    shutil.rmtree(self._path(step))

    @property
    def busy(self) -> bool:
        return self._pending is not None and not self._pending.done()

    def save(self, checkpoint: Checkpoint, *, ready: torch.cuda.Event | None = None) -> None:
        """Write in the background; waits for the write before, and raises what went wrong in it.

        The tensors belong to the store from here on. `ready`: the event after which tensors on a GPU are valid.
        """
        self.wait()
        self._pending = self._writer.submit(self._write, checkpoint, ready)

    def wait(self) -> None:
        if self._pending is not None:
            pending, self._pending = self._pending, None
            self.write_seconds = pending.result()

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

    def _write(self, checkpoint: Checkpoint, ready: torch.cuda.Event | None) -> float:
        start = time.monotonic()
        tensors = _on_cpu(checkpoint.tensors, ready)
        with disk_errors(self.folder):
            temporary = Path(tempfile.mkdtemp(dir=self.folder, prefix=f".{PREFIX}"))
            try:
                save_tensors(tensors, temporary / TENSORS)
                document = {
                    "step": checkpoint.step,
                    "recipe": checkpoint.recipe,
                    "state": checkpoint.state,
                    "tensors": file_digest(temporary / TENSORS),
                }
                (temporary / STATE).write_bytes(canonical_json({**document, "digest": _digest(document)}))
                for path in (temporary / TENSORS, temporary / STATE, temporary):
                    _sync(path)
                target = self._path(checkpoint.step)
                if target.exists():  # damaged, or the same step again after a resume
                    shutil.rmtree(target)
                temporary.replace(target)
                _sync(self.folder)
            except BaseException:
                shutil.rmtree(temporary, ignore_errors=True)
                raise
            for step in self.steps()[self._keep :]:
                shutil.rmtree(self._path(step))
        return time.monotonic() - start

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


def _on_cpu(tensors: dict[str, Tensor], ready: torch.cuda.Event | None) -> dict[str, Tensor]:
    if ready is None:
        return tensors
    # A stream of its own: the copy must not queue up in the one that training computes on.
    with torch.cuda.stream(torch.cuda.Stream()):  # type: ignore[no-untyped-call]
        ready.wait()
        return {name: tensor.cpu() for name, tensor in tensors.items()}


def _digest(document: dict[str, Any]) -> str:
    return "sha256:" + hashlib.sha256(canonical_json(document)).hexdigest()


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
