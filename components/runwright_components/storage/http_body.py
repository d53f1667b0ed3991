"""The body of an HTTP answer, written to a file within bounds: bytes, room, pace, and what it unpacks to."""

from __future__ import annotations

import os
import shutil
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx

from runwright_components.contract.outcome import Reason, StageError

MAX_BYTES = 1 << 40
MAX_RATIO = 200  # of what a Content-Encoding unpacks to; text compresses 3 to 30 times
RATIO_COUNTS_FROM = 64 << 20  # bytes
SLOWEST = 1024  # bytes a second, over a span of ten time-outs
_PIECE = 1 << 18

OnBytes = Callable[[int, int | None], None]  # bytes of this chunk, bytes of the whole where known


def write_body(
    response: httpx.Response,
    target: Path,
    *,
    where: str,
    on_bytes: OnBytes,
    max_bytes: int,
    timeout: float,
    clock: Callable[[], float] = time.monotonic,
) -> None:
    """Stream the body to `target`. Raises StageError when it passes a bound."""
    total = length(response)
    if total is not None:
        _check_room(total, target, where, max_bytes)
    size, began, before = 0, clock(), 0
    with target.open("wb") as file:
        for chunk in _decoded(response, where):
            size += len(chunk)
            _check_limit(size, where, max_bytes)
            file.write(chunk)
            on_bytes(len(chunk), total)
            if (took := clock() - began) > 10 * timeout:
                _check_pace(size - before, took, where)
                began, before = clock(), size


def length(response: httpx.Response) -> int | None:
    """Bytes of the body, where the server tells them and they are those that will be written."""
    text = response.headers.get("content-length", "")
    return int(text) if text.isdecimal() and "content-encoding" not in response.headers else None


def _decoded(response: httpx.Response, where: str) -> Iterator[bytes]:
    """The body without its Content-Encoding, in pieces that are small whatever it unpacks to.

    None was asked for; gzip is given all the same by servers that keep their files so.
    """
    encoding = response.headers.get("content-encoding", "identity").strip().lower()
    if encoding == "identity":
        yield from response.iter_raw()  # as it comes: collected to pieces of one size, a trickle would not be seen
        return
    if encoding not in ("gzip", "x-gzip", "deflate"):
        raise StageError(
            Reason.DATA_UNREADABLE,
            f"the server answered in the encoding {encoding}, which was not asked for",
            where=where,
            cure="let the server give the file as it is",
        )
    packed = unpacked = 0
    unpack = _unpacker()
    try:
        for chunk in response.iter_raw():
            packed += len(chunk)
            while chunk:
                if unpack.eof:  # gzip files may be joined
                    unpack = _unpacker()
                piece = unpack.decompress(chunk, _PIECE)
                unpacked += len(piece)
                _check_ratio(packed, unpacked, where)
                yield piece
                chunk = unpack.unconsumed_tail or unpack.unused_data
        yield unpack.flush()
    except zlib.error as error:
        raise _broken(str(error), where) from error
    if not unpack.eof:
        raise _broken("it ends too early", where)


def _unpacker() -> zlib._Decompress:
    return zlib.decompressobj(wbits=zlib.MAX_WBITS | 32)  # finds gzip or zlib by itself


def _broken(said: str, where: str) -> StageError:
    return StageError(
        Reason.DATA_UNREADABLE,
        f"the content's encoding is broken: {said}",
        where=where,
        cure="try again; ask the owner of the server if it stays so",
    )


def _check_ratio(packed: int, unpacked: int, where: str) -> None:
    if unpacked > RATIO_COUNTS_FROM and unpacked > MAX_RATIO * packed:
        raise StageError(
            Reason.DATA_INVALID,
            f"{packed:,} bytes unpack to more than {unpacked:,}: a compression bomb",
            where=where,
            cure="let the server give the file without Content-Encoding",
        )


def _check_room(size: int, target: Path, where: str, max_bytes: int) -> None:
    _check_limit(size, where, max_bytes)
    free = shutil.disk_usage(target.parent).free
    if size > free:
        raise StageError(
            Reason.STORAGE_FULL,
            f"{size:,} bytes do not fit into the {free:,} that are free",
            where=os.fspath(target.parent),
            cure="free some space, or put the workspace on a larger disk with --workspace",
        )


def _check_limit(size: int, where: str, max_bytes: int) -> None:
    if size > max_bytes:
        raise StageError(
            Reason.DATA_INVALID,
            f"the content is larger than {max_bytes:,} bytes",
            where=where,
            cure="split the file, or put it into object storage",
        )


def _check_pace(size: int, seconds: float, where: str) -> None:
    if size < SLOWEST * seconds:
        raise StageError(
            Reason.SOURCE_UNAVAILABLE,
            f"only {size:,} bytes came within {seconds:.1f} s",
            where=where,
            cure="the server hardly answers; try again later, or copy the file to object storage",
        )
