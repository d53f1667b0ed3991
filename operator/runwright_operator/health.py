"""Health, readiness and metrics over HTTP, and the watchdog that ends a process which cannot mend itself.

All of it runs in a thread with an event loop of its own, since it judges the main one.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from aiohttp import web

log = logging.getLogger(__name__)

LAG = 5.0  # seconds that the main loop may be busy
LAG_FATAL = 60.0
RELIST_GRACE = 60.0
RELIST_FATAL = 900.0
STRIKES = 2  # relists in a row that found what the watch had missed
API_SILENCE = 30.0  # seconds without an answer of the API server, after which we are not ready
BEAT = 0.5

Role = Literal["starting", "standby", "leader", "stopping"]


@dataclass
class Vitals:
    """Written by the main thread, read by the watchdog's; each field stands for itself."""

    relist_seconds: float = 300.0
    role: Role = "starting"
    beat: float = field(default_factory=time.monotonic)
    leader_since: float | None = None
    last_relist: float | None = None
    strikes: int = 0
    api_answered: float | None = None
    pipelines: str = "not asked yet"
    missing: tuple[str, ...] = ()


def unhealthy(vitals: Vitals, now: float) -> str:
    """Why the process should be restarted; empty while it is well."""
    if (lag := now - vitals.beat) > LAG:
        return f"the event loop has been stuck for {lag:.0f} s"
    if vitals.role == "leader" and vitals.leader_since is not None:
        silence = now - max(vitals.last_relist or 0.0, vitals.leader_since)
        if silence > 3 * vitals.relist_seconds + RELIST_GRACE:
            return f"nothing could be listed for {silence:.0f} s"
        if vitals.strikes >= STRIKES:
            return f"the watch is dead: {vitals.strikes} relists in a row found what it had missed"
    return ""


def fatal(vitals: Vitals, now: float) -> str:
    """Why the process must end at once."""
    if (lag := now - vitals.beat) > LAG_FATAL:
        return f"the event loop has been stuck for {lag:.0f} s"
    if vitals.role == "leader" and vitals.leader_since is not None:
        silence = now - max(vitals.last_relist or 0.0, vitals.leader_since)
        if silence > max(RELIST_FATAL, 4 * vitals.relist_seconds):
            return f"nothing could be listed for {silence:.0f} s"
    return ""


def unready(vitals: Vitals, now: float) -> str:
    """Why it is not ready; a standby is ready to take over."""
    if vitals.role not in ("leader", "standby"):
        return vitals.role
    if vitals.api_answered is None or now - vitals.api_answered > API_SILENCE:
        return "the API server does not answer"
    return ""


async def keep_beating(vitals: Vitals) -> None:
    """A task of the main loop: it cannot beat while the loop is stuck."""
    while True:
        vitals.beat = time.monotonic()
        await asyncio.sleep(BEAT)


class Health:
    """The thread. `end` ends the process; `is_lost` tells whether the lease ran out."""

    def __init__(
        self,
        vitals: Vitals,
        *,
        host: str,
        port: int,
        metrics: Callable[[], bytes],
        end: Callable[[str], None],
        is_lost: Callable[[], bool] = lambda: False,
    ) -> None:
        self._vitals = vitals
        self._host = host
        self._port = port
        self._metrics = metrics
        self._end = end
        self._is_lost = is_lost
        self._started = threading.Event()
        self._problem: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="health", daemon=True)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self.port = 0
        """The port that it listens on, once started."""

    def start(self) -> None:
        """Raises OSError when the port is taken."""
        self._thread.start()
        self._started.wait()
        if self._problem is not None:
            raise self._problem

    def stop(self) -> None:
        if self._loop is not None and self._stop is not None:
            self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(5)

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except OSError as error:
            self._problem = error
        finally:
            self._started.set()

    async def _serve(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        app = web.Application()
        app.router.add_get("/healthz", self._healthz)
        app.router.add_get("/readyz", self._readyz)
        app.router.add_get("/metrics", self._page)
        runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=1.0)
        await runner.setup()
        try:
            site = web.TCPSite(runner, self._host, self._port)
            await site.start()
            self.port = runner.addresses[0][1]
            self._started.set()
            await self._watch(self._stop)
        finally:
            await runner.cleanup()

    async def _watch(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            if why := fatal(self._vitals, time.monotonic()) or ("the lease ran out" if self._is_lost() else ""):
                self._end(why)
            try:
                await asyncio.wait_for(stop.wait(), BEAT)
            except TimeoutError:
                continue

    async def _healthz(self, _: web.Request) -> web.Response:
        return _answer(unhealthy(self._vitals, time.monotonic()))

    async def _readyz(self, _: web.Request) -> web.Response:
        vitals = self._vitals
        told = [f"role: {vitals.role}", f"kubeflow pipelines: {vitals.pipelines}"]
        if vitals.missing:
            told.append(f"waiting for the CRDs of: {', '.join(vitals.missing)}")
        return _answer(unready(vitals, time.monotonic()), *told)

    async def _page(self, _: web.Request) -> web.Response:
        return web.Response(body=self._metrics(), headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"})


def _answer(problem: str, *told: str) -> web.Response:
    return web.Response(status=503 if problem else 200, text="\n".join((problem or "ok", *told)) + "\n")
