"""A real PostgreSQL for the time of some tests."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.machine import unable

PASSWORD = "so-secret-a-word"


@contextmanager
def postgres() -> Iterator[str]:
    """The address of a PostgreSQL of our own on a loopback port, which asks for the password."""
    initdb, server = program("initdb"), program("postgres")
    with tempfile.TemporaryDirectory(prefix="runwright-postgres-", ignore_cleanup_errors=True) as folder:
        home = Path(folder)
        (home / "password").write_text(PASSWORD)
        user = "nobody" if os.getuid() == 0 else None  # it refuses to run as root
        if user is not None:
            shutil.chown(home, user)
        made = [initdb, "-D", str(home / "data"), "-U", "study", "--auth=scram-sha-256"]
        asked = [f"--pwfile={home / 'password'}", "--no-sync", "--locale=C"]
        done = subprocess.run([*made, *asked], capture_output=True, text=True, cwd=home, user=user, check=False)
        assert done.returncode == 0, done.stderr
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        options = ["-h", "127.0.0.1", "-p", str(port), "-k", "", "-F", "-c", "shared_buffers=8MB"]
        with (home / "log").open("wb") as log:
            process = subprocess.Popen(
                [server, "-D", str(home / "data"), *options], cwd=home, stderr=log, stdout=log, user=user
            )
        try:
            _wait(home / "log", process)
            yield f"postgresql://study:{PASSWORD}@127.0.0.1:{port}/postgres"
        finally:
            process.send_signal(signal.SIGINT)  # at once, with whoever is connected
            process.wait(30)


def program(name: str) -> str:
    """Where it lies: on the PATH, or where Debian keeps those of each version."""
    folders = sorted(map(str, Path("/usr/lib/postgresql").glob("*/bin")), reverse=True)
    found = shutil.which(name, path=os.pathsep.join([os.environ["PATH"], *folders]))
    return found or unable(f"there is no PostgreSQL: {name} is not on the PATH; install postgresql")


def _wait(log: Path, process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + 60
    while time.monotonic() < until:
        assert process.poll() is None
        if b"ready to accept connections" in log.read_bytes():  # it listens before that, and turns everyone away
            return
        time.sleep(0.05)
    raise AssertionError("PostgreSQL did not start")
