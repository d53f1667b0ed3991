"""A double of the Hugging Face Hub's API for datasets: what huggingface_hub asks to list and download a repository.

It answers with the paths, headers and error codes of huggingface.co (https://huggingface.co/docs/hub/api), from files
in memory: revisions with commits, private and gated repositories, files in LFS that are redirected to another host.
"""

from __future__ import annotations

import hashlib
import json
import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

_INFO = re.compile(r"/api/datasets/([\w.-]+/[\w.-]+)(?:/revision/([^/]+))?")
_TREE = re.compile(r"/api/datasets/([\w.-]+/[\w.-]+)/tree/([^/]+)")
_FILE = re.compile(r"/datasets/([\w.-]+/[\w.-]+)/resolve/([^/]+)/(.+)")
_STORED = re.compile(r"/cdn/([0-9a-f]{64})")


@dataclass
class Repository:
    """Files of each revision. A revision is named by its commit as well."""

    revisions: dict[str, dict[str, bytes]]
    token: str | None = None  # opens a private one
    gated: bool = False
    large: frozenset[str] = frozenset()  # paths that lie in LFS

    def files(self, revision: str) -> dict[str, bytes] | None:
        return next((files for name, files in self.revisions.items() if revision in (name, commit(files))), None)


@dataclass
class Hub:
    """A hub that serves `repositories`; `seen` holds method, path and token of each request."""

    endpoint: str = ""
    repositories: dict[str, Repository] = field(default_factory=dict)
    seen: list[tuple[str, str, str]] = field(default_factory=list)
    status: int | None = None  # what it answers to everything

    def add(self, name: str, files: Mapping[str, bytes], **options: Any) -> Repository:
        self.repositories[name] = Repository({"main": dict(files)}, **options)
        return self.repositories[name]


def commit(files: Mapping[str, bytes]) -> str:
    """The name of a commit: 40 hexadecimal digits that depend on the files."""
    return hashlib.sha1(repr(sorted(files.items())).encode()).hexdigest()


@contextmanager
def hub() -> Iterator[Hub]:
    """A hub on loopback, for as long as the block runs."""
    state = Hub()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = urlsplit(self.path).path
            state.seen.append((self.command, path, self.headers.get("Authorization", "")))
            _answer(self, state, path)

        do_HEAD = do_GET

        def log_message(self, *_args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    state.endpoint = f"http://127.0.0.1:{server.server_port}"
    yield state
    server.shutdown()
    server.server_close()


def _answer(handler: BaseHTTPRequestHandler, state: Hub, path: str) -> None:
    if state.status is not None:
        return _send(handler, state.status, b"")
    if stored := _STORED.fullmatch(path):
        return _send_stored(handler, state, stored[1])
    found = _FILE.fullmatch(path) or _TREE.fullmatch(path) or _INFO.fullmatch(path)
    repository = state.repositories.get(found[1]) if found else None
    if found is None or repository is None or not _open(handler, repository):
        return _refuse(handler, 401 if handler.headers.get("Authorization") is None else 404, "RepoNotFound")
    if repository.gated and not found.re.pattern.startswith("/api"):
        return _refuse(handler, 403, "GatedRepo")
    files = repository.files(unquote(found[2] or "main"))
    if files is None:
        return _refuse(handler, 404, "RevisionNotFound")
    if found.re is _INFO:
        return _send_json(handler, {"id": found[1], "sha": commit(files), "siblings": [], "tags": []})
    if found.re is _TREE:
        return _send_json(handler, [_entry(name, files[name], name in repository.large) for name in sorted(files)])
    return _send_file(handler, files, unquote(found[3]), repository)


def _open(handler: BaseHTTPRequestHandler, repository: Repository) -> bool:
    return repository.token is None or handler.headers.get("Authorization") == f"Bearer {repository.token}"


def _entry(name: str, content: bytes, large: bool) -> dict[str, Any]:
    entry = {"type": "file", "path": name, "size": len(content), "oid": hashlib.sha1(content).hexdigest()}
    if large:
        entry["lfs"] = {"oid": _sha256(content), "size": len(content), "pointerSize": 130}
    return entry


def _send_file(handler: BaseHTTPRequestHandler, files: Mapping[str, bytes], name: str, repository: Repository) -> None:
    if name not in files:
        return _refuse(handler, 404, "EntryNotFound")
    content = files[name]
    about = {"X-Repo-Commit": commit(files)}
    if name not in repository.large:
        return _send(handler, 200, content, ETag=f'"{hashlib.sha1(content).hexdigest()}"', **about)
    digest = _sha256(content)
    about |= {"X-Linked-ETag": f'"{digest}"', "X-Linked-Size": str(len(content))}
    port = handler.server.server_address[1]
    return _send(handler, 302, b"", Location=f"http://localhost:{port}/cdn/{digest}", **about)  # another host


def _send_stored(handler: BaseHTTPRequestHandler, state: Hub, digest: str) -> None:
    contents = (
        content
        for repository in state.repositories.values()
        for files in repository.revisions.values()
        for content in files.values()
    )
    _send(handler, 200, next(content for content in contents if _sha256(content) == digest))


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _refuse(handler: BaseHTTPRequestHandler, status: int, code: str) -> None:
    _send(handler, status, b"", **{"X-Error-Code": code})


def _send_json(handler: BaseHTTPRequestHandler, content: Any) -> None:
    _send(handler, 200, json.dumps(content).encode(), **{"Content-Type": "application/json"})


def _send(handler: BaseHTTPRequestHandler, status: int, content: bytes, **headers: str) -> None:
    handler.send_response(status)
    for name, value in {"Content-Length": str(len(content)), **headers}.items():
        handler.send_header(name, value)
    handler.end_headers()
    if handler.command != "HEAD":
        handler.wfile.write(content)
