"""A small Kubernetes API on a loopback port: objects are JSON in memory, with uids, versions and deletion.

It knows what the steps use: get, list by equality of labels and fields, create, server-side apply (a deep merge),
merge patch and delete with a uid precondition. No schemas, no controllers: a test plays those, or uses the real tier.
"""

import copy
import itertools
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

Manifest = dict[str, Any]


class KubernetesApi:
    """The objects by path (`/api/v1/namespaces/N/pods/NAME`), and what was asked: (method, path, field manager)."""

    def __init__(self) -> None:
        self.objects: dict[str, Manifest] = {}
        self.asked: list[tuple[str, str, str]] = []
        self.failures: list[int] = []  # answered to the next requests: a status, or 0 for a dropped connection
        self.lose_answers = 0  # so many next writes take place, but their answers are dropped
        self.lock = threading.RLock()
        self._numbers = itertools.count(1)
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def put(self, path: str, manifest: Manifest) -> Manifest:
        """Store an object as it is, with the metadata that every object has."""
        with self.lock:
            stored = copy.deepcopy(manifest)
            metadata = stored.setdefault("metadata", {})
            metadata.setdefault("name", path.rpartition("/")[2])
            metadata.setdefault("uid", f"uid-{next(self._numbers)}")
            metadata.setdefault("creationTimestamp", datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"))
            metadata["resourceVersion"] = str(next(self._numbers))
            self.objects[path] = stored
            return stored

    def writes(self) -> list[tuple[str, str, str]]:
        return [asked for asked in self.asked if asked[0] != "GET"]

    def kubeconfig(self) -> Manifest:
        return {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "double", "cluster": {"server": self.url}}],
            "users": [{"name": "step", "user": {"token": "not-a-real-token"}}],
            "contexts": [{"name": "double", "context": {"cluster": "double", "user": "step"}}],
            "current-context": "double",
        }

    # ------------------------------------------------------------ the verbs; each gives (status, answer)

    def get(self, path: str, query: dict[str, str]) -> tuple[int, Manifest]:
        if path in self.objects:
            return 200, self.objects[path]
        if path.partition("/namespaces/")[2].count("/") == 2:  # NAMESPACE/PLURAL/NAME
            return 404, _status(404, "not found")
        found = [value for key, value in self.objects.items() if key.rpartition("/")[0] == path]
        for selector in ("labelSelector", "fieldSelector"):
            for term in filter(None, query.get(selector, "").split(",")):
                name, _, wanted = term.partition("=")
                found = [one for one in found if _field(one, selector, name) == wanted]
        return 200, {"kind": "List", "items": found}

    def create(self, path: str, body: Manifest) -> tuple[int, Manifest]:
        place = f"{path}/{body['metadata']['name']}"
        if place in self.objects:
            return 409, _status(409, "already exists")
        return 201, self.put(place, body)

    def patch(self, path: str, body: Manifest, *, apply: bool) -> tuple[int, Manifest]:
        live = self.objects.get(path)
        if live is None:
            return (201, self.put(path, body)) if apply else (404, _status(404, "not found"))
        uid = body.get("metadata", {}).get("uid")
        if uid not in (None, live["metadata"]["uid"]):
            return 409, _status(409, "the uid differs")
        return 200, self.put(path, _merged(live, body))

    def delete(self, path: str, body: Manifest) -> tuple[int, Manifest]:
        live = self.objects.get(path)
        if live is None:
            return 404, _status(404, "not found")
        if body.get("preconditions", {}).get("uid") not in (None, live["metadata"]["uid"]):
            return 409, _status(409, "the uid differs")
        return 200, self.objects.pop(path)


@contextmanager
def kubernetes_api() -> Iterator[KubernetesApi]:
    api = KubernetesApi()
    try:
        yield api
    finally:
        api.close()


def _handler(api: KubernetesApi) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_any(self) -> None:
            parts = urlsplit(self.path)
            query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
            body = json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)) or b"{}")
            with api.lock:
                api.asked.append((self.command, parts.path, query.get("fieldManager", "")))
                if api.failures:
                    status, answer = api.failures.pop(0), _status(500, "made to fail")
                else:
                    status, answer = self.answer(parts.path, query, body)
                    if self.command != "GET" and api.lose_answers:
                        api.lose_answers -= 1
                        status = 0
                content = json.dumps(answer).encode()
            if status == 0:
                self.close_connection = True
                self.connection.close()
                return
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def answer(self, path: str, query: dict[str, str], body: Manifest) -> tuple[int, Manifest]:
            if self.command == "GET":
                return api.get(path, query)
            if self.command == "POST":
                return api.create(path, body)
            if self.command == "DELETE":
                return api.delete(path, body)
            return api.patch(path, body, apply="apply-patch" in self.headers.get("Content-Type", ""))

        do_GET = do_POST = do_PATCH = do_DELETE = handle_any

        def log_message(self, *_arguments: object) -> None:
            pass

    return Handler


def _status(code: int, message: str) -> Manifest:
    return {"kind": "Status", "code": code, "message": message}


def _field(value: Manifest, selector: str, name: str) -> Any:
    if selector == "labelSelector":
        return value["metadata"].get("labels", {}).get(name)
    for part in name.split("."):
        value = value.get(part, {})
    return value


def _merged(live: Any, patch: Any) -> Any:
    if not isinstance(live, dict) or not isinstance(patch, dict):
        return copy.deepcopy(patch)
    merged = {**live, **{name: _merged(live.get(name), value) for name, value in patch.items()}}
    return {name: value for name, value in merged.items() if value is not None}
