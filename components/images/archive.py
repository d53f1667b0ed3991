"""Folders as archives: the same names, contents and executable bits give the same bytes."""

from __future__ import annotations

import hashlib
import os
import tarfile
import zlib
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import IO, Any, cast

CHUNK = 4 << 20  # compressed at a time; part of what an archive's digest depends on
LEVEL = 4  # a higher one takes twice the time for 3 % less
WORLD_WRITABLE = {"tmp": 0o1777}  # the only folder that everybody may write to


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
