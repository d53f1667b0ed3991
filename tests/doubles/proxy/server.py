"""The proxy. Each client gets one of its own, so that it is known who asked; a journal may be shared."""

from __future__ import annotations

import asyncio
import ssl
import threading
import time
from collections.abc import Coroutine
from typing import Any, TypeVar

import aiohttp
from aiohttp import web
from yarl import URL

from tests.doubles.proxy.calls import Call, Journal
from tests.doubles.proxy.faults import Answer, Break, Fault

_HOP = {"connection", "keep-alive", "transfer-encoding", "content-length", "content-encoding", "upgrade", "host"}
_LARGEST = 64 << 20
_LINE = 8 << 20
_SECONDS = 120.0

_Value = TypeVar("_Value")


class Proxy:
    """Passes requests on to `upstream`, for one `client`. `trust` holds the certificates for an upstream with TLS."""

    def __init__(
        self, upstream: str, *, client: str = "", journal: Journal | None = None, trust: ssl.SSLContext | None = None
    ) -> None:
        self.journal = journal or Journal()
        self._upstream = upstream.rstrip("/")
        self._client = client
        self._trust = trust
        self._faults: tuple[Fault, ...] = ()
        self._session: aiohttp.ClientSession | None = None
        self._runner: web.AppRunner | None = None
        self._site: web.TCPSite | None = None
        self._port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def start(self) -> Proxy:
        _run(self._start())
        return self

    def stop(self) -> None:
        _run(self._stop())

    def add(self, *faults: Fault) -> None:
        """From now on these strike, after those that are there."""
        self._faults += faults

    def heal(self, *faults: Fault) -> None:
        """These strike no more; without arguments none does. What they hold up ends with its connection."""
        self._faults = tuple(one for one in self._faults if faults and one not in faults)

    def refuse(self) -> None:
        """Nobody listens any more, and open connections break: the server is away."""
        _run(self._refuse())

    def accept(self) -> None:
        """The server is back, at the same address."""
        _run(self._listen())

    def cut(self) -> None:
        """Breaks every open connection."""
        _run(self._break_all())

    async def _start(self) -> None:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, ssl=self._trust or True),
            auto_decompress=False,
            read_bufsize=_LINE,
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=10),
        )
        application = web.Application(client_max_size=_LARGEST)
        application.router.add_route("*", "/{tail:.*}", self._answer)
        self._runner = web.AppRunner(application, handler_cancellation=True, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await self._listen()

    async def _listen(self) -> None:
        assert self._runner is not None
        if self._site is None:
            self._site = web.TCPSite(self._runner, "127.0.0.1", self._port, reuse_address=True)
            await self._site.start()
            self._port = self._runner.addresses[0][1]

    async def _refuse(self) -> None:
        site, self._site = self._site, None
        if site is not None:
            await site.stop()
        await self._break_all()

    async def _break_all(self) -> None:
        assert self._runner is not None
        assert self._runner.server is not None
        for connection in list(self._runner.server.connections):
            if connection.transport is not None:
                connection.transport.abort()

    async def _stop(self) -> None:
        await self._refuse()
        assert self._runner is not None
        assert self._session is not None
        await self._runner.cleanup()
        await self._session.close()

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        call = Call(self._client, request.method, request.path, dict(request.query), await request.read())
        self.journal.add(call)
        try:
            answer = await self._asked(call)
            if answer is None and call.is_watch:
                return await self._watch(request, call)
            if answer is None:
                answer = await self._answered(call, await self._forward(request, call))
            call.told = answer.status
            return web.Response(status=answer.status, body=answer.body, headers=dict(answer.headers))
        except (Break, aiohttp.ClientError, ConnectionError, TimeoutError):
            if request.transport is not None:
                request.transport.abort()
            return web.Response(status=502)
        finally:
            call.ended = time.monotonic()

    async def _asked(self, call: Call) -> Answer | None:
        for fault in self._faults:
            if (answer := await fault.before(call)) is not None:
                return answer
        return None

    async def _answered(self, call: Call, answer: Answer) -> Answer:
        for fault in self._faults:
            answer = await fault.after(call, answer)
        return answer

    async def _forward(self, request: web.Request, call: Call) -> Answer:
        async with self._send(request, call) as response:
            call.status = response.status
            return Answer(response.status, await response.read(), _passed(response.headers))

    async def _watch(self, request: web.Request, call: Call) -> web.StreamResponse:
        async with self._send(request, call) as upstream:
            call.status = call.told = upstream.status
            down = web.StreamResponse(status=upstream.status, headers=_passed(upstream.headers))
            await down.prepare(request)
            for fault in self._faults:
                if (first := await fault.opened(call)) is not None:
                    await down.write(first)
            async for line in upstream.content:
                passed: bytes | None = line
                for fault in self._faults:
                    passed = await fault.event(call, passed) if passed is not None else None
                if passed is not None:
                    call.events += 1
                    await down.write(passed)
            await down.write_eof()
            return down

    def _send(self, request: web.Request, call: Call) -> Any:
        assert self._session is not None
        headers = {**_passed(request.headers), "Accept-Encoding": "identity"}
        return self._session.request(
            call.method,
            URL(self._upstream + request.raw_path, encoded=True),
            headers=headers,
            data=call.body or None,
            allow_redirects=False,
        )


def _passed(headers: Any) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name.lower() not in _HOP}


class _Loop:
    """One event loop for all proxies, in a thread that ends with the process."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        threading.Thread(target=self.loop.run_forever, name="proxies", daemon=True).start()


_loop: _Loop | None = None
_lock = threading.Lock()


def _run(work: Coroutine[Any, Any, _Value]) -> _Value:
    global _loop
    with _lock:
        _loop = _loop or _Loop()
    return asyncio.run_coroutine_threadsafe(work, _loop.loop).result(_SECONDS)
