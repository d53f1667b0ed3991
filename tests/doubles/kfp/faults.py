"""What goes wrong between the server and its clients, as a test wants it.

POST   /double/faults    {"on": "CreateRun", "action": "reset", "after": true, "times": 1}, or a list of them
GET    /double/faults    those that are left
DELETE /double/faults    all is well again
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Literal

from aiohttp import web
from pydantic import BaseModel, Field, TypeAdapter

Action = Literal["reset", "hang", "status", "delay", "garbage", "truncated", "away", "too-old"]
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

ANY = "any"


class Fault(BaseModel):
    """One thing that goes wrong, `times` times.

    reset      the connection breaks without an answer       delay      the answer takes `seconds` longer
    hang       no answer for `seconds`                       garbage    the answer is no JSON
    status     the answer is an error with this status       truncated  the answer breaks off in the middle
    away       as reset, before anything is done             too-old    there is no such API
    """

    on: str = ANY
    """Name of the call, such as CreateRun; `any` for all."""
    action: Action
    after: bool = False
    """Whether the server has done its work by then."""
    times: int = Field(default=1, ge=1)
    """How often; a large number for as long as nobody takes it away."""
    status: int = 500
    seconds: float = 3600.0


_FAULTS = TypeAdapter(list[Fault])


class Faults:
    """The faults to come, in the order in which they were asked for."""

    def __init__(self) -> None:
        self._left: list[Fault] = []

    def routes(self) -> list[web.RouteDef]:
        path = "/double/faults"
        return [web.get(path, self._show), web.post(path, self._add), web.delete(path, self._clear)]

    async def answer(self, call: str, request: web.Request, handler: Handler) -> web.StreamResponse:
        """The handler's answer, or what becomes of it."""
        fault = self._take(call)
        if fault is None:
            return await handler(request)
        if fault.action == "too-old":
            return web.Response(status=404, text="404 page not found\n")
        done: web.StreamResponse | None = None
        if (fault.after or fault.action in ("delay", "garbage", "truncated")) and fault.action != "away":
            done = await handler(request)
        if fault.action in ("hang", "delay"):
            await asyncio.sleep(fault.seconds)
        if fault.action == "delay" and done is not None:
            return done
        if fault.action == "status":
            return web.json_response({"code": 2, "message": "a fault of the double"}, status=fault.status)
        if fault.action == "garbage":
            return web.Response(status=200, text="<html>not what you asked for</html>", content_type="text/html")
        if fault.action == "truncated" and isinstance(done, web.Response) and isinstance(done.body, bytes):
            return web.Response(
                status=done.status, body=done.body[: len(done.body) // 2], content_type=done.content_type
            )
        if request.transport is not None:
            request.transport.abort()
        return web.Response(status=500)

    def _take(self, call: str) -> Fault | None:
        for index, fault in enumerate(self._left):
            if fault.on in (call, ANY):
                if fault.times > 1:
                    self._left[index] = fault.model_copy(update={"times": fault.times - 1})
                else:
                    del self._left[index]
                return fault
        return None

    async def _show(self, _request: web.Request) -> web.Response:
        return web.json_response([fault.model_dump() for fault in self._left])

    async def _add(self, request: web.Request) -> web.Response:
        given = await request.json()
        self._left += _FAULTS.validate_python(given if isinstance(given, list) else [given])
        return await self._show(request)

    async def _clear(self, request: web.Request) -> web.Response:
        self._left.clear()
        return await self._show(request)
