"""Credentials towards the API server: read before the first request, again after a refusal; and the pace of watches."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from runwright_operator.adapters.access import Access
from runwright_operator.handlers import Pace

OBJECTS = "/api/v1/namespaces/n/configmaps"


@dataclass
class Token:
    """A configuration whose token is `value` at the time."""

    host: str
    value: str = "first"
    ssl_ca_cert: Any = None
    verify_ssl: bool = True
    cert_file: Any = None
    key_file: Any = None
    username: str = ""

    def get_api_key_with_prefix(self, identifier: str) -> str | None:
        return f"Bearer {self.value}" if identifier == "authorization" else None

    def get_basic_auth_token(self) -> None:
        return None


class Server:
    """Answers 401 to every token but `good`, and keeps what it was shown, with the time."""

    def __init__(self) -> None:
        self.good = "first"
        self.shown: list[str] = []
        self.times: list[float] = []

    async def answer(self, request: web.Request) -> web.Response:
        self.shown.append(request.headers.get("Authorization", ""))
        self.times.append(time.monotonic())
        return web.json_response({}, status=200 if self.shown[-1] == f"Bearer {self.good}" else 401)


@asynccontextmanager
async def serving(server: Server) -> AsyncIterator[str]:
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", server.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


def drive(test: Callable[[Server, str], Awaitable[None]]) -> Server:
    server = Server()

    async def run() -> None:
        async with serving(server) as url:
            await test(server, url)

    asyncio.run(run())
    return server


def test_each_of_many_first_requests_shows_the_token() -> None:
    async def ask(_: Server, url: str) -> None:
        async with Access(lambda: Token(url)).session() as session:
            answers = await asyncio.gather(*(session.get(url + OBJECTS) for _ in range(20)))
            assert {one.status for one in answers} == {200}

    assert set(drive(ask).shown) == {"Bearer first"}


def test_a_token_that_is_refused_is_read_anew() -> None:
    async def ask(server: Server, url: str) -> None:
        tokens = itertools.chain(["first"], itertools.repeat("second"))
        async with Access(lambda: Token(url, next(tokens))).session() as session:
            assert (await session.get(url + OBJECTS)).status == 200
            server.good = "second"
            assert (await session.get(url + OBJECTS)).status == 401
            assert (await session.get(url + OBJECTS)).status == 200

    assert drive(ask).shown == ["Bearer first", "Bearer first", "Bearer second"]


def test_the_token_stays_in_use_while_it_cannot_be_read(caplog: pytest.LogCaptureFixture) -> None:
    async def ask(_: Server, url: str) -> None:
        there = [Token(url)]

        def read() -> Token:
            if not there:
                raise OSError("no such file")
            return there.pop()

        access = Access(read)
        access.refused()
        async with access.session() as session:
            assert (await session.get(url + OBJECTS)).status == 200

    drive(ask)
    assert "could not be read" in caplog.text
    assert "first" not in caplog.text


def test_a_session_for_reading_writes_nothing() -> None:
    async def ask(_: Server, url: str) -> None:
        async with Access(lambda: Token(url)).session(read_only=True) as session:
            with pytest.raises(RuntimeError, match="for reading"):
                await session.post(url + OBJECTS, json={})

    assert drive(ask).shown == []


def test_a_watch_waits_for_its_turn_and_others_do_not() -> None:
    pace = 0.2

    async def ask(_: Server, url: str) -> None:
        async with Access(lambda: Token(url)).session(pace=Pace(pace)) as session:

            async def get(path: str, **query: str) -> aiohttp.ClientResponse:
                return await session.get(url + path, params=query)

            await get(OBJECTS, watch="true")
            await get("/api/v1/pods", watch="true")  # another kind
            await get(OBJECTS)  # a list
            await get(OBJECTS, watch="true")

    first, *_, again = drive(ask).times
    assert again - first >= pace
