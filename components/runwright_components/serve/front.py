"""The short way for predictions: an ASGI application in front of KServe's.

KServe's own way costs about half a millisecond a request (timing middleware, FastAPI's routing, pydantic, traces of
four phases). This one reads the body, answers it by `RunwrightModel` and writes the answer; everything that is not
a JSON prediction (health, metadata, metrics, repository, binary tensors, CloudEvents) goes on to KServe.
"""

from __future__ import annotations

import asyncio
import difflib
import json
import logging
import os
import re
import time
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

import orjson
from kserve import ModelRepository

from runwright_components.serve.metrics import ServerMetrics
from runwright_components.serve.model import RunwrightModel
from runwright_components.serve.prediction_log import PredictionLog
from runwright_components.serve.request_error import RequestError

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

_PATH = re.compile(r"/v1/models/(?P<v1>[^/]+):predict|/v2/models/(?P<v2>[^/]+)(?:/versions/[^/]+)?/infer")
_FOREIGN = (b"inference-header-content-length", b"ce-specversion", b"ce-type")
_JSON = (b"content-type", b"application/json")
REQUEST_ID = b"x-request-id"
_LONGEST_ID = 128
_LONG_BODY = 64 * 1024  # bytes; beyond it, and for slow models, the answer is computed beside the event loop
_SLOW_ROW = 0.005  # seconds

access = logging.getLogger("runwright.access")
log = logging.getLogger("runwright.serve")


@dataclass
class Answer:
    """What goes back, and what is counted of it."""

    code: int
    body: bytes
    rows: int = 0
    id: bytes = b""  # of a logged V1 request, which has no place for it in the body


class BodyTooLargeError(Exception):
    """The request's body is beyond the limit."""


class PredictionFront:
    """Answers predictions of the repository's models; hands everything else to `behind`.

    `body_limit` in bytes holds for every request. With `access_log`, one JSON line a prediction goes to the logger
    `runwright.access`; with a `prediction_log`, what was asked and answered goes there.
    """

    def __init__(
        self,
        behind: App,
        models: ModelRepository,
        metrics: ServerMetrics,
        *,
        body_limit: int,
        access_log: bool = False,
        prediction_log: PredictionLog | None = None,
    ) -> None:
        self._behind = behind
        self._models = models
        self._metrics = metrics
        self._limit = body_limit
        self._access_log = access_log
        self._log = prediction_log
        self._paths: dict[str, tuple[str, str]] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "POST":
            await self._behind(scope, receive, send)
            return
        start = time.perf_counter()
        protocol, name = self._route(scope["path"])
        try:
            body = await _read(scope, receive, self._limit)
        except BodyTooLargeError:
            answer = _error(413, f"the body is larger than the {self._limit} bytes that this server takes at once")
        except ConnectionError:
            return
        else:
            if not protocol or any(key in _FOREIGN for key, _ in scope["headers"]):
                await self._behind(scope, _replay(body, receive), send)
                return
            answer = await self._answer(protocol, name, body)
            if self._log is not None and answer.code == 200:
                self._keep(self._log, protocol, name, scope, body, answer)
        await _write(send, answer)
        seconds = time.perf_counter() - start
        if protocol:
            self._metrics.answered(protocol, answer.code, seconds, answer.rows)
        if self._access_log:
            access.info(_line(scope, answer, seconds))

    def _route(self, path: str) -> tuple[str, str]:
        """Protocol and model name of a prediction's path; empty for other paths. Known paths are remembered."""
        if (known := self._paths.get(path)) is not None:
            return known
        match = _PATH.fullmatch(path)
        if match is None:
            return "", ""
        protocol = match.lastgroup or ""
        found = protocol, unquote(match.group(protocol))
        if self._models.get_model(found[1]) is not None:
            self._paths[path] = found
        return found

    async def _answer(self, protocol: str, name: str, body: bytes) -> Answer:
        model = self._models.get_model(name)
        if not isinstance(model, RunwrightModel):
            return _error(404, self._unknown(name))
        if not model.ready:
            return _error(503, f'the model "{name}" is not ready')
        work = model.answer_v1 if protocol == "v1" else model.answer_v2
        try:
            if len(body) > _LONG_BODY or model.row_seconds > _SLOW_ROW:
                content, rows = await asyncio.to_thread(work, body)
            else:
                content, rows = work(body)
        except RequestError as error:
            self._metrics.refused(error.kind)
            return _error(400, str(error))
        except Exception:  # whatever it is, the client gets an answer and the log the traceback
            log.exception("a prediction failed")
            return _error(500, "the server failed at this request; its log says why")
        return Answer(200, content, rows)

    def _keep(self, log: PredictionLog, protocol: str, name: str, scope: Scope, body: bytes, answer: Answer) -> None:
        """Log a request under its id: V2 has one in its body, of V1 it is the header x-request-id, or a new one."""
        model = self._models.get_model(name)
        if model is None or model.predictor is None:
            return
        predictor = model.predictor
        if protocol == "v1":
            given = next((value for key, value in scope["headers"] if key == REQUEST_ID), b"")
            answer.id = given[:_LONGEST_ID] or os.urandom(16).hex().encode()
        said = answer.id.decode("latin-1")
        log.offer(said, protocol, body, answer.body, model=predictor.model_digest, signature=predictor.signature)

    def _unknown(self, name: str) -> str:
        names = list(self._models.get_models())
        close = difflib.get_close_matches(name, names, 1)
        hint = f'did you mean "{close[0]}"?' if close else f"this server has {', '.join(names) or 'none'}"
        return f'there is no model "{name}" ({hint})'


async def _read(scope: Scope, receive: Receive, limit: int) -> bytes:
    """The request's body. Raises BodyTooLargeError as soon as it is known, ConnectionError when the client left."""
    for key, value in scope["headers"]:
        if key == b"content-length" and int(value) > limit:
            raise BodyTooLargeError
    message = await receive()
    body: bytes = message.get("body", b"")
    parts = [body]
    size = len(body)
    while message.get("more_body"):
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ConnectionError
        body = message.get("body", b"")
        size += len(body)
        if size > limit:
            raise BodyTooLargeError
        parts.append(body)
    return parts[0] if len(parts) == 1 else b"".join(parts)


def _replay(body: bytes, receive: Receive) -> Receive:
    """A `receive` that gives the body that was read, then what the connection says."""
    pending = [{"type": "http.request", "body": body, "more_body": False}]

    async def replayed() -> MutableMapping[str, Any]:
        return pending.pop() if pending else await receive()

    return replayed


async def _write(send: Send, answer: Answer) -> None:
    headers = [_JSON, (b"content-length", b"%d" % len(answer.body))]
    if answer.id:
        headers.append((REQUEST_ID, answer.id))
    await send({"type": "http.response.start", "status": answer.code, "headers": headers})
    await send({"type": "http.response.body", "body": answer.body})


def _error(code: int, message: str) -> Answer:
    return Answer(code, orjson.dumps({"error": message}))


def _line(scope: Scope, answer: Answer, seconds: float) -> str:
    return json.dumps(
        {
            "time": time.time(),
            "method": scope["method"],
            "path": scope["path"],
            "status": answer.code,
            "rows": answer.rows,
            "milliseconds": round(seconds * 1000, 3),
        }
    )
