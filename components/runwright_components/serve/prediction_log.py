"""What was asked and answered, kept as rows for later training; off unless a place is given.

A request only leaves its bytes in a queue that holds so many of them and no more: what does not fit is dropped and
counted, and no request waits. A thread cuts them into rows and writes those as JSON lines, a file every few seconds.

    {"id": ..., "row": 0, "time": "2026-01-31T12:00:00.000Z", "model": "sha256:...", "input": {...}, "output": {...}}

`input` is the row as it was sent. `id` is the request's own id, followed by `#ROW` where a request has several rows.
"""

from __future__ import annotations

import logging
import os
import random
import threading
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

import orjson

from runwright_components.contract.artifacts import Signature
from runwright_components.contract.files import write_bytes
from runwright_components.contract.outcome import Reason, StageError
from runwright_components.serve import protocol

PLACE_ENV = "RUNWRIGHT_LOG_PREDICTIONS"
SHARE_ENV = "RUNWRIGHT_LOG_SHARE"
WITHOUT_ENV = "RUNWRIGHT_LOG_WITHOUT"
_SECONDS = 5.0  # between two files
_FILE_BYTES = 16 << 20  # of requests and answers; then a file is written at once
_QUEUE_BYTES = 64 << 20  # likewise; beyond it requests are dropped
_TRIES = 3  # to write a file; then its rows are dropped

log = logging.getLogger("runwright.serve")


@dataclass(frozen=True)
class LogOptions:
    """Where predictions are logged: a folder or `s3://BUCKET/PREFIX`; which share of the requests; and which fields
    are left out of the inputs."""

    place: str
    share: float = 1.0
    without: tuple[str, ...] = ()

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> LogOptions | None:
        """What the environment asks for; None when it names no place. Raises StageError."""
        place = environment.get(PLACE_ENV, "")
        without = tuple(name.strip() for name in environment.get(WITHOUT_ENV, "").split(",") if name.strip())
        try:
            share = float(environment.get(SHARE_ENV) or 1.0)
        except ValueError:
            share = -1.0
        return cls(place, share, without).checked() if place else None

    def checked(self) -> LogOptions:
        """The same. Raises StageError (InvalidConfig) for a share that is none."""
        if not 0 < self.share <= 1:
            raise StageError(
                Reason.INVALID_CONFIG,
                "the share of predictions that are logged is not above 0 and at most 1",
                where=SHARE_ENV,
                cure="give a share such as 0.1, or no place to log none",
            )
        return self


class Counts(Protocol):
    """Who is told how many requests were logged and how many dropped."""

    def logged(self, requests: int) -> None: ...

    def dropped(self, requests: int) -> None: ...


@dataclass(frozen=True, slots=True)
class _Asked:
    id: str
    moment: float
    protocol: str
    request: bytes
    answer: bytes
    model: str
    signature: Signature

    @property
    def size(self) -> int:
        return len(self.request) + len(self.answer)


