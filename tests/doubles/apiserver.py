"""An API server for the operator's runtime: watches with bookmarks and history, pages, preconditions, and faults.

Objects are JSON in memory; there are no schemas and no controllers. It runs in the caller's event loop. A fault is a
function of the request: it answers in the server's place, or lets the request through by giving None.
"""

from __future__ import annotations

import asyncio
import copy
import itertools
import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Self

from aiohttp import web

from runwright_operator.adapters.access import Access
from runwright_operator.resources import Resource

Object = dict[str, Any]
Fault = Callable[[web.Request], Awaitable[web.StreamResponse | None]]
Place = tuple[str, str, str, str]  # group, plural, namespace, name


class ApiServer:
    """`async with ApiServer(kinds) as api:` listens on a free port of the loopback interface."""

    def __init__(self, *kinds: Resource) -> None:
        self.kinds = list(kinds)
        self.objects: dict[Place, Object] = {}
        self.faults: list[Fault] = []
        self.seen: list[tuple[str, str]] = []
        self.headers: list[Mapping[str, str]] = []
        self.watching = 0
        self.bookmark_seconds = 60.0
        self.silent = False  # watches that are open now say nothing any more
        self._history: list[tuple[int, str, str, Object]] = []  # version, plural, type, object
        self._versions = itertools.count(100)
        self._changed = asyncio.Condition()
        self._runner: web.AppRunner | None = None

    async def __aenter__(self) -> Self:
        app = web.Application(client_max_size=16 * 2**20)
        app.router.add_route("*", "/{path:.*}", self._answer)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1, handler_cancellation=True)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._runner is not None
        await self._runner.cleanup()

    @property
    def url(self) -> str:
        assert self._runner is not None
        return f"http://127.0.0.1:{self._runner.addresses[0][1]}"

    def access(self) -> Access:
        return Access(read=lambda: configuration(self.url))

    def writes(self) -> list[tuple[str, str]]:
        return [asked for asked in self.seen if asked[0] != "GET"]

    @property
    def version(self) -> str:
        return str(next(self._versions))

    async def put(self, resource: Resource, namespace: str, name: str, **parts: Any) -> Object:
        """Create or replace an object from outside."""
        metadata = {"name": name, "namespace": namespace, **parts.pop("metadata", {})}
        return await self._store(resource, {**parts, "metadata": metadata})

    async def remove(self, resource: Resource, namespace: str, name: str) -> None:
        stored = self.objects.pop((resource.group, resource.plural, namespace, name))
        await self._tell(resource, "DELETED", stored)

    # ------------------------------------------------------------ requests

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        self.seen.append((request.method, request.path))
        self.headers.append(dict(request.headers))
        for fault in list(self.faults):
            answer = await fault(request)
            if answer is not None:
                return answer
        parts = request.path.strip("/").split("/")
        if request.path in ("/version", "/api", "/apis"):
            return web.json_response(self._about(request.path))
        group = parts[1] if parts[0] == "apis" else ""
        rest = parts[3:] if group else parts[2:]
        if not rest:
            return web.json_response(self._kinds(group))
        namespace = ""
        if rest[0] == "namespaces" and len(rest) > 2:
            namespace, rest = rest[1], rest[2:]
        resource = next((kind for kind in self.kinds if (kind.group, kind.plural) == (group, rest[0])), None)
        if resource is None:
            return status(404, "NotFound", "the server could not find the requested resource")
        if len(rest) == 1 and request.method == "GET":
            if request.query.get("watch") == "true":
                return await self._watch(request, resource, namespace)
            return self._list(request, resource, namespace)
        body = json.loads(await request.read() or b"{}")
        return await self._object(request.method, resource, namespace, rest[1:], body, request)

    async def _object(
        self, method: str, resource: Resource, namespace: str, rest: list[str], body: Object, request: web.Request
    ) -> web.Response:
        name = rest[0] if rest else str(body.get("metadata", {}).get("name"))
        live = self.objects.get((resource.group, resource.plural, namespace, name))
        if method == "POST":
            if live is not None:
                return status(409, "AlreadyExists", f"{name} already exists")
            body["metadata"] = {**body["metadata"], "namespace": namespace}
            return web.json_response(await self._store(resource, body), status=201)
        applies = "apply-patch" in request.headers.get("Content-Type", "")
        if live is None and applies and method == "PATCH":
            live = {"metadata": {"name": name, "namespace": namespace}}
        if live is None:
            return status(404, "NotFound", f"{name} not found")
        if method == "GET":
            return web.json_response(live)
        wanted = body.get("preconditions" if method == "DELETE" else "metadata") or {}
        for field in ("uid", "resourceVersion"):
            if field in wanted and wanted[field] != live["metadata"].get(field):
                return status(409, "Conflict", f"the {field} is another one")
        if method == "DELETE":
            await self.remove(resource, namespace, name)
            return web.json_response({"kind": "Status", "status": "Success"})
        return web.json_response(await self._store(resource, merged(live, body)))

    def _list(self, request: web.Request, resource: Resource, namespace: str) -> web.Response:
        found = [
            one for place, one in sorted(self.objects.items()) if self._fits(place, one, request, resource, namespace)
        ]
        start, limit = int(request.query.get("continue", "0")), int(request.query.get("limit", "0")) or len(found)
        metadata = {"resourceVersion": self.version}
        if start + limit < len(found):
            metadata["continue"] = str(start + limit)
        return web.json_response(
            {
                "kind": f"{resource.kind}List",
                "apiVersion": resource.api_version,
                "metadata": metadata,
                "items": found[start : start + limit],
            }
        )

    async def _watch(self, request: web.Request, resource: Resource, namespace: str) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        await response.prepare(request)
        self.watching += 1
        version = int(request.query.get("resourceVersion", "0"))
        try:
            while True:
                if self.silent:
                    await asyncio.sleep(3600)
                for at, plural, type_, stored in list(self._history):
                    place = (resource.group, plural, stored["metadata"]["namespace"], "")
                    if at > version and self._fits(place, stored, request, resource, namespace):
                        version = at
                        await response.write(json.dumps({"type": type_, "object": stored}).encode() + b"\n")
                try:
                    async with asyncio.timeout(self.bookmark_seconds), self._changed:
                        await self._changed.wait()
                except TimeoutError:
                    mark = {"kind": resource.kind, "metadata": {"resourceVersion": self.version}}
                    await response.write(json.dumps({"type": "BOOKMARK", "object": mark}).encode() + b"\n")
        except ConnectionError:
            return response
        finally:
            self.watching -= 1

    def _fits(self, place: Place, stored: Object, request: web.Request, resource: Resource, namespace: str) -> bool:
        label, _, value = request.query.get("labelSelector", "").partition("=")
        labels = stored["metadata"].get("labels") or {}
        return (
            place[:2] == (resource.group, resource.plural)
            and namespace in ("", place[2])
            and (not label or (label in labels and value in ("", labels[label])))
        )

    # ------------------------------------------------------------ objects

    async def _store(self, resource: Resource, body: Object) -> Object:
        metadata = body["metadata"]
        place = (resource.group, resource.plural, metadata["namespace"], metadata["name"])
        number = next(self._versions)
        known = self.objects.get(place)
        uid = known["metadata"]["uid"] if known else metadata.get("uid") or f"uid-{number}"
        stored: Object = {
            **copy.deepcopy(body),
            "apiVersion": resource.api_version,
            "kind": resource.kind,
            "metadata": {**metadata, "uid": uid, "resourceVersion": str(number)},
        }
        self.objects[place] = stored
        await self._tell(resource, "MODIFIED" if known else "ADDED", stored, number)
        return stored

    async def _tell(self, resource: Resource, type_: str, stored: Object, number: int = 0) -> None:
        if type_ == "DELETED":
            number = next(self._versions)
            stored = {**stored, "metadata": {**stored["metadata"], "resourceVersion": str(number)}}
        self._history.append((number, resource.plural, type_, stored))
        async with self._changed:
            self._changed.notify_all()

    def _about(self, path: str) -> Object:
        if path == "/version":
            return {"major": "1", "minor": "34", "gitVersion": "v1.34.4"}
        if path == "/api":
            return {"kind": "APIVersions", "versions": ["v1"]}
        groups: dict[str, set[str]] = {"apiextensions.k8s.io": {"v1"}}
        for kind in self.kinds:
            if kind.group:
                groups.setdefault(kind.group, set()).add(kind.version)
        entries = []
        for name, versions in groups.items():
            listed = [{"groupVersion": f"{name}/{version}", "version": version} for version in sorted(versions)]
            entries.append({"name": name, "versions": listed, "preferredVersion": listed[0]})
        return {"kind": "APIGroupList", "groups": entries}

    def _kinds(self, group: str) -> Object:
        verbs = ["get", "list", "watch", "create", "patch", "delete"]
        found = [(kind.plural, kind.kind, True) for kind in self.kinds if kind.group == group]
        if group == "":
            found.append(("namespaces", "Namespace", False))
        if group == "apiextensions.k8s.io":
            found.append(("customresourcedefinitions", "CustomResourceDefinition", False))
        resources = [
            {"name": plural, "kind": kind, "namespaced": namespaced, "singularName": "", "verbs": verbs}
            for plural, kind, namespaced in found
        ]
        return {"kind": "APIResourceList", "resources": resources}


