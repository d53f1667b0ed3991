"""A real MariaDB for the time of some tests."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pymysql

from tests.machine import unable

PASSWORD = "so-secret-a-word"


@contextmanager
def mariadb() -> Iterator[str]:
    """The address of a MariaDB of our own on a loopback port, with the database `shop` and a user who owns it."""
    install, server = _program("mariadb-install-db"), _program("mariadbd")
    with tempfile.TemporaryDirectory(prefix="runwright-mariadb-", ignore_cleanup_errors=True) as folder:
        home = Path(folder)
        home.chmod(0o755)
        user = "nobody" if os.getuid() == 0 else None  # it refuses to run as root
        if user is not None:
            shutil.chown(home, user)
        data = f"--datadir={home / 'data'}"
        made = [install, "--no-defaults", data, "--skip-test-db", "--auth-root-authentication-method=normal"]
        done = subprocess.run(made, capture_output=True, text=True, cwd=home, user=user, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        where = [f"--port={port}", "--bind-address=127.0.0.1", f"--socket={home / 'socket'}", "--skip-name-resolve"]
        small = ["--innodb-buffer-pool-size=16M", "--innodb-flush-log-at-trx-commit=0", "--skip-log-bin"]
        with (home / "log").open("wb") as log:
            process = subprocess.Popen(
                [server, "--no-defaults", data, *where, *small], cwd=home, stderr=log, stdout=log, user=user
            )
        try:
            _prepare(home / "socket", process)
            yield f"mysql://study:{PASSWORD}@127.0.0.1:{port}/shop"
        finally:
            process.kill()  # nothing of it is kept
            process.wait(30)


def _program(name: str) -> str:
    found = shutil.which(name, path=os.pathsep.join([os.environ["PATH"], "/usr/sbin"]))
    return found or unable(f"there is no MariaDB: {name} is not on the PATH; install mariadb-server")


def _prepare(path: Path, process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + 60
    while time.monotonic() < until:
        assert process.poll() is None, "MariaDB ended"
        try:
            with pymysql.connect(unix_socket=str(path), user="root") as root, root.cursor() as cursor:
                cursor.execute("CREATE DATABASE shop")
                cursor.execute(f"CREATE USER study@'127.0.0.1' IDENTIFIED BY '{PASSWORD}'")
                cursor.execute("GRANT ALL ON shop.* TO study@'127.0.0.1'")
                cursor.execute("GRANT FILE ON *.* TO study@'127.0.0.1'")
            return
        except pymysql.OperationalError:
            time.sleep(0.05)
    raise AssertionError("MariaDB did not start")
