"""Runs kopf in a thread with an event loop of its own.

kopf ends, and cancels every task of its loop, at an error that it does not expect: a line cut short, an error inside a
stream, a kind that was removed. Here it ends alone and starts again, while reconciles go on.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import aiohttp
import kopf

from runwright_operator.adapters.access import Access
from runwright_operator.handlers import Pace, kopf_settings, registry_of, session_for_watching
from runwright_operator.resources import Resource

log = logging.getLogger(__name__)

FIRST_PAUSE = 0.5
LONGEST_PAUSE = 15.0
GOOD_RUN = 60.0  # seconds after which a watch that ends starts again at once
END_SECONDS = 3.0  # for the parts of a watch that failed
AT_ONCE = 256  # events that are taken in before other work gets its turn

Receive = Callable[[Resource, str | None, dict[str, Any]], None]


class Watch:
    """`receive` is called in the loop that called `start`, for each event; `on_start` there at each new beginning."""

    def __init__(
        self, access: Access, namespaces: tuple[str, ...], *, receive: Receive, on_start: Callable[[], None]
    ) -> None:
        self._access = access
        self._pace = Pace()
        self._namespaces = namespaces
        self._receive = receive
        self._on_start = on_start
        self._events: deque[tuple[Resource, str | None, dict[str, Any]]] = deque()
        self._scheduled = False
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._end: Callable[[], object] | None = None
        self._thread = threading.Thread(target=self._run, name="watch", daemon=True)
        self.began: float | None = None
        """When the watch that runs now began, by the monotonic clock; None while none runs."""

    def start(self) -> None:
        """Call it in the loop that gets the events."""
        self._loop = asyncio.get_running_loop()
        self._thread.start()

    def restart(self) -> None:
        """End the watch that runs; a new one begins with a list of everything."""
        with self._lock:
            if self._end is not None:
                self._end()

    async def stop(self, seconds: float) -> None:
        """End for good; wait so long at most."""
        self._stopping.set()
        self.restart()
        await asyncio.to_thread(self._thread.join, seconds)

    def deliver(self, resource: Resource, type: str | None, raw: dict[str, Any]) -> None:
        """Called in kopf's thread; many events wake the other loop once."""
        self._events.append((resource, type, raw))
        if not self._scheduled:
            self._scheduled = True
            self._call(self._drain)

    def _drain(self) -> None:
        self._scheduled = False
        for _ in range(AT_ONCE):
            if not self._events:
                return
            resource, type, raw = self._events.popleft()
            try:
                self._receive(resource, type, raw)
            except Exception:
                log.exception("an event of %s was not understood", resource.plural)
        if self._events and self._loop is not None:
            self._scheduled = True
            self._loop.call_soon(self._drain)

    def _call(self, function: Callable[[], None]) -> None:
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(function)

    def _run(self) -> None:
        pause = FIRST_PAUSE
        while not self._stopping.is_set():
            began = time.monotonic()
            try:
                self._run_once()
            except BaseException as error:  # noqa: BLE001 (whatever ends kopf, we begin again)
                log.warning("the watch ended and begins again: %s: %s", type(error).__name__, error)
            self.began = None
            pause = FIRST_PAUSE if time.monotonic() - began > GOOD_RUN else min(2 * pause, LONGEST_PAUSE)
            self._stopping.wait(pause)

    def _run_once(self) -> None:
        loop = asyncio.new_event_loop()
        sessions: list[aiohttp.ClientSession] = []
        try:
            loop.run_until_complete(self._watch(sessions))
        finally:
            with self._lock:
                self._end = None
            loop.run_until_complete(_end_all(sessions))
            loop.close()

    async def _watch(self, sessions: list[aiohttp.ClientSession]) -> None:
        """Until it is told to stop, or any part of kopf ends."""
        stop, loop = asyncio.Event(), asyncio.get_running_loop()
        with self._lock:
            self._end = lambda: loop.call_soon_threadsafe(stop.set)
        if self._stopping.is_set():
            return

        def login() -> aiohttp.ClientSession:
            sessions[:] = [one for one in sessions if not one.closed]
            sessions.append(session_for_watching(self._access, self._pace))
            return sessions[-1]

        self.began = time.monotonic()
        self._call(self._on_start)
        tasks = await kopf.spawn_tasks(
            registry=registry_of(self.deliver, login, self._access.server),
            settings=kopf_settings(),
            standalone=True,
            clusterwide=not self._namespaces,
            namespaces=self._namespaces,
            stop_flag=stop,
        )
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()


async def _end_all(sessions: list[aiohttp.ClientSession]) -> None:
    """End every task of the loop, those last that others need to end.

    kopf cancels them all alike when one of its watchers fails, and then hangs: a watcher that ends waits for the tasks
    of its scheduler, which are gone. Nor does each task heed the first call. What is left in the end is left behind.
    """
    for needed in (False, True):
        until = time.monotonic() + END_SECONDS
        while time.monotonic() < until:
            tasks = {task for task in asyncio.all_tasks() if _is_needed(task) == needed} - {asyncio.current_task()}
            if not tasks:
                break
            for task in tasks:
                task.cancel()
            done, _ = await asyncio.wait(tasks, timeout=END_SECONDS / 10)
            for task in done:
                _ = task.cancelled() or task.exception()  # seen, lest asyncio tells of it
    for session in sessions:
        await session.close()
    with suppress(TimeoutError):
        await asyncio.wait_for(asyncio.get_running_loop().shutdown_asyncgens(), END_SECONDS)


def _is_needed(task: asyncio.Task[Any]) -> bool:
    return "Scheduler." in getattr(task.get_coro(), "__qualname__", "")
