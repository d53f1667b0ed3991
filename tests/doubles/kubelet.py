"""A kubelet that serves the logs of containers, and nothing else: what the API server asks for `pods/NAME/log`."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit


class Kubelet:
    """Logs by (pod, container); a line is (time, text). `say` adds a line, also to those who follow."""

    def __init__(self, port: int) -> None:
        self.port = port
        self._logs: dict[tuple[str, str], list[tuple[str, str]]] = {}
        self._ended: set[tuple[str, str]] = set()
        self._changed = threading.Condition()

    def say(self, pod: str, container: str, time: str, text: str) -> None:
        with self._changed:
            self._logs.setdefault((pod, container), []).append((time, text))
            self._changed.notify_all()

    def end(self, pod: str, container: str) -> None:
        """The container ended: nobody waits for more of its lines."""
        with self._changed:
            self._ended.add((pod, container))
            self._changed.notify_all()

    def lines(self, pod: str, container: str, query: dict[str, list[str]]) -> Iterator[bytes]:
        key, told = (pod, container), 0
        if "tailLines" in query:
            told = max(0, len(self._logs.get(key, ())) - int(query["tailLines"][0]))
        stamped = query.get("timestamps") == ["true"]
        while True:
            with self._changed:
                new = self._logs.get(key, [])[told:]
                if not new:
                    if query.get("follow") != ["true"] or key in self._ended:
                        return
                    self._changed.wait(timeout=30)
                    continue
            told += len(new)
            for time, text in new:
                yield (f"{time} {text}\n" if stamped else f"{text}\n").encode()


@contextmanager
def kubelet(address: str, certificate: Path, key: Path) -> Iterator[Kubelet]:
    """A kubelet that listens on `address`, at a port of its own, until the block ends."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            url = urlsplit(self.path)
            _, _, _, pod, container = url.path.split("/")  # /containerLogs/NAMESPACE/POD/CONTAINER
            self.send_response(200)
            self.send_header("Content-Type", "text/plain")
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            for line in double.lines(pod, container, parse_qs(url.query)):
                self.wfile.write(b"%x\r\n%s\r\n" % (len(line), line))
            self.wfile.write(b"0\r\n\r\n")

        def log_message(self, *_: object) -> None:
            """Tests read the client's side."""

    server = ThreadingHTTPServer((address, 0), Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    server.daemon_threads = True
    double = Kubelet(server.server_address[1])
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield double
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
