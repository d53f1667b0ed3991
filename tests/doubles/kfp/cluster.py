"""The Kubernetes API, for what the double itself does there: tokens, reviews, and the pods of a training."""

from __future__ import annotations

import asyncio
import base64
import json
import ssl
import tempfile
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import yaml

JSON_PATCHES = "application/merge-patch+json"
WATCH_SECONDS = 240
_PASSING = (0, 429, 500, 502, 503, 504)
_PAUSE = 1.0
_LINE = 8 << 20  # the longest line of a watch: an object of a megabyte, and room


class ClusterError(Exception):
    """What the API server refused; `status` is 0 when it was out of reach."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True)
class Change:
    """What became of objects: ADDED, MODIFIED, DELETED (as they were last), or LISTED when these are all there are."""

    kind: str
    objects: list[dict[str, Any]]


class Cluster:
    """One cluster, by its kubeconfig."""

    def __init__(self, kubeconfig: Path) -> None:
        content = yaml.safe_load(kubeconfig.read_text())
        context = _named(content["contexts"], content["current-context"])["context"]
        self._cluster = _named(content["clusters"], context["cluster"])["cluster"]
        user = _named(content["users"], context["user"])["user"]
        self._home = kubeconfig.parent
        self.server: str = self._cluster["server"].rstrip("/")
        self._headers = {"Authorization": f"Bearer {user['token']}"} if "token" in user else {}
        self._ssl = self._context(user) if self.server.startswith("https://") else None
        self._session: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()

    async def ask(
        self,
        method: str,
        path: str,
        *,
        body: Any = None,
        query: Mapping[str, str] | None = None,
        content_type: str = "application/json",
    ) -> dict[str, Any]:
        """The JSON of the answer. Raises ClusterError."""
        data = None if body is None else json.dumps(body)
        headers = {"Content-Type": content_type}
        timeout = aiohttp.ClientTimeout(total=30)
        try:
            async with self._connected().request(
                method, self.server + path, data=data, params=query, headers=headers, timeout=timeout, ssl=self._trust()
            ) as response:
                text = await response.text()
                if response.status >= 300:
                    raise ClusterError(response.status, _message(text))
                found: dict[str, Any] = json.loads(text)
                return found
        except (aiohttp.ClientError, TimeoutError) as error:
            raise ClusterError(0, f"{type(error).__name__}: {error}") from error

    async def insist(
        self, method: str, path: str, *, body: Any = None, query: Mapping[str, str] | None = None, fine: tuple[int, ...]
    ) -> dict[str, Any] | None:
        """As `ask`, again and again while the API server is away; None for a status that is `fine`."""
        while True:
            try:
                return await self.ask(method, path, body=body, query=query)
            except ClusterError as error:
                if error.status in fine:
                    return None
                if error.status not in _PASSING and "exceeded quota" not in str(error):
                    raise
            await asyncio.sleep(_PAUSE)

    async def watch(self, path: str, *, labels: str) -> AsyncIterator[dict[str, Any]]:
        """The objects that are there, and each again when it changes, for ever. Ended watches are begun again."""
        async for change in self.changes(path, labels=labels):
            if change.kind != "DELETED":
                for item in change.objects:
                    yield item

    async def changes(self, path: str, *, labels: str) -> AsyncIterator[Change]:
        """All objects (LISTED), then each that is ADDED, MODIFIED or DELETED, for ever; LISTED again when a watch has
        ended."""
        while True:
            try:
                found = await self.ask("GET", path, query={"labelSelector": labels})
                yield Change("LISTED", found["items"])
                version = found["metadata"]["resourceVersion"]
                query = {"labelSelector": labels, "watch": "true", "resourceVersion": version}
                async for event in self._events(path, {**query, "timeoutSeconds": str(WATCH_SECONDS)}):
                    if event.get("type") in ("ADDED", "MODIFIED", "DELETED"):
                        yield Change(event["type"], [event["object"]])
                    elif event.get("type") == "ERROR":
                        break
            except (ClusterError, aiohttp.ClientError, TimeoutError, ValueError):
                pass
            await asyncio.sleep(0.2)

    async def _events(self, path: str, query: Mapping[str, str]) -> AsyncIterator[dict[str, Any]]:
        timeout = aiohttp.ClientTimeout(total=None, sock_read=WATCH_SECONDS + 30)
        async with self._connected().get(
            self.server + path, params=query, timeout=timeout, ssl=self._trust()
        ) as response:
            if response.status != 200:
                raise ClusterError(response.status, _message(await response.text()))
            async for line in response.content:
                yield json.loads(line)

    async def token(
        self, namespace: str, account: str, *, audiences: tuple[str, ...] = (), seconds: int = 86400
    ) -> str:
        """A token of a ServiceAccount. Raises ClusterError, 404 when there is no such account."""
        spec: dict[str, Any] = {"expirationSeconds": seconds}
        if audiences:
            spec["audiences"] = list(audiences)
        path = f"/api/v1/namespaces/{namespace}/serviceaccounts/{account}/token"
        made = await self.ask(
            "POST", path, body={"kind": "TokenRequest", "apiVersion": "authentication.k8s.io/v1", "spec": spec}
        )
        return str(made["status"]["token"])

    def kubeconfig(self, token: str, namespace: str) -> str:
        """A kubeconfig for whoever has `token`."""
        cluster = dict(self._cluster)
        if "certificate-authority" in cluster:
            authority = (self._home / cluster.pop("certificate-authority")).read_bytes()
            cluster["certificate-authority-data"] = base64.b64encode(authority).decode()
        content = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "cluster", "cluster": cluster}],
            "users": [{"name": "step", "user": {"token": token}}],
            "contexts": [{"name": "step", "context": {"cluster": "cluster", "user": "step", "namespace": namespace}}],
            "current-context": "step",
        }
        return yaml.safe_dump(content)

    def _connected(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(headers=self._headers, read_bufsize=_LINE)
        return self._session

    def _trust(self) -> ssl.SSLContext | bool:
        return self._ssl if self._ssl is not None else True

    def _context(self, user: Mapping[str, Any]) -> ssl.SSLContext:
        authority = self._bytes(self._cluster, "certificate-authority")
        context = ssl.create_default_context(cadata=authority.decode() if authority else None)
        if self._cluster.get("insecure-skip-tls-verify"):
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        certificate, key = self._bytes(user, "client-certificate"), self._bytes(user, "client-key")
        if certificate and key:
            with tempfile.NamedTemporaryFile() as file:  # the ssl module reads certificates from files alone
                file.write(certificate + b"\n" + key)
                file.flush()
                context.load_cert_chain(file.name)
        return context

    def _bytes(self, content: Mapping[str, Any], name: str) -> bytes | None:
        if f"{name}-data" in content:
            return base64.b64decode(content[f"{name}-data"])
        return (self._home / content[name]).read_bytes() if name in content else None


def _named(entries: list[dict[str, Any]], name: str) -> dict[str, Any]:
    return next(entry for entry in entries if entry["name"] == name)


def _message(text: str) -> str:
    try:
        return str(json.loads(text)["message"])
    except (ValueError, KeyError, TypeError):
        return text[:500]
