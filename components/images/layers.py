"""Layers: folders turned into deterministic archives, made once and kept by the hash of what goes into them."""

from __future__ import annotations

import ast
import fcntl
import hashlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from images import archive

UNUSED_DAYS = 30


@dataclass(frozen=True)
class Part:
    """One package in a layer, for the bill of materials."""

    name: str
    version: str
    purl: str
    licences: tuple[str, ...] = ()
    about: str = ""


@dataclass(frozen=True)
class Layer:
    """One archive: `digest` and `size` of the compressed file, `diff_id` and `unpacked` of what is in it."""

    kind: str
    key: str
    digest: str
    size: int
    diff_id: str
    unpacked: int
    parts: tuple[Part, ...]
    path: Path


@dataclass(frozen=True)
class Made:
    """How a layer was come by."""

    layer: Layer
    built: bool
    seconds: float


Fill = Callable[[Path], tuple[Part, ...]]
"""Fills an empty folder with the files of a layer and says which packages they are of."""


def key_of(*sources: Path, **inputs: Any) -> str:
    """Name of a layer by everything that decides its content: `inputs`, and the code that builds it, whatever its
    comments and its layout."""
    code = [ast.dump(ast.parse(path.read_text())) for path in (Path(archive.__file__), *sources)]
    text = json.dumps({"inputs": inputs, "code": code}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


class Store:
    """Layers on this machine."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.layers = folder / "layers"
        self.layers.mkdir(parents=True, exist_ok=True)

    def layer(self, kind: str, key: str, fill: Fill) -> Made:
        """The layer of that key; built, by `fill`, when it is not there."""
        begun = time.monotonic()
        with alone(self.layers / f"{kind}-{key}"):
            known = self._known(kind, key)
            layer = known or self._build(kind, key, fill)
        return Made(layer, known is None, time.monotonic() - begun)

    @property
    def layouts(self) -> Path:
        """Folder of the images that were put together from layers."""
        return self.folder / "layouts"

    @property
    def trees(self) -> Path:
        """Folder of layers that were unpacked again."""
        return self.folder / "trees"

    def forget_unused(self) -> None:
        """Remove what no build has used for a month."""
        oldest = time.time() - UNUSED_DAYS * 86400
        for note in self.layers.glob("*.json"):
            if note.stat().st_mtime < oldest:
                note.with_suffix(".tar.gz").unlink(missing_ok=True)
                note.unlink()
        for path in (*self.layouts.glob("*"), *self.trees.glob("*")):
            if path.stat().st_mtime < oldest:
                remove(path)

    def _known(self, kind: str, key: str) -> Layer | None:
        note, kept = self._files(kind, key)
        if not (note.exists() and kept.exists()):
            return None
        os.utime(note)
        said = json.loads(note.read_text())
        parts = tuple(Part(**{**part, "licences": tuple(part["licences"])}) for part in said.pop("parts"))
        return Layer(**said, parts=parts, path=kept)

    def _build(self, kind: str, key: str, fill: Fill) -> Layer:
        note, kept = self._files(kind, key)
        with self.scratch() as folder:
            tree, part = folder / "tree", folder / "layer.tar.gz"
            tree.mkdir()
            parts = fill(tree)
            with part.open("wb") as file:
                summed = archive.pack(tree, file)
            layer = Layer(kind, key, **summed, parts=parts, path=kept)
            part.rename(kept)
        said = asdict(layer)
        del said["path"]
        written = note.with_suffix(".part")
        written.write_text(json.dumps(said))
        written.rename(note)
        return layer

    def _files(self, kind: str, key: str) -> tuple[Path, Path]:
        return self.layers / f"{kind}-{key}.json", self.layers / f"{kind}-{key}.tar.gz"

    @contextmanager
    def scratch(self) -> Iterator[Path]:
        """A folder on the store's disk that is gone afterwards."""
        with tempfile.TemporaryDirectory(dir=self.folder, prefix=".work-") as folder:
            yield Path(folder)


@contextmanager
def alone(target: Path) -> Iterator[None]:
    """Holds the lock of a target, which the kernel frees should its holder die."""
    with target.with_name(f".{target.name}.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def remove(path: Path) -> None:
    """Remove a file, a link or a folder; nothing happens when there is none."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
