"""Compressed files: known by their first bytes, read within limits."""

from __future__ import annotations

import bz2
import gzip
import lzma
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Protocol, cast

from runwright_components.collect import limits
from runwright_components.collect.files import SourceFile
from runwright_components.contract.outcome import Reason, StageError

CHUNK = 1 << 20
_XZ_MEMORY = 256 << 20  # bytes; `xz -9` makes files that need 65 MiB


class Reader(Protocol):
    """What is left of a file object for those who only read."""

    def read(self, size: int, /) -> bytes: ...


class Expansion:
    """What comes out of the compressed files of one source, counted over all of them."""

    def __init__(self, files: Sequence[SourceFile]) -> None:
        self._packed = sum(file.path.stat().st_size for file in files)
        self._out = 0

    def add(self, size: int, where: str) -> None:
        """Count `size` bytes more. Raises StageError beyond a limit: of the total, or of the ratio."""
        self._out += size
        if self._out > limits.MAX_EXPANDED:
            raise _bomb(f"more than {limits.MAX_EXPANDED:,} bytes come out of the compressed files", where)
        if self._out > max(limits.RATIO_FROM, limits.MAX_RATIO * self._packed):
            raise _bomb(f"more than {limits.MAX_RATIO:,} times as many bytes come out as go in", where)


def _bomb(message: str, where: str) -> StageError:
    return StageError(
        Reason.DATA_INVALID,
        message,
        where=where,
        cure="if the file can be trusted, decompress it before, or write Parquet",
    )


def compression(path: Path) -> str | None:
    """gzip, zstd, bz2 or xz, by the first bytes."""
    with path.open("rb") as file:
        head = file.read(10)
    if head[:3] == b"BZh" and head[4:] not in (b"1AY&SY", b"\x17\x72\x45\x38\x50\x90"):
        return None  # text that begins so
    return next((name for name, (magic, _) in _KINDS.items() if head.startswith(magic)), None)


@contextmanager
def decompressed(path: Path, kind: str, where: str) -> Iterator[Reader]:
    """The content of a file compressed by `kind`. Raises StageError where it is cut or corrupt."""
    try:
        with _KINDS[kind][1](path) as file:
            yield file
    except (EOFError, zlib.error, lzma.LZMAError, OSError, ValueError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise  # of the disk
        raise StageError(
            Reason.DATA_UNREADABLE,
            f"not a whole {kind} file: {str(error).splitlines()[0]}",
            where=where,
            cure="the file is truncated or corrupt; copy it again",
        ) from error


@contextmanager
def content_now(file: SourceFile) -> Iterator[Reader]:
    """What the file holds now, uncompressed, even if it grows while it is read."""
    kind = compression(file.path)
    if kind is not None:
        with decompressed(file.path, kind, file.display) as reader:
            yield reader
    else:
        with file.path.open("rb") as opened:
            yield _Prefix(opened, file.path.stat().st_size)


class _Prefix:
    """The first `left` bytes of what a reader gives."""

    def __init__(self, reader: Reader, left: int) -> None:
        self._reader, self._left = reader, left

    def read(self, size: int, /) -> bytes:
        chunk = self._reader.read(min(size, self._left))
        self._left -= len(chunk)
        return chunk


def uncompressed(file: SourceFile, scratch: Callable[[], Path], budget: Expansion) -> Path:
    """The file itself, or the content of a compressed one in a `scratch` path."""
    kind = compression(file.path)
    if kind is None:
        return file.path
    target = scratch()
    with decompressed(file.path, kind, file.display) as source, target.open("wb") as out:
        while chunk := source.read(CHUNK):
            budget.add(len(chunk), file.display)
            out.write(chunk)
    return target


# ---------------------------------------------------------------- the kinds


class _Xz:
    """Reads .xz in bounded memory: the file says itself how much it needs, and lzma.open would believe it."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("rb")
        self._stream = self._new()

    def __enter__(self) -> _Xz:
        return self

    def __exit__(self, *_error: object) -> None:
        self._file.close()

    def read(self, size: int, /) -> bytes:
        while True:
            given = b""
            if self._stream.eof:  # several streams may follow each other, with padding between them
                given = self._stream.unused_data.lstrip(b"\0") or self._file.read(CHUNK).lstrip(b"\0")
                if not given:
                    return b""
                self._stream = self._new()
            elif self._stream.needs_input and not (given := self._file.read(CHUNK)):
                raise EOFError("it ends too early")
            if out := self._stream.decompress(given, size):
                return out

    @staticmethod
    def _new() -> lzma.LZMADecompressor:
        return lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_XZ_MEMORY)


def _zstd(path: Path) -> AbstractContextManager[Reader]:
    """By pyarrow, which notices a cut frame."""
    import pyarrow as pa

    return cast("AbstractContextManager[Reader]", pa.CompressedInputStream(pa.OSFile(str(path)), "zstd"))


_KINDS: dict[str, tuple[bytes, Callable[[Path], AbstractContextManager[Reader]]]] = {
    "gzip": (b"\x1f\x8b", lambda path: cast("AbstractContextManager[Reader]", gzip.GzipFile(path))),
    "zstd": (b"\x28\xb5\x2f\xfd", _zstd),
    "bz2": (b"BZh", bz2.BZ2File),
    "xz": (b"\xfd7zXZ\x00", _Xz),
}
