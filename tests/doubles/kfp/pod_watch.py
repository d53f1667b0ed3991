"""The pods of all runs, by one watch."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from tests.doubles.kfp import pods
from tests.doubles.kfp.cluster import Change, Cluster
from tests.doubles.kfp.pods import Manifest

_Key = tuple[str, str]  # namespace and name


class PodWatch:
    """Waits for what becomes of pods. It remembers those alone that somebody waits for."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._waiting: dict[_Key, list[asyncio.Event]] = {}
        self._newest: dict[_Key, Manifest] = {}
        self._deleted: dict[_Key, Manifest] = {}
        self._following: asyncio.Task[None] | None = None

    async def end_of(self, namespace: str, name: str) -> Manifest | None:
        """The pod when it has ended, or as it was last when it is gone; None for one that nobody saw."""
        return await self._until((namespace, name), lambda pod: pods.ending(pod) is not None)

    async def gone(self, namespace: str, name: str) -> Manifest | None:
        """The pod as it was last, once it is gone. One that had ended before it was deleted stays."""
        return await self._until((namespace, name), pods.stays)

    async def close(self) -> None:
        if self._following is not None:
            self._following.cancel()
            await asyncio.wait([self._following])

    async def _until(self, key: _Key, enough: Callable[[Manifest], bool]) -> Manifest | None:
        if self._following is None:
            self._following = asyncio.create_task(self._follow())
        changed = asyncio.Event()
        self._waiting.setdefault(key, []).append(changed)
        last = None
        try:
            found = await self._get(key)
            while found is not None:
                last = found
                if enough(found):
                    return found
                await changed.wait()
                changed.clear()
                found = self._newest.get(key) or await self._get(key)
            return self._deleted.get(key, last)
        finally:
            self._waiting[key].remove(changed)
            if not self._waiting[key]:
                for known in (self._waiting, self._newest, self._deleted):
                    known.pop(key, None)

    async def _get(self, key: _Key) -> dict[str, Any] | None:
        namespace, name = key
        return await self._cluster.insist("GET", f"/api/v1/namespaces/{namespace}/pods/{name}", fine=(404,))

    async def _follow(self) -> None:
        async for change in self._cluster.changes("/api/v1/pods", labels=pods.LABEL_RUN):
            self._note(change)

    def _note(self, change: Change) -> None:
        found = {(pod["metadata"]["namespace"], pod["metadata"]["name"]): pod for pod in change.objects}
        if change.kind == "LISTED":
            self._newest.clear()
        for key, pod in found.items():
            if key not in self._waiting:
                continue
            if change.kind == "DELETED":
                self._newest.pop(key, None)
                self._deleted[key] = pod
            else:
                self._newest[key] = pod
        for key in self._waiting if change.kind == "LISTED" else found:
            for changed in self._waiting.get(key, ()):
                changed.set()
