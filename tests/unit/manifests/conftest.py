"""The chart's golden renderings, and the real Helm and kubectl to make others with."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cluster.tier.binaries import binary
from tests.golden.rendering import FOLDER, NO_CRD, VARIANTS, render
from tests.machine import unable

Object = dict[str, Any]


@pytest.fixture(scope="session")
def program() -> Callable[[str], Path]:
    """`program(name)` gives a program of the cluster tier, built when it is absent."""

    def find(name: str) -> Path:
        try:
            return binary(name)
        except RuntimeError as error:
            unable(str(error))

    return find


@pytest.fixture
def chart(program: Callable[[str], Path]) -> Callable[..., list[Object]]:
    """`chart(values)` renders the chart with other values. Raises AssertionError with Helm's words when it refuses."""
    program("helm")

    def objects(values: Mapping[str, Any] = NO_CRD, namespace: str = "runwright-system") -> list[Object]:
        try:
            return [one for one in yaml.safe_load_all(render(namespace, values)) if one]
        except subprocess.CalledProcessError as error:
            raise AssertionError(error.stderr) from error

    return objects


@pytest.fixture(params=sorted(VARIANTS))
def rendered(request: pytest.FixtureRequest) -> list[Object]:
    """The objects of each golden rendering in turn."""
    return list(yaml.safe_load_all((FOLDER / f"{request.param}.yaml").read_text(encoding="utf-8")))


@pytest.fixture(scope="session")
def everything() -> list[Object]:
    """The objects of all golden renderings."""
    return [one for name in VARIANTS for one in yaml.safe_load_all((FOLDER / f"{name}.yaml").read_text("utf-8"))]
