"""Logs: one JSON object a line for machines, short lines for people, secrets in neither.

`about(key)` names the TrainingRun in every line that is logged inside it, kopf's lines included.
"""

from __future__ import annotations

import json
import logging
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import IO, Literal

from runwright_operator.resources import Key

LONGEST_LINE = 16 * 1024
HIDDEN = "[hidden]"

_run: ContextVar[Key | None] = ContextVar("run", default=None)

_SECRETS = (
    (
        re.compile(r"(?i)(authorization[\"']?\s*[:=]\s*[\"']?)(?:(?:bearer|basic|digest|token)\s+)?[^\s\"',}]+"),
        r"\1" + HIDDEN,
    ),
    (re.compile(r"(?i)\b(bearer|basic)\s+[A-Za-z0-9._~+/=-]{8,}"), r"\1 " + HIDDEN),
    (re.compile(r"\beyJ[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]*)?"), HIDDEN),  # a JSON web token
    (
        re.compile(
            r"(?i)(\b[\w-]*(?:token|password|passwd|secret|api_?key|access_?key)[\"']?\s*[:=]\s*[\"']?)[^\s\"',;&}]{3,}"
        ),
        r"\1" + HIDDEN,
    ),
    (re.compile(r"(\b[a-z][a-z0-9+.-]*://)[^\s/@\"']+@"), r"\1"),  # user:password@
    (re.compile(r"(\bhttps?://[^\s?\"']*\?)[^\s\"'<>]+"), r"\1" + HIDDEN),  # signed URLs
)

_CHATTY = {"kopf.objects": logging.WARNING, "asyncio": logging.WARNING, "aiohttp.access": logging.WARNING}
"""Each handler that succeeds is a line of kopf's at INFO."""

_EXPECTED = ("OS signals are ignored",)
"""kopf's warning when it runs outside of the main thread, which is how we want it."""


@contextmanager
def about(key: Key) -> Iterator[None]:
    """Lines that are logged in here are about this TrainingRun."""
    token = _run.set(key)
    try:
        yield
    finally:
        _run.reset(token)


def redact(text: str) -> str:
    """The text without what looks like a credential."""
    for pattern, instead in _SECRETS:
        text = pattern.sub(instead, text)
    return text


class _Formatter(logging.Formatter):
    def _message(self, record: logging.LogRecord) -> str:
        try:
            message = record.getMessage()
        except Exception:  # noqa: BLE001 (a line with wrong arguments is still a line)
            message = str(record.msg)
        return redact(message[:LONGEST_LINE])

    def _trace(self, record: logging.LogRecord) -> str:
        return redact(self.formatException(record.exc_info)[-LONGEST_LINE:]) if record.exc_info else ""

    def _about(self, record: logging.LogRecord) -> str:
        """kopf says it in a field of the record."""
        reference = getattr(record, "k8s_ref", None)
        if isinstance(reference, dict):
            return f"{reference.get('namespace')}/{reference.get('name')}"
        key = _run.get()
        return str(key) if key else ""


class JsonFormatter(_Formatter):
    """One object a line."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "run": self._about(record),
            "message": self._message(record),
            "error": self._trace(record),
        }
        return json.dumps({name: value for name, value in line.items() if value}, ensure_ascii=False)


class TextFormatter(_Formatter):
    """For people."""

    def format(self, record: logging.LogRecord) -> str:
        at = datetime.fromtimestamp(record.created).strftime("%H:%M:%S")
        name = self._about(record)
        line = f"{at} {record.levelname[:4]:4} {name + ': ' if name else ''}{self._message(record)}"
        trace = self._trace(record)
        return f"{line}\n{trace}" if trace else line


def _wanted(record: logging.LogRecord) -> bool:
    return not str(record.msg).startswith(_EXPECTED)


def set_up(level: str, format: Literal["json", "text", "auto"], stream: IO[str] | None = None) -> None:
    """Send all logs of the process to the stream, standard error by default."""
    stream = sys.stderr if stream is None else stream
    as_text = format == "text" or (format == "auto" and stream.isatty())
    handler = logging.StreamHandler(stream)
    handler.setFormatter(TextFormatter() if as_text else JsonFormatter())
    handler.addFilter(_wanted)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for name, least in _CHATTY.items():
        logging.getLogger(name).setLevel(least if level != "debug" else logging.DEBUG)


def flush() -> None:
    """Before the process ends without cleaning up."""
    for handler in logging.getLogger().handlers:
        handler.flush()
