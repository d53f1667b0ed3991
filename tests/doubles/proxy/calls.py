"""What went through the proxies: one `Call` a request, in the order in which they came."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

Match = Callable[["Call"], bool]

READS = ("GET", "HEAD", "OPTIONS")


@dataclass
class Call:
    """One request. `status` is what the server answered, `told` what the client was told; None: nothing."""

    client: str
    method: str
    path: str
    query: dict[str, str]
    body: bytes = b""
    began: float = field(default_factory=time.monotonic)
    status: int | None = None
    told: int | None = None
    ended: float | None = None
    events: int = 0
    """Of a watch: how many events the client was sent."""

    @property
    def is_write(self) -> bool:
        return self.method not in READS

    @property
    def is_watch(self) -> bool:
        return self.query.get("watch") in ("true", "1")

    @property
    def resource(self) -> str:
        """Plural name of the Kubernetes kind, with the subresource if there is one; for others the end of the path."""
        parts = self.path.strip("/").split("/")
        if parts[0] not in ("api", "apis") or "v2beta1" in parts:
            return parts[-1].partition(":")[2] or next((one for one in ("runs", "experiments") if one in parts), "")
        rest = parts[2 if parts[0] == "api" else 3 :]
        if len(rest) > 2 and rest[0] == "namespaces":
            rest = rest[2:]
        return "/".join((rest[0], *rest[2:])) if rest else ""

    def json(self) -> Any:
        """The body; {} where there is none."""
        return json.loads(self.body) if self.body else {}

    def __str__(self) -> str:
        return f"{self.method} {self.resource or self.path}"


class Journal:
    """The calls of one or several proxies. May be read from any thread."""

    def __init__(self) -> None:
        self._calls: list[Call] = []
        self._lock = threading.Lock()

    def add(self, call: Call) -> None:
        with self._lock:
            self._calls.append(call)

    def calls(self, match: Match = lambda _: True, *, since: float = 0.0) -> list[Call]:
        """Those that match and began at `since` (seconds of time.monotonic) or later."""
        with self._lock:
            return [call for call in self._calls if call.began >= since and match(call)]

    def writes(self, *, since: float = 0.0) -> list[Call]:
        """All that may change something, leases apart."""
        return self.calls(lambda call: call.is_write and call.resource != "leases", since=since)
