"""The commands against a real API server. The status is written as the operator writes it, by its subresource."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cluster.cli.commands import KIND, Cli, Running
from tests.cluster.tier.api import Api
from tests.doubles.runs.objects import NAME, run


@pytest.fixture
def command(kubeconfig: Path, namespace: str) -> Callable[..., list[str]]:
    def build(*arguments: str, config: Path = kubeconfig) -> list[str]:
        where = ["--kubeconfig", str(config), "-n", namespace]
        return [sys.executable, "-m", "runwright_cli", *arguments, *where]

    return build


@pytest.fixture
def cli(command: Callable[..., list[str]]) -> Cli:
    """`cli("watch", "penguins")`: the finished command; output that it has on both streams is in stdout."""

    def call(*arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command(*arguments, **options),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=120,
        )

    return call


@pytest.fixture
def started(command: Callable[..., list[str]]) -> Iterator[Callable[..., Running]]:
    """`started("watch", "penguins")`: the command while it runs."""
    running: list[Running] = []

    def start(*arguments: str) -> Running:
        running.append(Running(command(*arguments)))
        return running[-1]

    yield start
    for one in running:
        one.process.kill()
        one.process.wait()


@pytest.fixture
def put(api: Api, namespace: str) -> Callable[[dict[str, Any]], None]:
    """Write a status, for the generation that is there."""

    def write(found: dict[str, Any]) -> None:
        generation = api.get(*KIND, NAME, namespace)["metadata"]["generation"]
        kept = {"progress": None, "failure": None, "serving": None, **found, "observedGeneration": generation}
        api.merge(*KIND, NAME, {"status": kept}, namespace, subresource="status")

    return write


@pytest.fixture
def file(tmp_path: Path) -> Callable[..., str]:
    def write(changes: dict[str, Any] | None = None, **metadata: Any) -> str:
        path = tmp_path / "run.yaml"
        path.write_text(yaml.safe_dump(run(changes, **metadata)))
        return str(path)

    return write