def status(code: int, reason: str, message: str, **more: Any) -> web.Response:
    """A Status, as the API server answers what it refuses."""
    body = {
        "kind": "Status",
        "apiVersion": "v1",
        "status": "Failure",
        "code": code,
        "reason": reason,
        "message": message,
    }
    return web.json_response({**body, **more}, status=code)


def failing(code: int, *, times: int, method: str = "", holding: str = "") -> Fault:
    """Answers so many requests (of the method, whose path holds the text) with a status."""
    left = itertools.count(times, -1)

    async def fault(request: web.Request) -> web.Response | None:
        if method in ("", request.method) and holding in request.path and next(left) > 0:
            return status(code, "Made", "made to fail")
        return None

    return fault


def configuration(url: str, token: str = "not-a-real-token") -> Any:
    """What the `kubernetes` package would have read."""
    from kubernetes.client import Configuration

    made = Configuration(host=url)
    made.api_key["authorization"] = f"Bearer {token}"
    return made


def merged(live: Any, patch: Any) -> Any:
    """JSON merge patch."""
    if not isinstance(patch, dict):
        return copy.deepcopy(patch)
    base = live if isinstance(live, dict) else {}
    result = {**base, **{name: merged(base.get(name), value) for name, value in patch.items() if value is not None}}
    return {name: value for name, value in result.items() if not (name in patch and patch[name] is None)}
