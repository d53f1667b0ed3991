"""Results of unchanged stages, kept on one machine by what decides them.

An entry is a folder `STAGE/KEY` with the stage's outputs by name and `entry.json`, the table of its files. It appears
whole or not at all, and so does what is taken from it. Files are hard links where the file system has them: an entry
costs no space as long as the artifact lives. The table holds each file's size and time of change, which a hard link
shares with its entry, and the digest of small files: an altered artifact is noticed without reading everything.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, ValidationError

from runwright_components.contract.files import file_digest, link_or_copy, new_folder, write_json

ENTRY = "entry.json"
SMALL = 1 << 20  # bytes; manifests and pages are below, data and weights above
KEEP = 5  # entries a stage


class CachedFile(BaseModel):
    """What is known of a file without reading it, and its digest where reading it is cheap."""

    model_config = ConfigDict(frozen=True)

    size: int
    changed_ns: int
    digest: str = ""

    @classmethod
    def of(cls, path: Path) -> Self:
        status = path.stat()
        digest = file_digest(path) if status.st_size <= SMALL else ""
        return cls(size=status.st_size, changed_ns=status.st_mtime_ns, digest=digest)


class Entry(BaseModel):
    """`outputs` are the names that the stage gave; `files` are relative to the entry."""

    model_config = ConfigDict(frozen=True)

    outputs: tuple[str, ...]
    files: dict[str, CachedFile]


def cache_key(stage: str, *, config: str, inputs: Mapping[str, str], version: str) -> str:
    """The name of a result: SHA-256 over everything that decides it, 64 hexadecimal digits."""
    text = json.dumps([stage, config, dict(sorted(inputs.items())), version], separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


class ResultCache:
    """The cache under `root`. Safe against a kill at any moment; the workspace's lock keeps other runs away."""

    def __init__(self, root: Path, *, keep: int = KEEP) -> None:
        self._root = root
        self._keep = keep

    def take(self, stage: str, key: str, outputs: Mapping[str, Path]) -> bool:
        """Put the kept outputs at the given paths; False when there are none, or they were altered."""
        folder = self._root / stage / key
        entry = _read(folder)
        if entry is None or set(entry.outputs) != set(outputs):
            return False
        if not _whole(folder, entry):
            shutil.rmtree(folder, ignore_errors=True)
            return False
        for name, target in outputs.items():
            _place(folder / name, target)
        os.utime(folder)  # the newest entries are those last used
        return True

    def newest(self, stage: str, output: str) -> Path | None:
        """The output of the result that was kept or used last; None where there is none."""
        found = [path for path in (self._root / stage).glob(f"[!.]*/{output}") if path.exists()]
        return max(found, key=lambda path: path.parent.stat().st_mtime_ns, default=None)

    def put(self, stage: str, key: str, outputs: Mapping[str, Path]) -> None:
        """Keep the outputs of a stage that ended well, and let the oldest entries of that stage go."""
        folder = self._root / stage / key
        shutil.rmtree(folder, ignore_errors=True)
        with new_folder(folder) as new:
            for name, source in outputs.items():
                _link_tree(source, new / name)
            found = sorted(path for path in new.rglob("*") if path.is_file())
            files = {path.relative_to(new).as_posix(): CachedFile.of(path) for path in found}
            write_json(new / ENTRY, Entry(outputs=tuple(sorted(outputs)), files=files).model_dump(mode="json"))
        os.utime(folder)
        self._prune(folder.parent)

    def _prune(self, stage_folder: Path) -> None:
        entries = [path for path in stage_folder.iterdir() if not path.name.startswith(".")]
        entries.sort(key=lambda path: path.stat().st_mtime_ns, reverse=True)
        for old in entries[self._keep :]:
            shutil.rmtree(old, ignore_errors=True)
        for left_over in stage_folder.glob(".*"):  # of a run that was killed while it wrote
            if left_over.stat().st_mtime < time.time() - 60:
                shutil.rmtree(left_over, ignore_errors=True)


def _read(folder: Path) -> Entry | None:
    try:
        return Entry.model_validate_json((folder / ENTRY).read_bytes())
    except (OSError, ValidationError):
        return None


def _whole(folder: Path, entry: Entry) -> bool:
    try:
        return all(CachedFile.of(folder / name) == known for name, known in entry.files.items())
    except OSError:
        return False


def _place(source: Path, target: Path) -> None:
    if source.is_dir():
        with new_folder(target) as new:
            _link_tree(source, new)
    else:
        target.unlink(missing_ok=True)
        link_or_copy(source, target)


def _link_tree(source: Path, target: Path) -> None:
    if not source.is_dir():
        link_or_copy(source, target)
        return
    target.mkdir(exist_ok=True)
    for path in sorted(source.rglob("*")):
        if path.is_file():
            link_or_copy(path, target / path.relative_to(source))
