"""Azurite, Microsoft's emulator of Azure Storage, from its npm package; kept by version outside of the clone.

python -m tests.emulators.azurite     install it when it is absent, print where it lies
"""

from __future__ import annotations

import base64
import fcntl
import hmac
import json
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import httpx
from obstore.store import AzureStore

from tests.cluster.tier.binaries import cache
from tests.emulators.running import free_port, running

VERSION = "3.35.0"
INTEGRITY = "sha512-GzKmi+/5U0baNRjEEVtBMLpLuIKEJ0uSh0VWBzOI4qe4f5ziJyoZQmcTO7QhxZTF6+rphj7TZS3PtJY7uiiacA=="
NEEDED = "Node.js and npm are needed for Azurite; install them from your distribution or nodejs.org"
ACCOUNT = "runwright"
KEY = "cnVud3JpZ2h0LXRlc3RzLWtleQ=="  # base64 of text of this test


@dataclass(frozen=True)
class Azurite:
    """One that runs."""

    endpoint: str
    account: str = ACCOUNT
    key: str = KEY

    def make_container(self, name: str) -> None:
        """Signed by the account's key, as Azure's "Authorize with Shared Key" says; obstore makes no containers."""
        date = datetime.now(UTC).strftime("%a, %d %b %Y %H:%M:%S GMT")
        headers = {"x-ms-date": date, "x-ms-version": "2021-08-06", "Content-Length": "0"}
        signed = "\n".join(f"{name}:{headers[name]}" for name in ("x-ms-date", "x-ms-version"))
        place = f"/{self.account}/{self.account}/{name}\nrestype:container"
        text = "PUT" + "\n" * 12 + f"{signed}\n{place}"
        digest = hmac.digest(base64.b64decode(self.key), text.encode(), "sha256")
        headers["Authorization"] = f"SharedKey {self.account}:{base64.b64encode(digest).decode()}"
        url = f"{self.endpoint}/{name}?restype=container"
        httpx.put(url, headers=headers, trust_env=False).raise_for_status()

    def container(self, name: str) -> AzureStore:
        """A client that fills a container."""
        return AzureStore(
            name,
            config={"account_name": self.account, "account_key": self.key, "endpoint": self.endpoint},
            client_options={"allow_http": True},
        )


def installed() -> Path:
    """Azurite's program of the blob service. Raises RuntimeError when it cannot be had."""
    target = cache() / "npm" / f"azurite-{VERSION}"
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.with_name(f".{target.name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not target.exists():
                _install(target)
    return target / "node_modules/azurite/dist/src/blob/main.js"


def _install(target: Path) -> None:
    if shutil.which("npm") is None or shutil.which("node") is None:
        raise RuntimeError(NEEDED)
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        part = Path(folder) / "azurite"
        part.mkdir()
        flags = ("--no-audit", "--no-fund", "--ignore-scripts", "--omit=dev", "--prefix", str(part))
        done = subprocess.run(["npm", "install", *flags, f"azurite@{VERSION}"], capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(f"npm install azurite@{VERSION}: {done.stderr[-2000:]}")
        lock = json.loads((part / "package-lock.json").read_text())
        if (found := lock["packages"]["node_modules/azurite"]["integrity"]) != INTEGRITY:
            raise RuntimeError(f"azurite@{VERSION} is {found}, not {INTEGRITY}")
        part.rename(target)


@contextmanager
def azurite(folder: Path) -> Iterator[Azurite]:
    """Azurite with one account, its blobs in memory; `folder` takes its log."""
    port = free_port()
    command = ["node", str(installed()), "--blobHost", "127.0.0.1", "--blobPort", str(port), "--inMemoryPersistence"]
    command += ["--silent", "--skipApiVersionCheck", "--disableTelemetry"]
    with running(command, port, folder / "azurite.log", {"AZURITE_ACCOUNTS": f"{ACCOUNT}:{KEY}"}):
        yield Azurite(f"http://127.0.0.1:{port}/{ACCOUNT}")


if __name__ == "__main__":
    print(installed())
