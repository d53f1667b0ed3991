"""Whether an HTTP server answers 200; asked straight, by no proxy."""

from __future__ import annotations

import ssl
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

TIMEOUT = 2.0


def answers(url: str, authority: Path | None = None) -> Callable[[], bool]:
    """A check for Process.ready. `authority`: the file with the certificate that the server's one must stand on."""

    def ask() -> bool:
        handlers: list[urllib.request.BaseHandler] = [urllib.request.ProxyHandler({})]
        if authority is not None:
            handlers.append(urllib.request.HTTPSHandler(context=ssl.create_default_context(cafile=str(authority))))
        try:
            with urllib.request.build_opener(*handlers).open(url, timeout=TIMEOUT) as answer:
                return bool(answer.status == 200)
        except urllib.error.HTTPError:
            return False

    return ask