class PredictionLog:
    """Logs until `close`. Raises StageError when the place cannot be one."""

    def __init__(self, options: LogOptions, counts: Counts, *, seconds: float = _SECONDS) -> None:
        self._options, self._counts, self._seconds = options, counts, seconds
        self._write = _writer(options.place)
        self._chance = random.Random()  # noqa: S311 (which requests are logged is no secret)
        self._queue: deque[_Asked] = deque()
        self._bytes = 0
        self._lock = threading.Lock()
        self._wake, self._ended = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._loop, name="prediction-log", daemon=True)
        self._thread.start()

    def offer(
        self,
        id: str,
        kind: str,
        request: bytes,
        answer: bytes,
        *,
        model: str,
        signature: Signature,
    ) -> None:
        """Take a request that was answered, if chance and room allow. Never waits for the place."""
        if self._options.share < 1 and self._chance.random() >= self._options.share:
            return
        asked = _Asked(id, time.time(), kind, request, answer, model, signature)
        with self._lock:
            fits = self._bytes + asked.size <= _QUEUE_BYTES
            if fits:
                self._queue.append(asked)
                self._bytes += asked.size
            full = self._bytes >= _FILE_BYTES
        if not fits:
            self._counts.dropped(1)
        if full:
            self._wake.set()

    def close(self, patience: float = 20.0) -> None:
        """Write what is left, for at most `patience` seconds."""
        self._ended.set()
        self._wake.set()
        self._thread.join(patience)

    def _loop(self) -> None:
        while True:
            self._wake.wait(self._seconds)
            self._wake.clear()
            ended = self._ended.is_set()
            while batch := self._take():
                self._keep(batch)
            if ended:
                return

    def _take(self) -> list[_Asked]:
        """The oldest requests, of about one file. They count as queued until they are written."""
        batch, size = [], 0
        with self._lock:
            while self._queue and size < _FILE_BYTES:
                batch.append(self._queue.popleft())
                size += batch[-1].size
        return batch

    def _keep(self, batch: Sequence[_Asked]) -> None:
        try:
            lines = b"".join(orjson.dumps(line) + b"\n" for asked in batch for line in _lines(asked, self._options))
            self._write_patiently(lines)
            self._counts.logged(len(batch))
        except Exception as error:  # noqa: BLE001 (whatever it is, the server goes on)
            log.warning("%s logged predictions were dropped: %s", len(batch), error)
            self._counts.dropped(len(batch))
        finally:
            with self._lock:
                self._bytes -= sum(asked.size for asked in batch)

    def _write_patiently(self, lines: bytes) -> None:
        now = datetime.now(UTC)
        name = f"{now:%Y-%m-%d}/{now:%Y%m%dT%H%M%S.%fZ}-{os.urandom(4).hex()}.jsonl"
        for number in range(_TRIES):
            try:
                self._write(name, lines)
            except (StageError, OSError):
                if number == _TRIES - 1 or self._ended.wait(2.0**number):
                    raise
            else:
                return


class _Write(Protocol):
    def __call__(self, name: str, content: bytes, /) -> object: ...


def _writer(place: str) -> _Write:
    scheme, mark, _ = place.partition("://")
    if not mark:
        folder = Path(place)
        try:
            write_bytes(folder / ".runwright", b"")  # now, and not at the first prediction
        except OSError as error:
            raise StageError(
                Reason.INVALID_CONFIG,
                f"predictions cannot be logged there: {error.strerror}",
                where=place,
                cure="give a folder that this user may write to, or s3://BUCKET/PREFIX",
            ) from error
        return lambda name, content: write_bytes(folder / name, content)
    if scheme != "s3":
        raise StageError(
            Reason.INVALID_CONFIG,
            f"{scheme}:// is no place that predictions are logged to",
            where=PLACE_ENV,
            cure="give a folder, or s3://BUCKET/PREFIX",
        )
    from runwright_components.storage.addresses import S3Address
    from runwright_components.storage.s3 import Bucket

    address = S3Address.parse(place)
    bucket, prefix = Bucket(address.bucket, endpoint=None, region=None), address.key.strip("/")
    return lambda name, content: bucket.write(f"{prefix}/{name}" if prefix else name, content)


def _lines(asked: _Asked, options: LogOptions) -> Iterator[dict[str, Any]]:
    request, answer = orjson.loads(asked.request), orjson.loads(asked.answer)
    if asked.protocol == "v1":
        name, inputs, outputs = asked.id, request["instances"], answer["predictions"]
    else:
        name, inputs, outputs = answer["id"], _rows(request, asked.signature), _answers(answer["outputs"])
    moment = datetime.fromtimestamp(asked.moment, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    for number, (given, found) in enumerate(zip(inputs, outputs, strict=True)):
        yield {
            "id": name if len(inputs) == 1 else f"{name}#{number}",
            "row": number,
            "time": moment,
            "model": asked.model,
            "input": {key: value for key, value in given.items() if key not in options.without},
            "output": found,
        }


def _rows(request: Any, signature: Signature) -> list[dict[str, object]]:
    """The rows of a V2 request, whose tensors are columns."""
    columns = protocol.columns(request, signature)
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def _answers(tensors: Sequence[Mapping[str, Any]]) -> list[dict[str, object]]:
    """The rows of a V2 answer: of a tensor of several dimensions a list each."""
    columns: dict[str, list[object]] = {}
    for tensor in tensors:
        rows, *rest = tensor["shape"]
        data, width = tensor["data"], len(tensor["data"]) // max(1, rows)
        columns[tensor["name"]] = [data[row * width : (row + 1) * width] for row in range(rows)] if rest else data
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
