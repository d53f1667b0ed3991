"""What user code prints: handed on within bounds, and its end kept; gigabytes cost neither disk nor memory."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Protocol

from runwright_components.contract.progress import Progress

HEAD_BYTES = 256 * 1024
BYTES_PER_SECOND = 8 * 1024
TAIL_BYTES = 64 * 1024
NOTES = 20
NOTES_PER_SECOND = 1.0
LONGEST_NOTE = 400


class TextStream(Protocol):
    def write(self, text: str, /) -> object: ...

    def flush(self) -> object: ...


class Allowance:
    """A bucket of `most` that fills again by `per_second`."""

    def __init__(self, most: float, per_second: float, clock: Callable[[], float]) -> None:
        self._most = self._left = most
        self._per_second = per_second
        self._clock = clock
        self._at = clock()

    def has(self, amount: float) -> bool:
        """Whether so much is there now."""
        now = self._clock()
        self._left = min(self._most, self._left + (now - self._at) * self._per_second)
        self._at = now
        return amount <= self._left

    def take(self, amount: float) -> bool:
        """Whether so much is there; if so, it is taken."""
        enough = self.has(amount)
        if enough:
            self._left -= amount
        return enough


class Output:
    """Takes the bytes that a process prints, as they come.

    The first 256 KiB go to `stream`, and 8 KiB a second after that; what is too much is counted and left out. Lines
    become notes of the progress, one a second at most after the first few; with `notes` false they do not, where
    `stream` is what people read anyway. The last 64 KiB are kept.
    """

    def __init__(
        self,
        progress: Progress,
        *,
        notes: bool = True,
        stream: TextStream | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._progress = progress
        self._stream = stream or sys.stdout
        self._shown = Allowance(HEAD_BYTES, BYTES_PER_SECOND, clock)
        self._told = Allowance(NOTES if notes else 0, NOTES_PER_SECOND, clock)
        self._rest = b""  # of a line that has not ended
        self._tail = b""
        self.left_out = 0  # bytes

    def feed(self, chunk: bytes) -> None:
        self._tail = (self._tail + chunk)[-TAIL_BYTES:]
        if self._shown.take(len(chunk)):
            self._stream.write(chunk.decode(errors="replace"))
            self._stream.flush()
        else:
            self.left_out += len(chunk)
        self._tell(chunk)

    def _tell(self, chunk: bytes) -> None:
        """Make notes of the lines that end in the chunk; once the allowance is spent, they are not even looked at."""
        content = self._rest + chunk
        start = 0
        while (end := content.find(b"\n", start)) >= 0 and self._told.has(1):
            text = _visible(content[start:end])
            if text and self._told.take(1):
                self._progress.note(text)
            start = end + 1
        start = max(start, content.rfind(b"\n") + 1)
        self._rest = content[start:][-LONGEST_NOTE:]

    def close(self) -> None:
        """The output has ended: show the end of it where something was left out."""
        if self.left_out:
            self._stream.write(f"\n... {self.left_out:,} bytes of output were left out; this is the end:\n")
            self._stream.write(self._tail[-HEAD_BYTES:].decode(errors="replace"))
            self._stream.flush()

    def last_lines(self, count: int) -> list[str]:
        """The last lines that are not empty."""
        lines = [text for line in self._tail.split(b"\n") if (text := _visible(line))]
        return lines[-count:]


def _visible(line: bytes) -> str:
    """The line as a terminal shows it in the end: a progress bar writes itself again and again after a return."""
    text = line.decode(errors="replace").rstrip("\r").rpartition("\r")[2]
    return "".join(one for one in text if one.isprintable() or one == "\t")[:LONGEST_NOTE].rstrip()
