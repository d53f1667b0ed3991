"""kopf watches, and nothing more: what it delivers is handed on, and it never writes.

Its other kinds of handlers keep their state in annotations and finalizers and lose events; ours is level-triggered.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Callable, Iterator
from typing import Any

import aiohttp
import kopf

from runwright_api import names
from runwright_operator.adapters.access import Access
from runwright_operator.resources import (
    CONFIG_MAP,
    EVERY_JOB,
    INFERENCE_SERVICE,
    POD,
    TRAINING_RUN,
    Resource,
)

CHILDREN = (*EVERY_JOB, INFERENCE_SERVICE, CONFIG_MAP, POD)
WATCHED = (TRAINING_RUN, *CHILDREN)
CHUNK = 500  # objects a page
LOGIN_PAUSES = (0.0, 1.0, 2.0, 5.0, 10.0)
WATCH_PAUSE = 1.0  # seconds between two beginnings of the watch of a kind
LOGIN_IS_CALM = 60.0  # seconds without a login, after which the pauses start anew

Deliver = Callable[[Resource, str | None, dict[str, Any]], None]


def label_selector(resource: Resource) -> str:
    """Which objects of a kind are of interest; the same for watching and for listing."""
    return names.LABEL_RUN if resource in CHILDREN else ""


def registry_of(deliver: Deliver, login: Callable[[], aiohttp.ClientSession], server: str) -> kopf.OperatorRegistry:
    """One handler a kind, each of which calls `deliver` with the event's type and object."""
    registry = kopf.OperatorRegistry()
    pauses = _LoginPauses()

    @kopf.on.login(registry=registry, id="login")
    async def _login(**_: Any) -> kopf.AiohttpSession:
        """A new session each time: kopf takes credentials that failed once, in an outage even, for bad for ever."""
        await asyncio.sleep(pauses.next())
        return kopf.AiohttpSession(server=server, aiohttp_session=login())

    for resource in WATCHED:
        _watch(registry, resource, deliver)
    return registry


def _watch(registry: kopf.OperatorRegistry, resource: Resource, deliver: Deliver) -> None:
    @kopf.on.event(
        registry=registry,
        group=resource.group,
        version=resource.version,
        plural=resource.plural,
        id=resource.plural,
    )
    async def _event(event: Any, **_: Any) -> None:
        deliver(resource, event["type"], event["object"])


def kopf_settings() -> kopf.OperatorSettings:
    """Settings under which a dead watch is noticed and nothing is ever written."""
    settings = kopf.OperatorSettings()
    settings.posting.enabled = False
    settings.peering.standalone = True
    settings.scanning.disabled = True  # we may not list CRDs; a kind that comes later is found by the relist
    settings.process.ultimate_exiting_timeout = None

    # The API server sends a bookmark a minute: 70 s of silence are a dead connection.
    settings.watching.inactivity_timeout = 70
    settings.watching.server_timeout = 300
    settings.watching.client_timeout = 330
    settings.watching.connect_timeout = 5
    settings.watching.reconnect_backoff = 1.0
    settings.watching.chunk_size = CHUNK
    for resource in CHILDREN:
        settings.watching.label_selectors[resource.group, resource.version, resource.plural] = label_selector(resource)

    settings.networking.request_timeout = 30
    settings.networking.connect_timeout = 5
    settings.networking.error_backoffs = _Endless()

    # A worker keeps its place for idle_timeout after its object's last event, so the limit bounds memory at a start
    # with many objects only as long as that is short. Zero would never let an event through before Python 3.12.
    settings.queueing.worker_limit = 128
    settings.queueing.idle_timeout = 0.02
    settings.queueing.exit_timeout = 0.5
    settings.queueing.error_delays = (1,)

    # kopf removes its finalizer where it has no handler for deletions, be it another operator's: give it a name of ours
    settings.persistence.finalizer = f"{names.GROUP}/never-set"
    settings.persistence.diffbase_storage = _NoDiffs()
    settings.persistence.progress_storage = _NoProgress()
    return settings


class _LoginPauses:
    """Seconds before the next login: none at first, more while logins follow each other."""

    def __init__(self) -> None:
        self._count = 0
        self._last = float("-inf")

    def next(self) -> float:
        now = time.monotonic()
        self._count = self._count + 1 if now - self._last < LOGIN_IS_CALM else 0
        self._last = now
        return LOGIN_PAUSES[min(self._count, len(LOGIN_PAUSES) - 1)]


class _Endless:
    """Pauses between attempts at a request. kopf gives up, and ends, when they run out: these never do."""

    def __iter__(self) -> Iterator[float]:
        return itertools.chain((0.5, 1.0, 2.0, 5.0), itertools.repeat(10.0))


class _NoDiffs(kopf.DiffBaseStorage):
    """kopf copies each object to tell what changed in it, which nobody asks."""

    def build(self, **_: Any) -> Any:
        return {}

    def fetch(self, **_: Any) -> None:
        return None

    def store(self, **_: Any) -> None:
        return None


class _NoProgress(kopf.ProgressStorage):
    """Nothing to remember between handlers."""

    def fetch(self, **_: Any) -> None:
        return None

    def store(self, **_: Any) -> None:
        return None

    def purge(self, **_: Any) -> None:
        return None

    def touch(self, **_: Any) -> None:
        return None

    def clear(self, *, essence: Any) -> Any:
        return essence


class Pace:
    """kopf opens a watch that broke anew without a pause, dozens of times a second; here each waits for its turn."""

    def __init__(self, seconds: float = WATCH_PAUSE) -> None:
        self._seconds = seconds
        self._next: dict[str, float] = {}

    async def __call__(self, request: aiohttp.ClientRequest, send: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
        if "watch" in request.url.query:
            path = request.url.path
            await asyncio.sleep(self._next.get(path, 0.0) - time.monotonic())
            self._next[path] = time.monotonic() + self._seconds
        return await send(request)


def session_for_watching(access: Access, pace: Pace) -> aiohttp.ClientSession:
    """A session that refuses to write: kopf has no reason to, and does not know of the lease."""
    return access.session(read_only=True, pace=pace)
