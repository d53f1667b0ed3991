"""Fixtures for tests of the operator on the real control plane: `world` is a namespace with an operator of its own."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.cluster.operator.world import Cluster, World
from tests.doubles.kfp.process import Double, running

MakeWorld = Callable[..., World]


@pytest.fixture(scope="session")
def cluster(kubeconfig: Path) -> Cluster:
    return Cluster(kubeconfig)


@pytest.fixture(scope="session")
def kfp(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Double]:
    """The double of Kubeflow Pipelines, one for all tests; each puts its own scripts for its own namespace."""
    with running(tmp_path_factory.mktemp("kfp"), "--kubeconfig", str(cluster.path), "--pending", "0.2") as double:
        yield double


def _make(cluster: Cluster, kfp: Double, folder: Path) -> Iterator[MakeWorld]:
    made: list[World] = []
    numbers = itertools.count()  # campaigns make worlds from several threads

    def make(**settings: str) -> World:
        made.append(World(cluster, kfp, folder / f"world-{next(numbers)}", **settings))
        return made[-1]

    yield make
    for world in made:
        world.close()


@pytest.fixture
def make_world(cluster: Cluster, kfp: Double, tmp_path: Path) -> Iterator[MakeWorld]:
    """`make_world(**settings)` gives a namespace without an operator; settings are those of the operator."""
    yield from _make(cluster, kfp, tmp_path)


@pytest.fixture(scope="module")
def world(cluster: Cluster, kfp: Double, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A namespace with an operator that is ready, one for a module: each test gives its TrainingRun another name."""
    for make in _make(cluster, kfp, tmp_path_factory.mktemp("worlds")):
        found = make()
        found.add_operator()
        yield found
