"""The artifact store as the double reads it: what the launchers wrote down there."""

from __future__ import annotations

import asyncio
import base64
import json
from typing import Any

from obstore.exceptions import BaseError

from tests.doubles.kfp.cluster import Cluster, ClusterError
from tests.doubles.kfp.launcher import ACCESS_KEY, RESULT, SECRET_KEY, Objects

PATIENCE = 300.0
_PAUSE = 2.0


class ArtifactStore:
    """One store, with the credentials of each run's namespace."""

    def __init__(self, cluster: Cluster, *, endpoint: str, region: str, secret: str) -> None:
        self._cluster = cluster
        self._endpoint, self._region, self._secret = endpoint, region, secret

    async def result(self, namespace: str, task_root: str, pod: str) -> dict[str, Any] | None:
        """What the launcher of this very pod published; None when it did not. Patient with a store that is away.

        Raises BaseError, ClusterError or OSError when it stays away.
        """
        until = asyncio.get_running_loop().time() + PATIENCE
        while True:
            try:
                objects = Objects(self._endpoint, self._region, await self._keys(namespace))
                content = await asyncio.to_thread(objects.read, f"{task_root}/{RESULT}")
                break
            except (BaseError, ClusterError):
                if asyncio.get_running_loop().time() > until:
                    raise
                await asyncio.sleep(_PAUSE)
        found: dict[str, Any] = json.loads(content) if content else {}
        return found if found.get("pod") == pod else None

    async def _keys(self, namespace: str) -> tuple[str, str]:
        secret = await self._cluster.ask("GET", f"/api/v1/namespaces/{namespace}/secrets/{self._secret}")
        data = {key: base64.b64decode(value).decode() for key, value in (secret.get("data") or {}).items()}
        return data[ACCESS_KEY], data[SECRET_KEY]
