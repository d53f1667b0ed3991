"""Layers: folders turned into deterministic archives, made once and kept by the hash of what goes into them."""

from __future__ import annotations

import ast
import fcntl
import hashlib
import json
import os
import shutil
import tarfile
import tempfile
import time
import zlib
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any, cast

CHUNK = 4 << 20  # compressed at a time; part of what an archive's digest depends on
LEVEL = 4  # a higher one takes twice the time for 3 % less
UNUSED_DAYS = 30
WORLD_WRITABLE = {"tmp": 0o1777}  # the only folder that everybody may write to


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
    code = [ast.dump(ast.parse(path.read_text())) for path in (Path(__file__), *sources)]
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

    def forget_unused(self) -> None:
        """Remove layers that no build has used for a month."""
        oldest = time.time() - UNUSED_DAYS * 86400
        for note in self.layers.glob("*.json"):
            if note.stat().st_mtime < oldest:
                note.with_suffix(".tar.gz").unlink(missing_ok=True)
                note.unlink()

    def _known(self, kind: str, key: str) -> Layer | None:
        note, archive = self._files(kind, key)
        if not (note.exists() and archive.exists()):
            return None
        os.utime(note)
        said = json.loads(note.read_text())
        parts = tuple(Part(**{**part, "licences": tuple(part["licences"])}) for part in said.pop("parts"))
        return Layer(**said, parts=parts, path=archive)

    def _build(self, kind: str, key: str, fill: Fill) -> Layer:
        note, archive = self._files(kind, key)
        with self.scratch() as folder:
            tree, part = folder / "tree", folder / "layer.tar.gz"
            tree.mkdir()
            parts = fill(tree)
            with part.open("wb") as file:
                summed = pack(tree, file)
            layer = Layer(kind, key, **summed, parts=parts, path=archive)
            part.rename(archive)
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


def pack(tree: Path, file: IO[bytes]) -> dict[str, Any]:
    """Write `tree` as an archive that is the same for the same names, contents and executable bits."""
    with Squeezer(file) as squeezer:
        written = cast("IO[bytes]", squeezer)  # of a file, an archive that is streamed only uses `write`
        with tarfile.open(fileobj=written, mode="w|", format=tarfile.PAX_FORMAT) as archive:
            for path in sorted(tree.rglob("*"), key=lambda path: path.relative_to(tree).parts):
                _add(archive, path, path.relative_to(tree).as_posix())
    return squeezer.sums()


def _add(archive: tarfile.TarFile, path: Path, name: str) -> None:
    member = _member(path, name)
    if member.isreg():
        with path.open("rb") as content:
            archive.addfile(member, content)
    else:
        archive.addfile(member)


def _member(path: Path, name: str) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    status = path.lstat()
    if path.is_symlink():
        member.type, member.linkname, member.mode = tarfile.SYMTYPE, str(path.readlink()), 0o777
    elif path.is_dir():
        member.type, member.mode = tarfile.DIRTYPE, WORLD_WRITABLE.get(name, 0o755)
    else:
        member.size, member.mode = status.st_size, 0o755 if status.st_mode & 0o100 else 0o644
    return member


class Squeezer:
    """A file that is written as gzip members of one size each, compressed side by side, and summed on the way."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._pending = bytearray()
        self._jobs: deque[Future[bytes]] = deque()
        self._workers = os.cpu_count() or 1
        self._pool = ThreadPoolExecutor(self._workers)
        self._plain, self._squeezed = hashlib.sha256(), hashlib.sha256()
        self._unpacked = self._size = 0

    def write(self, data: bytes) -> int:
        self._plain.update(data)
        self._unpacked += len(data)
        self._pending += data
        while len(self._pending) >= CHUNK:
            self._submit(bytes(self._pending[:CHUNK]))
            del self._pending[:CHUNK]
        return len(data)

    def sums(self) -> dict[str, Any]:
        """The fields of a Layer that only who wrote it knows."""
        return {
            "digest": f"sha256:{self._squeezed.hexdigest()}",
            "size": self._size,
            "diff_id": f"sha256:{self._plain.hexdigest()}",
            "unpacked": self._unpacked,
        }

    def __enter__(self) -> Squeezer:
        return self

    def __exit__(self, *error: object) -> None:
        if self._pending:
            self._submit(bytes(self._pending))
        while self._jobs:
            self._take()
        self._pool.shutdown()

    def _submit(self, chunk: bytes) -> None:
        self._jobs.append(self._pool.submit(_gzip, chunk))
        if len(self._jobs) > 2 * self._workers:
            self._take()

    def _take(self) -> None:
        data = self._jobs.popleft().result()
        self._squeezed.update(data)
        self._size += len(data)
        self._file.write(data)


def _gzip(chunk: bytes) -> bytes:
    squeeze = zlib.compressobj(LEVEL, zlib.DEFLATED, 31)  # 31: with gzip's header, whose time stays 0
    return squeeze.compress(chunk) + squeeze.flush()


def remove(path: Path) -> None:
    """Remove a file, a link or a folder; nothing happens when there is none."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
