"""What goes wrong. A fault sees every request before it is passed on, every answer before it goes back, every event of
a watch. All of it runs on the proxy's loop, so that nothing else goes through at that moment."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.doubles.proxy.calls import Call, Match


class Break(Exception):
    """The connection breaks: the client learns nothing more."""


@dataclass(frozen=True)
class Answer:
    """An answer in full."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=lambda: {"Content-Type": "application/json"})

    @classmethod
    def of_kubernetes(cls, code: int, reason: str = "", message: str = "a fault of the double") -> Answer:
        """A Status object."""
        return cls(code, json.dumps(status_object(code, reason, message)).encode())


def status_object(code: int, reason: str, message: str) -> dict[str, Any]:
    return {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": message,
        "reason": reason,
        "code": code,
    }


class Fault:
    """Does nothing. `hits` are the calls at which a fault struck, for tests to see that it did."""

    def __init__(self, match: Match = lambda _: True, *, times: int = 1) -> None:
        self._match = match
        self._left = times
        self.hits: list[Call] = []

    def strikes(self, call: Call) -> bool:
        """Whether it is this call's turn; counts it."""
        if self._left <= 0 or not self._match(call):
            return False
        self._left -= 1
        self.hits.append(call)
        return True

    async def before(self, call: Call) -> Answer | None:
        """An answer in place of the server's; None passes the request on. May raise Break."""

    async def after(self, call: Call, answer: Answer) -> Answer:
        """What the client is told of the server's answer. May raise Break."""
        return answer

    async def event(self, call: Call, line: bytes) -> bytes | None:
        """What the client is sent of one line of a watch; None drops it. May raise Break."""
        return line

    async def opened(self, call: Call) -> bytes | None:
        """Called when a watch was opened; may give a first line, raise Break, or keep the stream silent."""


class Kill(Fault):
    """kill -9, before the request reaches the server or after its answer left it; the client learns nothing."""

    def __init__(self, pid: Callable[[], int | None], match: Match, *, after: bool, skip: int = 0) -> None:
        super().__init__(match, times=skip + 1)
        self._pid = pid
        self._after = after
        self.struck_at: float | None = None
        """When, in seconds of time.monotonic."""

    @property
    def struck(self) -> bool:
        return self.struck_at is not None

    def strikes(self, call: Call) -> bool:
        return super().strikes(call) and self._left == 0

    async def before(self, call: Call) -> Answer | None:
        if not self._after and self.strikes(call):
            self._kill()
        return None

    async def after(self, call: Call, answer: Answer) -> Answer:
        if self._after and self.strikes(call):
            self._kill()
        return answer

    def _kill(self) -> None:
        self.struck_at = time.monotonic()
        if (pid := self._pid()) is not None:
            os.kill(pid, signal.SIGKILL)
        raise Break


class Instead(Fault):
    """Another answer: in place of the server's, or (`after`) once the server did its work."""

    def __init__(self, answer: Answer, match: Match, *, times: int = 1, after: bool = False) -> None:
        super().__init__(match, times=times)
        self._answer = answer
        self._after = after

    async def before(self, call: Call) -> Answer | None:
        return self._answer if not self._after and self.strikes(call) else None

    async def after(self, call: Call, answer: Answer) -> Answer:
        return self._answer if self._after and self.strikes(call) else answer


class Lose(Fault):
    """The server did its work and the connection breaks, `seconds` later."""

    def __init__(self, match: Match, *, times: int = 1, seconds: float = 0.0) -> None:
        super().__init__(match, times=times)
        self._seconds = seconds

    async def after(self, call: Call, answer: Answer) -> Answer:
        if not self.strikes(call):
            return answer
        await asyncio.sleep(self._seconds)
        raise Break


class Truncate(Fault):
    """Half an answer, or half an event of a watch after which the stream ends."""

    async def after(self, call: Call, answer: Answer) -> Answer:
        if not self.strikes(call):
            return answer
        return Answer(answer.status, answer.body[: len(answer.body) // 2], answer.headers)

    async def event(self, call: Call, line: bytes) -> bytes | None:
        return line[: len(line) // 2] + b"\n" if self.strikes(call) else line


class Drop(Fault):
    """Loses the n-th event, counted from 0 over all watches that match."""

    def __init__(self, match: Match, number: int) -> None:
        super().__init__(match, times=number + 1)
        self.dropped: Mapping[str, Any] | None = None

    async def event(self, call: Call, line: bytes) -> bytes | None:
        event = json.loads(line)
        if event.get("type") == "BOOKMARK" or not self.strikes(call) or self._left:
            return line
        self.dropped = event
        return None


class Stall(Fault):
    """Watches that are opened stay silent, as those that are open do: no event, no end."""

    def __init__(self, match: Match, *, times: int = 10**9) -> None:
        super().__init__(match, times=times)
        self.over = False

    async def opened(self, call: Call) -> bytes | None:
        await self._silence(call)
        return None

    async def event(self, call: Call, line: bytes) -> bytes | None:
        await self._silence(call)
        return line

    async def _silence(self, call: Call) -> None:
        if not self.over and self.strikes(call):
            await asyncio.Event().wait()


class InStreamError(Fault):
    """The first event of a watch is an ERROR, as the API server sends when it has forgotten the version asked for."""

    def __init__(self, code: int, reason: str, match: Match, *, times: int = 1) -> None:
        super().__init__(match, times=times)
        self._object = status_object(code, reason, "a fault of the double")

    async def opened(self, call: Call) -> bytes | None:
        if not self.strikes(call):
            return None
        return json.dumps({"type": "ERROR", "object": self._object}).encode() + b"\n"


class Cut(Fault):
    """Breaks a watch as soon as it is open."""

    async def opened(self, call: Call) -> bytes | None:
        if self.strikes(call):
            raise Break
        return None


class Delay(Fault):
    """Passes on later."""

    def __init__(self, seconds: float, match: Match, *, times: int = 10**9) -> None:
        super().__init__(match, times=times)
        self._seconds = seconds

    async def before(self, call: Call) -> Answer | None:
        if self.strikes(call):
            await asyncio.sleep(self._seconds)
        return None


class Away(Fault):
    """Every connection breaks before the server hears of it, and is noted: for counting how often it is tried."""

    def __init__(self, match: Match = lambda _: True) -> None:
        super().__init__(match, times=10**9)

    async def before(self, call: Call) -> Answer | None:
        if self.strikes(call):
            raise Break
        return None
