"""Follow one object over watches that end, break and expire. Where events come from is given."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

from runwright_cli.cluster.client import Object
from runwright_cli.cluster.errors import AwayError, ExpiredError

WATCH_SECONDS = 30  # of one watch; a new one costs little, and a dead connection is noticed by then
FIRST_WAIT, LONGEST_WAIT = 1.0, 15.0


class Source(Protocol):
    """Where objects come from; `Cluster` is one."""

    def find(self, name: str) -> Object | None: ...

    def watch(self, name: str, version: str, seconds: int) -> Iterator[tuple[str, Object]]: ...


@dataclass(frozen=True)
class Seen:
    """The object as it is now."""

    content: Object


@dataclass(frozen=True)
class Deleted:
    """The object is gone."""


@dataclass(frozen=True)
class Said:
    """Something on the way that a person wants to know."""

    text: str


@dataclass(frozen=True)
class Tick:
    """Nothing happened for a while."""


News = Seen | Deleted | Said | Tick


def follow(
    source: Source,
    name: str,
    *,
    sleep: Callable[[float], object] = time.sleep,
    watch_seconds: Callable[[], int] = lambda: WATCH_SECONDS,
) -> Iterator[News]:
    """The object now and after every change, for ever; ends after Deleted.

    An API server that is away is told once, waited for, and told again when it is back. Other errors are raised.
    """
    uid, version, away, wait = "", "", False, FIRST_WAIT
    while True:
        try:
            if not version:
                content = source.find(name)
                if content is None:
                    yield Deleted()
                    return
                if away:
                    yield Said("the API server is back")
                away, wait = False, FIRST_WAIT
                known, uid = uid, _uid(content)
                if known and known != uid:
                    yield Said(f"{name} was deleted and made anew")
                version = _version(content)
                yield Seen(content)
            quiet = True
            for kind, content in source.watch(name, version, watch_seconds()):
                quiet = False
                version = _version(content)
                if kind == "DELETED" and _uid(content) == uid:
                    version = ""
                    break  # look again: it may have been made anew
                if kind in ("ADDED", "MODIFIED"):
                    uid = _uid(content)
                    yield Seen(content)
            if quiet:  # a proxy that ends every watch at once must not make us spin
                sleep(FIRST_WAIT)
            yield Tick()
        except ExpiredError:
            version = ""
            sleep(FIRST_WAIT)
        except AwayError as error:
            if not away:
                yield Said(f"{error.message}; trying again")
            away, version = True, ""
            sleep(wait)
            wait = min(wait * 2, LONGEST_WAIT)
            yield Tick()


def _uid(content: Object) -> str:
    return str(content["metadata"].get("uid", ""))


def _version(content: Object) -> str:
    return str(content["metadata"].get("resourceVersion", ""))
