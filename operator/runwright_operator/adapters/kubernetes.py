"""The Kubernetes API, asynchronously, with objects as plain dicts.

    ApiError
    ├── NotFound        404 of a write (a read gives None)
    ├── Conflict        409: the object is not the one that we had read
    ├── AlreadyExists   409 of a creation
    ├── Denied          401, 403
    ├── Invalid         400, 422: trying again does not help
    ├── Gone            410: that version of the list is forgotten
    └── Unavailable     no connection, a time-out, 408, 429, 5xx, an answer that makes no sense: try again later

Nothing is tried twice in here, the caller's queue owns that; only an expired token is renewed after a 401, which no
server acts on. Whoever meets Unavailable does not know whether a write took effect.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import aiohttp
from yarl import URL

from runwright_api import names
from runwright_operator.adapters.access import Access
from runwright_operator.resources import Resource

CONNECT_SECONDS = 5.0
REQUEST_SECONDS = 30.0
MOST_PAGES = 10_000  # a server that pages for ever must not hold us for ever
MOST_RESTARTS = 3  # of a list whose version was forgotten in the middle
LONGEST_MESSAGE = 1024
LONGEST_WAIT = 300.0  # seconds of Retry-After that we believe

Object = dict[str, Any]
Guard = Callable[[], None]
OnCall = Callable[[str, str, str], None]
"""Told of each request: verb, resource, and the HTTP status or `timeout`, `connection`."""


class ApiError(Exception):
    """`status` is the HTTP status, 0 where there was no answer; `reason` is Kubernetes' own word for it."""

    def __init__(self, status: int, reason: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason
        self.message = message


class NotFound(ApiError):  # noqa: N818 (named for what is the matter)
    """There is no such object, or no such kind."""


class Conflict(ApiError):  # noqa: N818 (named for what is the matter)
    """The object changed since it was read, or another field manager owns a field."""


class AlreadyExists(ApiError):  # noqa: N818 (named for what is the matter)
    """An object has this name already."""


class Denied(ApiError):  # noqa: N818 (named for what is the matter)
    """Not authenticated, not allowed, over quota, or refused by an admission policy."""


class Invalid(ApiError):  # noqa: N818 (named for what is the matter)
    """The object is not valid."""


class Gone(ApiError):  # noqa: N818 (named for what is the matter)
    """The version of the list that was asked for is no longer kept."""


class Unavailable(ApiError):  # noqa: N818 (named for what is the matter)
    """Try again later; not before `retry_after` seconds where the server says so."""

    def __init__(self, status: int, reason: str, message: str, retry_after: float | None = None) -> None:
        super().__init__(status, reason, message)
        self.retry_after = retry_after


_KINDS_OF_ERROR: dict[int, type[ApiError]] = {
    400: Invalid,
    401: Denied,
    403: Denied,
    404: NotFound,
    409: Conflict,
    410: Gone,
    422: Invalid,
}


@dataclass(frozen=True)
class Listing:
    """Objects of a kind at one moment, and the version of that moment."""

    items: list[Object]
    resource_version: str


class Kubernetes:
    """One client for the whole process. `guard` is called right before each write and raises to refuse it."""

    def __init__(
        self,
        access: Access,
        *,
        guard: Guard | None = None,
        on_call: OnCall | None = None,
        timeout: float = REQUEST_SECONDS,
    ) -> None:
        self._access = access
        self._guard = guard
        self._on_call = on_call
        self._timeout = aiohttp.ClientTimeout(total=timeout, sock_connect=min(CONNECT_SECONDS, timeout))
        self._session: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        """Close the connections. A later request opens new ones."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def version(self) -> str:
        """Version of the API server, `v1.34.4`."""
        return str((await self._call("get", "version", "/version")).get("gitVersion", ""))

    async def get(self, resource: Resource, namespace: str, name: str) -> Object | None:
        """The object; None when there is none."""
        with suppress(NotFound):
            return await self._call("get", resource.plural, path_of(resource, namespace, name))
        return None

    async def list(
        self, resource: Resource, namespace: str | None = None, *, labels: str = "", limit: int = 500
    ) -> Listing:
        """All objects of the kind that the label selector matches, in one namespace or in all."""
        for _ in range(MOST_RESTARTS):
            with suppress(Gone):
                return await self._list(resource, namespace, labels, limit)
        raise Unavailable(410, "Gone", f"the list of {resource.plural} is forgotten faster than it can be read")

    async def create(self, resource: Resource, namespace: str, body: Mapping[str, Any]) -> Object:
        """Create the object. Raises AlreadyExists when there is one of its name."""
        query = {"fieldManager": names.MANAGED_BY}
        return await self._write("create", resource, path_of(resource, namespace), body, query)

    async def apply(
        self,
        resource: Resource,
        namespace: str,
        name: str,
        body: Mapping[str, Any],
        *,
        manager: str,
        force: bool = True,
        dry_run: bool = False,
    ) -> Object:
        """Server-side apply: the fields of `body` become `manager`'s, and those it no longer gives go."""
        query = {"fieldManager": manager, "force": "true" if force else "false"}
        if dry_run:
            query["dryRun"] = "All"
        return await self._write("apply", resource, path_of(resource, namespace, name), body, query)

    async def merge(
        self,
        resource: Resource,
        namespace: str,
        name: str,
        body: Mapping[str, Any],
        *,
        subresource: str = "",
        resource_version: str | None = None,
    ) -> Object:
        """JSON merge patch. With `resource_version`: Conflict unless the object still has it."""
        patch = dict(body)
        if resource_version is not None:
            patch["metadata"] = {**patch.get("metadata", {}), "resourceVersion": resource_version}
        path = path_of(resource, namespace, name, subresource)
        return await self._write("patch", resource, path, patch, {"fieldManager": names.MANAGED_BY})

    async def delete(
        self,
        resource: Resource,
        namespace: str,
        name: str,
        *,
        uid: str | None = None,
        propagation: str = "Background",
    ) -> bool:
        """Ask for the object's deletion; False when it was gone. With `uid`: Conflict when a namesake has its name."""
        options: Object = {"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": propagation}
        if uid is not None:
            options["preconditions"] = {"uid": uid}
        with suppress(NotFound):
            await self._write("delete", resource, path_of(resource, namespace, name), options, {})
            return True
        return False

    async def _list(self, resource: Resource, namespace: str | None, labels: str, limit: int) -> Listing:
        query = {"limit": str(limit)}
        if labels:
            query["labelSelector"] = labels
        items: list[Object] = []
        for _ in range(MOST_PAGES):
            page = await self._call("list", resource.plural, path_of(resource, namespace), query)
            metadata, found = page.get("metadata"), page.get("items")
            if not isinstance(metadata, dict) or not isinstance(found, list):
                raise _nonsense(f"the list of {resource.plural} has no items")
            for item in found:
                if not isinstance(item, dict) or not isinstance(item.get("metadata"), dict):
                    raise _nonsense(f"the list of {resource.plural} holds something that is no object")
                item.setdefault("apiVersion", resource.api_version)  # lists of built-in kinds leave them out
                item.setdefault("kind", resource.kind)
            items += found
            token = metadata.get("continue")
            if not token:
                return Listing(items, str(metadata.get("resourceVersion", "")))
            query["continue"] = str(token)
        raise _nonsense(f"the list of {resource.plural} does not end")

    async def _write(
        self, verb: str, resource: Resource, path: str, body: Mapping[str, Any], query: dict[str, str]
    ) -> Object:
        try:
            data = json.dumps(body, allow_nan=False).encode()
        except (ValueError, TypeError, RecursionError) as error:
            raise Invalid(0, "NotJson", f"the {resource.kind} cannot be written as JSON: {error}") from error
        return await self._call(verb, resource.plural, path, query, data)

    async def _call(
        self, verb: str, resource: str, path: str, query: Mapping[str, str] | None = None, data: bytes | None = None
    ) -> Object:
        method, content_type = _METHODS[verb]
        url = URL(self._access.server + path, encoded=True).with_query(query or None)
        headers = {"Content-Type": content_type} if data is not None else {}
        try:
            status, retry_after, answer = await self._send(method, url, headers, data)
            if status == 401:  # the credentials were marked as stale, so this time they are read anew
                self._count(verb, resource, "401")
                status, retry_after, answer = await self._send(method, url, headers, data)
        except TimeoutError:
            self._count(verb, resource, "timeout")
            raise Unavailable(0, "Timeout", f"no answer to {verb} {resource} in time") from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            self._count(verb, resource, "connection")
            raise Unavailable(0, "Connection", f"{verb} {resource}: {type(error).__name__}: {error}") from error
        self._count(verb, resource, str(status))
        return understand(status, answer, retry_after)

    async def _send(
        self, method: str, url: URL, headers: Mapping[str, str], data: bytes | None
    ) -> tuple[int, str | None, bytes]:
        if self._session is None:
            self._session = self._access.session()
        if data is not None and self._guard is not None:
            self._guard()
        request = self._session.request(
            method, url, headers=headers, data=data, timeout=self._timeout, allow_redirects=False
        )
        async with request as response:
            return response.status, response.headers.get("Retry-After"), await response.read()

    def _count(self, verb: str, resource: str, code: str) -> None:
        if self._on_call is not None:
            self._on_call(verb, resource, code)


_METHODS = {
    "get": ("GET", ""),
    "list": ("GET", ""),
    "create": ("POST", "application/json"),
    "apply": ("PATCH", "application/apply-patch+yaml"),  # JSON is YAML
    "patch": ("PATCH", "application/merge-patch+json"),
    "delete": ("DELETE", "application/json"),
}


def path_of(resource: Resource, namespace: str | None, name: str = "", subresource: str = "") -> str:
    """Path of a kind, an object, or a part of it; each name quoted, so that none leaves its place."""
    root = ("apis", resource.group) if resource.group else ("api",)
    place = ("namespaces", namespace) if namespace else ()
    parts = (*root, resource.version, *place, resource.plural, name, subresource)
    return "/" + "/".join(quote(part, safe="") for part in parts if part)


def understand(status: int, answer: bytes, retry_after: str | None = None) -> Object:
    """The object in an answer, whatever the answer is; raises ApiError when it holds none."""
    try:
        body = json.loads(answer)
    except (ValueError, RecursionError):
        body = None
    if 200 <= status < 300:
        if isinstance(body, dict):
            return body
        raise _nonsense("the answer is not a JSON object")
    details = body if isinstance(body, dict) else {}
    reason = details.get("reason") if isinstance(details.get("reason"), str) else ""
    message = details.get("message") if isinstance(details.get("message"), str) else ""
    message = (message or f"the API server answered {status}")[:LONGEST_MESSAGE]
    if status in (408, 429) or status >= 500 or status < 400:
        raise Unavailable(status, reason or "Unavailable", message, _seconds(retry_after, details))
    if status == 409 and reason == "AlreadyExists":
        raise AlreadyExists(status, reason, message)
    raise _KINDS_OF_ERROR.get(status, ApiError)(status, reason or str(status), message)


def _seconds(header: str | None, status: Mapping[str, Any]) -> float | None:
    """How long the server asks us to wait: a header, or a field of the Status."""
    details = status.get("details")
    asked = header or (details.get("retryAfterSeconds") if isinstance(details, dict) else None)
    try:
        seconds = float(asked)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        return None
    return min(seconds, LONGEST_WAIT) if seconds > 0 else None


def _nonsense(message: str) -> Unavailable:
    return Unavailable(0, "Nonsense", message)
