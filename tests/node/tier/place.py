"""What a test may ask of a node tier, of the one that the session started or of one that stays."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

from tests.cluster.tier.api import Api
from tests.cluster.tier.binaries import binary
from tests.cluster.tier.processes import Process
from tests.node.tier.s3 import S3


class Place:
    """`registry` is HOST:PORT of a registry that speaks plain HTTP, for pods' images and for pushing to from this
    machine; `s3` and `address`, where the cluster's servers listen, are reached from pods and from this machine."""

    address: str
    registry: str
    s3: S3

    @property
    def enter(self) -> Sequence[str]:
        """What to put before a command that shall run in the cluster's network."""
        raise NotImplementedError

    def run(self, *arguments: str, given: bytes | None = None) -> str:
        """Runs a program of this machine in the cluster's network, where Services and pods have their addresses.
        Raises RuntimeError with its last words when it fails."""
        return output([*self.enter, *arguments], given)

    def push(self, archive: Path, name: str) -> str:
        """Pushes the archive of an image. Gives its reference with digest, HOST:PORT/NAME@sha256:..."""
        return output([str(binary("crane")), "push", "--insecure", str(archive), f"{self.registry}/{name}"]).strip()


class GivenNode(Place):
    """A tier that somebody else holds; its processes are not ours to stop."""

    def __init__(self, state: Path) -> None:
        found = json.loads(state.read_text())
        self.kubeconfig = Path(found["kubeconfig"])
        self.api = Api.from_kubeconfig(self.kubeconfig)
        self.processes: dict[str, Process] = {}
        self.address = found["address"]
        self.registry = found["registry"]
        self.s3 = S3(**found["s3"])
        self._network = found["network"]

    @property
    def enter(self) -> Sequence[str]:
        return ("nsenter", f"--net=/run/netns/{self._network}", "--")


def output(command: Sequence[str], given: bytes | None = None) -> str:
    """What a command prints; it asks no proxy. Raises RuntimeError with its last words when it fails."""
    environment = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    done = subprocess.run(command, input=given, capture_output=True, env=environment)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: {(done.stderr or done.stdout).decode(errors='replace')[-2000:]}")
    return done.stdout.decode()
