"""Lines of several containers, in the order of their times; followed as pods come, restart and go."""

from __future__ import annotations

import heapq
import queue
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol

from runwright_cli.cluster.errors import AwayError, ClusterError
from runwright_cli.cluster.pods import Stream

POLL_SECONDS = 2.0
_NANOSECONDS = 9


class Logs(Protocol):
    """Where lines come from; `Cluster` is one."""

    def log(
        self, pod: str, container: str, *, follow: bool, previous: bool, tail: int | None, since: str | None = None
    ) -> Iterator[str]: ...


@dataclass(frozen=True)
class Line:
    """A line and where it comes from; of a note, `time` is empty."""

    stream: Stream
    time: str
    text: str


def parse(stream: Stream, raw: str) -> Line:
    """A line as the API server gives it with `timestamps`: the time, a blank, the text."""
    stamp, _, text = raw.partition(" ")
    return Line(stream, stamp, text) if stamp.endswith("Z") or "T" in stamp[:11] else Line(stream, "", raw)


def sortable(stamp: str) -> str:
    """A time whose text sorts as it does: RFC 3339 drops the zeros at the end of a fraction."""
    whole, _, fraction = stamp.removesuffix("Z").partition(".")
    return f"{whole}.{fraction:0<{_NANOSECONDS}}"


def read(logs: Logs, streams: Iterable[Stream], *, previous: bool, tail: int | None) -> Iterator[Line]:
    """What there is now, all containers merged by time. A log that cannot be read becomes a note."""
    parts = [_stream_lines(logs, stream, previous=previous, tail=tail) for stream in streams]
    yield from heapq.merge(*parts, key=lambda line: sortable(line.time))


def _stream_lines(logs: Logs, stream: Stream, *, previous: bool, tail: int | None) -> Iterator[Line]:
    if not stream.started:
        yield Line(stream, "", f"has not started: {stream.waiting or 'waiting'}")
        return
    if previous and stream.restarts == 0:
        return
    last = ""
    try:
        for raw in logs.log(stream.pod, stream.container, follow=False, previous=previous, tail=tail):
            line = parse(stream, raw)
            last = line.time or last
            yield Line(stream, line.time or last, line.text)
    except ClusterError as error:
        yield Line(stream, "", f"its log cannot be read: {error.message}")


class Follower:
    """Reads every container in a thread of its own, and starts again where a connection broke."""

    def __init__(self, logs: Logs, tail: int | None, sleep: Callable[[float], object] = time.sleep) -> None:
        self._logs, self._tail, self._sleep = logs, tail, sleep
        self._lines: queue.SimpleQueue[Line] = queue.SimpleQueue()
        self._reading: set[tuple[str, str, int]] = set()
        self._last: dict[tuple[str, str, int], str] = {}
        self._noted: set[tuple[str, str]] = set()

    def follow(self, find: Callable[[], Iterable[Stream]], over: Callable[[], bool]) -> Iterator[Line]:
        """Lines until nothing is read any more and `over` says that nothing will come."""
        away = False
        while True:
            try:
                found, done = list(find()), over()
                away = False
            except AwayError as error:
                if not away:
                    yield Line(_NOWHERE, "", f"{error.message}; trying again")
                found, done, away = [], False, True
            open_before = bool(self._reading)
            for stream in found:
                yield from self._take(stream)
            self._sleep(POLL_SECONDS)
            yield from self._drain()
            if done and not self._reading and not open_before:
                return

    def _take(self, stream: Stream) -> Iterator[Line]:
        if not stream.started:
            if (stream.uid, stream.waiting) not in self._noted:
                self._noted.add((stream.uid, stream.waiting))
                yield Line(stream, "", f"has not started: {stream.waiting or 'waiting'}")
            return
        if stream.key in self._reading or (stream.key in self._last and not stream.running):
            return
        self._reading.add(stream.key)
        threading.Thread(target=self._read, args=(stream,), daemon=True).start()

    def _read(self, stream: Stream) -> None:
        since = self._last.get(stream.key)
        self._last.setdefault(stream.key, "")
        tail = self._tail if not since else None
        try:
            for raw in self._logs.log(
                stream.pod, stream.container, follow=True, previous=False, tail=tail, since=since or None
            ):
                line = parse(stream, raw)
                if since and line.time and sortable(line.time) <= sortable(since):
                    continue  # sinceTime has seconds only
                self._last[stream.key] = line.time or self._last[stream.key]
                self._lines.put(line)
        except ClusterError as error:
            note = f"its log cannot be read: {error.message}"
            if (stream.uid, note) not in self._noted:
                self._noted.add((stream.uid, note))
                self._lines.put(Line(stream, "", note))
        finally:
            self._reading.discard(stream.key)

    def _drain(self) -> Iterator[Line]:
        while True:
            try:
                yield self._lines.get_nowait()
            except queue.Empty:
                return


_NOWHERE = Stream("", "", "", (), 0, running=False, started=False)
