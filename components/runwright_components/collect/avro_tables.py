"""Avro container files, block by block (Apache Avro specification 1.11, "Object Container Files").

Polars decodes Avro, but all of a file at once; so the file is cut between its blocks, whose compression is undone here
within limits.
"""

from __future__ import annotations

import bz2
import lzma
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

import polars as pl

from runwright_components.collect import limits
from runwright_components.collect.compressed import Expansion
from runwright_components.contract.outcome import Reason, StageError

_MAGIC = b"Obj\x01"
_SYNC = 16
_PART = 64 << 20  # bytes of blocks decoded at once


def scan_avro(path: Path, *, display: str, scratch: Callable[[], Path], budget: Expansion) -> pl.LazyFrame:
    """A lazy frame over the records. Raises StageError with the byte where the file is cut or corrupt."""
    with path.open("rb") as file:
        container = _Container.open(file, display, budget)
        parts = [_decode(container.with_blocks(part), scratch(), display) for part in _parts(container)]
    return pl.scan_parquet(parts, glob=False)


def _parts(container: _Container) -> Iterator[bytes]:
    """The blocks in parts of some size; an empty part of a file without any, for its schema."""
    held, size, any_part = [], 0, False
    for block in container.blocks():
        held.append(block)
        size += len(block)
        if size >= _PART:
            yield b"".join(held)
            held, size, any_part = [], 0, True
    if held or not any_part:
        yield b"".join(held)


def _decode(content: bytes, target: Path, display: str) -> Path:
    try:
        pl.read_avro(BytesIO(content)).write_parquet(target, statistics=False)
    except pl.exceptions.PolarsError as error:
        raise StageError(
            Reason.DATA_UNREADABLE,
            f"the Avro schema or its records cannot be read: {str(error).splitlines()[0]}",
            where=display,
            cure="write Parquet; unions of several types and recursive records have no columns",
        ) from error
    return target


@dataclass(frozen=True, slots=True)
class _Container:
    """An open file whose header was read."""

    file: BinaryIO
    display: str
    budget: Expansion
    schema: bytes
    codec: str
    sync: bytes

    @classmethod
    def open(cls, file: BinaryIO, display: str, budget: Expansion) -> _Container:
        reader = _Bytes(file, display)
        if reader.take(4) != _MAGIC:
            raise reader.error("it does not begin as an Avro file does")
        header: dict[bytes, bytes] = {}
        while count := reader.number():
            if count < 0:
                reader.number()  # the size of the entries, for those who skip them
            for _ in range(abs(count)):
                name = reader.take(reader.number())
                header[name] = reader.take(reader.number())
        codec = header.get(b"avro.codec", b"null").decode("utf-8", "replace")
        if codec not in _CODECS:
            raise StageError(
                Reason.DATA_UNREADABLE,
                f"the codec {codec} is not known",
                where=display,
                cure=f"write the file with one of {', '.join(_CODECS)}",
            )
        return cls(file, display, budget, header.get(b"avro.schema", b""), codec, reader.take(_SYNC))

    def with_blocks(self, blocks: bytes) -> bytes:
        """A container of the same schema that is not compressed."""
        header = b"".join(_sized(part) for part in (b"avro.schema", self.schema, b"avro.codec", b"null"))
        return _MAGIC + _number(2) + header + _number(0) + self.sync + blocks

    def blocks(self) -> Iterator[bytes]:
        """The blocks, each uncompressed."""
        reader = _Bytes(self.file, self.display)
        while not reader.at_end():
            count = reader.number()
            packed = reader.take(reader.number())
            try:
                content = _CODECS[self.codec](packed)
            except (zlib.error, lzma.LZMAError, OSError, EOFError, ValueError) as error:
                raise reader.error(f"a block is not {self.codec}: {error}") from error
            if len(content) > limits.MAX_RECORD:
                raise reader.error(f"a block holds more than {limits.MAX_RECORD:,} bytes", cure="write smaller blocks")
            self.budget.add(len(content), self.display)
            if reader.take(_SYNC) != self.sync:
                raise reader.error("the mark after a block is not the file's")
            yield _number(count) + _sized(content) + self.sync


class _Bytes:
    """Numbers and bytes of an Avro file, with their place."""

    def __init__(self, file: BinaryIO, display: str) -> None:
        self._file, self._display = file, display

    def at_end(self) -> bool:
        ended = not self._file.read(1)
        if not ended:
            self._file.seek(-1, 1)
        return ended

    def take(self, size: int) -> bytes:
        if not 0 <= size <= limits.MAX_RECORD:
            raise self.error(f"a length of {size:,} bytes")
        taken = self._file.read(size)
        if len(taken) < size:
            raise self.error("it ends too early")
        return taken

    def number(self) -> int:
        """A long: zigzag, seven bits a byte."""
        value = shift = 0
        while shift < 70:
            byte = self.take(1)[0]
            value |= (byte & 0x7F) << shift
            if not byte & 0x80:
                return (value >> 1) ^ -(value & 1)
            shift += 7
        raise self.error("a number of more than 64 bits")

    def error(self, message: str, *, cure: str = "the file is truncated or corrupt; copy it again") -> StageError:
        where = f"{self._display}, byte {self._file.tell():,}"
        return StageError(Reason.DATA_UNREADABLE, f"not a whole Avro file: {message}", where=where, cure=cure)


def _number(value: int) -> bytes:
    rest = (value << 1) ^ (value >> 63)
    out = bytearray()
    while rest > 0x7F:
        out.append(rest & 0x7F | 0x80)
        rest >>= 7
    return bytes([*out, rest])


def _sized(content: bytes) -> bytes:
    return _number(len(content)) + content


# ---------------------------------------------------------------- codecs: at most one byte above the limit comes out


def _inflate(packed: bytes) -> bytes:
    return zlib.decompressobj(-zlib.MAX_WBITS).decompress(packed, limits.MAX_RECORD + 1)


def _snappy(packed: bytes) -> bytes:
    import pyarrow as pa

    size = shift = 0
    for byte in packed[:5]:
        size |= (byte & 0x7F) << shift
        shift += 7
        if not byte & 0x80:
            break
    if size > limits.MAX_RECORD:
        raise ValueError(f"{size:,} bytes are more than {limits.MAX_RECORD:,}")
    return bytes(pa.decompress(packed[:-4], decompressed_size=size, codec="snappy", asbytes=True))  # 4: a checksum


def _zstandard(packed: bytes) -> bytes:
    import pyarrow as pa

    return bytes(pa.CompressedInputStream(pa.BufferReader(packed), "zstd").read(limits.MAX_RECORD + 1))


_CODECS: dict[str, Callable[[bytes], bytes]] = {
    "null": lambda packed: packed,
    "deflate": _inflate,
    "bzip2": lambda packed: bz2.BZ2Decompressor().decompress(packed, limits.MAX_RECORD + 1),
    "xz": lambda packed: lzma.LZMADecompressor(memlimit=limits.MAX_RECORD).decompress(packed, limits.MAX_RECORD + 1),
    "snappy": _snappy,
    "zstandard": _zstandard,
}
