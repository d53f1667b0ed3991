"""A cluster that plays a script: what `find` gives, and what each watch tells before it ends or breaks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

Object = dict[str, Any]
Event = tuple[str, Object]


class ScriptedCluster:
    """`finds` are the answers to `find`, in order, the last one for ever; an exception is raised.

    `watches` are the answers to `watch`: events, and an exception to break off with. When they are used up, the script
    is over, which is told by StopScript.
    """

    def __init__(self, finds: Sequence[Object | Exception | None], watches: Sequence[Sequence[Event | Exception]] = ()):
        self._finds, self._watches = list(finds), list(watches)
        self.versions: list[str] = []

    def find(self, _name: str) -> Object | None:
        answer = self._finds.pop(0) if len(self._finds) > 1 else self._finds[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    def watch(self, _name: str, version: str, _seconds: int) -> Iterator[Event]:
        self.versions.append(version)
        if not self._watches:
            raise StopScript
        for event in self._watches.pop(0):
            if isinstance(event, Exception):
                raise event
            yield event


class StopScript(Exception):
    """The script is over."""
