"""Going without a failed request: a pod that is told to end is still sent requests for a moment, until every node has
heard of it. The server answers them, and asks clients that keep a connection open to open the next one elsewhere."""

from __future__ import annotations

import threading
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

Message = MutableMapping[str, Any]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Any, Any, Send], Awaitable[None]]
Exit = Callable[[int, Any], None]


class Draining:
    """An ASGI application around another, and the handler of the signal that ends the server.

    At the first signal it goes on for `seconds`, then calls `leave`; a second signal ends the wait. `leave`
    may be called in any thread.
    """

    def __init__(self, app: App, *, seconds: float) -> None:
        self._app = app
        self._seconds = seconds
        self._waiting: threading.Timer | None = None
        self.leave: Exit = lambda _signal, _frame: None

    async def __call__(self, scope: Any, receive: Any, send: Send) -> None:
        if self._waiting is None:
            await self._app(scope, receive, send)
            return

        async def closing(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), (b"connection", b"close")]
            await send(message)

        await self._app(scope, receive, closing)

    def asked_to_end(self, signal: int, frame: Any) -> None:
        """The handler of the signal. A timer of its own, for an event loop may be asleep when a signal comes."""
        if self._waiting is None and self._seconds > 0:
            self._waiting = threading.Timer(self._seconds, self.leave, (signal, None))
            self._waiting.daemon = True
            self._waiting.start()
            return
        if self._waiting is not None:
            self._waiting.cancel()
        self.leave(signal, frame)
