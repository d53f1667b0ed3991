"""Checkpoints of a boosting: the booster in its own format and how far it is, whole or absent, verified when read.

CHECKPOINTS/step-000000100/booster.ubj (or booster.txt), state.json - the latter names the digest of the former and of
itself. Names, and `layout.files`, are those of networks' checkpoints, so that what copies those copies these.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runwright_components.contract.files import canonical_json, disk_errors, file_digest, new_folder, write_json
from runwright_components.contract.outcome import Reason, StageError
from runwright_components.contract.retention import kept

STATE = "state.json"
PREFIX = "step-"


@dataclass(frozen=True)
class Saved:
    """`state` is JSON; `recipe` names what a training must have in common to continue from here."""

    rounds: int
    recipe: str
    state: dict[str, Any]
    booster: bytes


class BoosterStore:
    """The checkpoints of one boosting: the `keep` newest and, of each span of `keep_every` rounds, the first."""

    def __init__(
        self, folder: Path, *, file: str, keep: int, keep_every: int | None, warn: Callable[[str], None]
    ) -> None:
        self.folder = folder
        self._file = file
        self._keep = keep
        self._keep_every = keep_every
        self._warn = warn

    def rounds(self) -> list[int]:
        """Rounds of the checkpoints that are there, the newest first."""
        names = [path.name.removeprefix(PREFIX) for path in self.folder.glob(f"{PREFIX}*")]
        return sorted((int(name) for name in names if name.isdigit()), reverse=True)

    def open(self, *, resume: bool) -> None:
        """Make the folder, remove what a killed training left half written and, unless resuming, old checkpoints."""
        with disk_errors(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
            for path in self.folder.glob(f".{PREFIX}*"):
                shutil.rmtree(path, ignore_errors=True)
            for rounds in [] if resume else self.rounds():
                shutil.rmtree(self._path(rounds))

    def newest(self, recipe: str) -> Saved | None:
        """The newest checkpoint that is whole, with a warning for each that is not; None when there are none.

        Raises StageError (CheckpointInvalid) when it is of another recipe, or when none is whole.
        """
        there = self.rounds()
        for rounds in there:
            try:
                found = self._load(rounds)
            except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
                self._warn(f"checkpoint of round {rounds} is damaged and left out: {error}")
                continue
            if found.recipe != recipe:
                raise self._invalid(f"the checkpoint of round {rounds} is of another configuration or of other data")
            return found
        if there:
            raise self._invalid("every checkpoint is damaged")
        return None

    def save(self, saved: Saved) -> None:
        """Write the checkpoint and remove those beyond `keep`."""
        target = self._path(saved.rounds)
        with disk_errors(self.folder):
            if target.exists():  # damaged, or the same round again after a resume
                shutil.rmtree(target)
        with new_folder(target) as folder:
            (folder / self._file).write_bytes(saved.booster)
            document = {
                "rounds": saved.rounds,
                "recipe": saved.recipe,
                "state": saved.state,
                "layout": {"files": {self._file: file_digest(folder / self._file)}},
            }
            write_json(folder / STATE, {**document, "digest": _digest(document)})
        there = self.rounds()
        for rounds in {*there} - kept(there, newest=self._keep, every=self._keep_every):
            shutil.rmtree(self._path(rounds))

    def _path(self, rounds: int) -> Path:
        return self.folder / f"{PREFIX}{rounds:09d}"

    def _load(self, rounds: int) -> Saved:
        folder = self._path(rounds)
        document = json.loads((folder / STATE).read_bytes())
        if document.pop("digest") != _digest(document):
            raise ValueError(f"{STATE} was altered")
        if file_digest(folder / self._file) != document["layout"]["files"][self._file]:
            raise ValueError(f"{self._file} was altered")
        return Saved(document["rounds"], document["recipe"], document["state"], (folder / self._file).read_bytes())

    def _invalid(self, message: str) -> StageError:
        return StageError(
            Reason.CHECKPOINT_INVALID,
            message,
            where=str(self.folder),
            cure="run without --resume to train anew, or restore the configuration and the data of then",
        )


def _digest(document: dict[str, Any]) -> str:
    return "sha256:" + hashlib.sha256(canonical_json(document)).hexdigest()
