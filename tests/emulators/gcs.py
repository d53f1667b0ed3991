"""fake-gcs-server, the emulator of Google Cloud Storage, built from its Go module."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from tests.cluster.tier.binaries import binary
from tests.emulators.running import free_port, running

# A key of no account: with `disable_oauth` it signs nothing, which is what the emulator takes.
SERVICE_ACCOUNT_KEY = json.dumps({"disable_oauth": True, "client_email": "", "private_key": "", "private_key_id": ""})


@dataclass(frozen=True)
class Gcs:
    """One that runs."""

    endpoint: str

    def make_bucket(self, name: str) -> None:
        httpx.post(f"{self.endpoint}/storage/v1/b", json={"name": name}, trust_env=False).raise_for_status()

    def put(self, bucket: str, key: str, content: bytes) -> None:
        """By the JSON API: the emulator takes no upload of the XML API, which obstore speaks."""
        place = f"{self.endpoint}/upload/storage/v1/b/{bucket}/o"
        parameters = {"uploadType": "media", "name": key}
        httpx.post(place, params=parameters, content=content, trust_env=False).raise_for_status()


@contextmanager
def fake_gcs_server(folder: Path) -> Iterator[Gcs]:
    """The emulator with nothing in it, its objects in memory; `folder` takes its log. Raises RuntimeError when it
    cannot be built."""
    port = free_port()
    command = [str(binary("fake-gcs-server")), "-scheme", "http", "-host", "127.0.0.1", "-port", str(port)]
    command += ["-backend", "memory", "-public-host", f"127.0.0.1:{port}"]
    with running(command, port, folder / "fake-gcs-server.log"):
        yield Gcs(f"http://127.0.0.1:{port}")
