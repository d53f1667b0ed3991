"""Real servers on 127.0.0.1 for the tests that read or write over a network."""

import os
import threading
import uuid
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple

import httpx
import obstore
import pytest
from moto.server import ThreadedMotoServer
from obstore.store import S3Store


class ObjectStorage(NamedTuple):
    """A fresh bucket on an S3 server of this process."""

    endpoint: str
    bucket: str

    @property
    def uri(self) -> str:
        return f"s3://{self.bucket}"

    def put(self, key: str, content: bytes) -> None:
        obstore.put(self.store, key, content)

    def stored(self) -> list[str]:
        return sorted(meta["path"] for batch in obstore.list(self.store) for meta in batch)

    @property
    def store(self) -> S3Store:
        return S3Store(self.bucket, endpoint=self.endpoint, region="us-east-1", client_options={"allow_http": True})


@pytest.fixture(scope="session")
def s3_endpoint() -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def object_storage(s3_endpoint: str, monkeypatch: pytest.MonkeyPatch) -> ObjectStorage:
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test-key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test-secret")
    bucket = f"bucket-{uuid.uuid4().hex[:12]}"
    httpx.put(f"{s3_endpoint}/{bucket}").raise_for_status()
    return ObjectStorage(s3_endpoint, bucket)


Answer = Callable[[BaseHTTPRequestHandler], None]


class WebServer:
    """An HTTP server whose answers are set by path; `seen` holds each request's method, path and headers."""

    def __init__(self) -> None:
        self.answers: dict[str, Answer] = {}
        self.seen: list[tuple[str, str, dict[str, str]]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.seen.append((self.command, self.path, {k.lower(): v for k, v in self.headers.items()}))
                answer = outer.answers.get(self.path.partition("?")[0], outer.status(404))
                answer(self)

            do_HEAD = do_PUT = do_GET

            def log_message(self, *_args: object) -> None:
                pass

        self.handler = Handler
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    @property
    def port(self) -> int:
        return self._server.server_port

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def serve(self, path: str, content: bytes, **headers: str) -> str:
        """Answer GET and HEAD of `path` with `content`; gives the URL. Header names use _ for -."""

        def answer(handler: BaseHTTPRequestHandler) -> None:
            handler.send_response(200)
            handler.send_header("Content-Length", str(len(content)))
            for name, value in headers.items():
                handler.send_header(name.replace("_", "-"), value)
            handler.end_headers()
            if handler.command == "GET":
                handler.wfile.write(content)

        self.answers[path] = answer
        return self.url + path

    def redirect(self, path: str, location: str) -> str:
        self.answers[path] = self.status(302, location=location)
        return self.url + path

    @staticmethod
    def status(code: int, body: bytes = b"", **headers: str) -> Answer:
        def answer(handler: BaseHTTPRequestHandler) -> None:
            handler.send_response(code)
            handler.send_header("Content-Length", str(len(body)))
            for name, value in headers.items():
                handler.send_header(name, value)
            handler.end_headers()
            if handler.command != "HEAD":
                handler.wfile.write(body)

        return answer

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def web() -> Iterator[WebServer]:
    server = WebServer()
    yield server
    server.close()


@pytest.fixture
def other_web() -> Iterator[WebServer]:
    """A second server: another origin."""
    server = WebServer()
    yield server
    server.close()
