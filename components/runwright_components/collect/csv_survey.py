"""Is every record of a CSV file as wide as the header? Polars refuses long records but fills short ones with nulls in
silence, so the file's bytes are counted beside it: cheap totals first, the exact place only when they disagree.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from runwright_components.collect import limits

CHUNK_BYTES = 1 << 20
_LF, _CR = ord("\n"), ord("\r")
_STEPS = tuple(np.uint64(1 << power) for power in range(6))
_LAST = np.uint64(63)

_Bytes = NDArray[np.uint8]
_Bits = NDArray[np.uint64]


@dataclass(frozen=True, slots=True)
class Survey:
    """Counts over one file. `delimiters` and `records` are those outside quotes; a record ends with a line feed."""

    digest: str  # sha256:HEX of the bytes
    size: int
    records: int
    delimiters: int
    nul: bool
    open_quote: bool
    long_at: int | None  # byte at which a record of more than limits.MAX_RECORD bytes begins

    def even(self, columns: int) -> bool:
        """Whether no record can be short, given that none is longer than `columns`."""
        return self.delimiters == self.records * (columns - 1) and not self.open_quote and not self.nul


@dataclass(frozen=True, slots=True)
class Ragged:
    """A record of the wrong width: the line where it starts, and its number of fields (0: a quote is never closed)."""

    line: int
    fields: int


def survey(
    path: Path, delimiter: str, quote: str | None, *, on_bytes: Callable[[int], None], chunk_bytes: int = CHUNK_BYTES
) -> Survey:
    """Digest and counts in one pass, about 0.8 GB/s; `on_bytes` gets the size of each chunk and may raise to stop.
    A record that is too long ends it."""
    digest = hashlib.sha256()
    size = records = delimiters = 0
    nul = False
    last = _LF
    inside = False
    mark = ord(delimiter)
    run, long_at = 0, None  # bytes of chunks without an end of a record
    ended: tuple[_Bytes, _Bits | None] = (
        np.empty(0, np.uint8),
        None,
    )  # the last chunk with such an end, and what of it lies outside quotes
    with path.open("rb", buffering=0) as file:
        for chunk in iter(lambda: file.read(chunk_bytes), b""):
            digest.update(chunk)
            nul = nul or b"\0" in chunk
            array = np.frombuffer(chunk, np.uint8)
            outside, inside = _outside_quotes(array, quote, inside)
            delimiters += _count(array == mark, outside)
            ends = _count(array == _LF, outside)
            records += ends
            size += len(chunk)
            run = 0 if ends else run + len(chunk)
            ended = (array, outside) if ends else ended
            last = chunk[-1]
            on_bytes(len(chunk))
            if run > limits.MAX_RECORD:
                long_at = size - run - _after_last_end(*ended)
                break
    unfinished = last != _LF
    return Survey("sha256:" + digest.hexdigest(), size, records + unfinished, delimiters, nul, inside, long_at)


def first_ragged(
    path: Path, delimiter: str, quote: str | None, columns: int, *, chunk_bytes: int = CHUNK_BYTES
) -> Ragged | None:
    """The first record that has not `columns` fields; blank lines pass."""
    mark = ord(delimiter)
    line, start_line = 1, 1  # physical lines, from 1
    fields, length = 0, 0  # delimiters and bytes of the record so far
    inside = False
    for chunk in _chunks(path, chunk_bytes):
        array = np.frombuffer(chunk, np.uint8)
        bits, inside = _outside_quotes(array, quote, inside)
        feeds = array == _LF
        ends = np.flatnonzero(_outside(feeds, bits))
        marks = np.cumsum(_outside(array == mark, bits), dtype=np.int64)
        before = np.concatenate(([0], marks[ends]))
        widths = np.diff(before)
        lengths = np.diff(np.concatenate(([-1], ends))) - 1
        if len(ends):
            widths[0] += fields
            lengths[0] += length
            blank = (lengths == 0) | ((lengths == 1) & (array[ends - 1] == _CR))
            bad = np.flatnonzero((widths != columns - 1) & ~blank)
            if len(bad):
                index = int(bad[0])
                if index:
                    start_line = line + int(np.count_nonzero(feeds[: ends[index - 1] + 1]))
                return Ragged(start_line, int(widths[index]) + 1)
            start_line = line + int(np.count_nonzero(feeds[: ends[-1] + 1]))
            fields = length = 0
        fields += int(marks[-1] - before[-1])
        length += len(array) - (int(ends[-1]) + 1 if len(ends) else 0)
        line += int(np.count_nonzero(feeds))
    if inside:
        return Ragged(start_line, 0)
    if length and fields != columns - 1:
        return Ragged(start_line, fields + 1)
    return None


def count_feeds(path: Path, before: int) -> int:
    """Line feeds in the first `before` bytes."""
    count = 0
    for chunk in _chunks(path, CHUNK_BYTES):
        count += chunk.count(b"\n", 0, max(before, 0))
        before -= len(chunk)
        if before <= 0:
            break
    return count


def _chunks(path: Path, size: int) -> Iterator[bytes]:
    with path.open("rb", buffering=0) as file:
        yield from iter(lambda: file.read(size), b"")


def _count(hits: NDArray[np.bool_], outside: _Bits | None) -> int:
    if outside is None:
        return int(np.count_nonzero(hits))
    return int(np.bitwise_count(_bits(hits) & outside).sum())


def _after_last_end(array: _Bytes, outside: _Bits | None) -> int:
    """Bytes of a chunk that belong to a record which does not end in it."""
    ends = np.flatnonzero(_outside(array == _LF, outside))
    return len(array) - 1 - int(ends[-1]) if len(ends) else len(array)


def _outside(hits: NDArray[np.bool_], bits: _Bits | None) -> NDArray[np.bool_]:
    if bits is None:
        return hits
    return hits & (np.unpackbits(bits.view(np.uint8), count=len(hits), bitorder="little") > 0)


def _bits(hits: NDArray[np.bool_]) -> _Bits:
    """A bit a byte, the first in the lowest, in words of 64; zeros at the end."""
    packed = np.zeros(-(-len(hits) // 64), np.uint64)
    eighths = np.packbits(hits, bitorder="little")
    packed.view(np.uint8)[: len(eighths)] = eighths
    return packed


def _outside_quotes(array: _Bytes, quote: str | None, inside: bool) -> tuple[_Bits | None, bool]:
    """Which bytes lie outside quotes, in bits (None: all), and whether the chunk ends inside. A doubled quote toggles
    twice. The parity of the quotes before a byte is a running exclusive or, within words by doubling steps (Langdale
    and Lemire 2019, "Parsing gigabytes of JSON per second")."""
    if quote is None:
        return None, False
    quotes = array == ord(quote)
    if not quotes.any():
        return (np.zeros(-(-len(array) // 64), np.uint64), True) if inside else (None, False)
    parity = _bits(quotes)
    for step in _STEPS:
        parity ^= parity << step
    ends = np.bitwise_xor.accumulate(parity >> _LAST)  # whether each word ends inside, begun outside
    ends_inside = bool(ends[-1]) != inside
    begins = np.concatenate(([np.uint64(inside)], ends[:-1] ^ np.uint64(inside)))
    parity ^= np.negative(begins)  # all ones where the word begins inside
    return ~parity, ends_inside
