"""The images of this checkout, built once a session and unpacked when a test enters them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest

from images import build
from images.oci import Assembled
from tests.containers.sandbox import Sandbox, refusal
from tests.machine import unable

TAKES_TIME = "components-python"


@pytest.fixture(scope="session")
def built() -> Callable[[str], Assembled]:
    """An image by its name. Where none can be built: skipped with the reason, or failed under RUNWRIGHT_REQUIRE=all."""

    @cache
    def get(name: str) -> Assembled:
        try:
            return build.build([name])[0]
        except RuntimeError as error:
            unable(str(error))

    return get


@pytest.fixture(scope="session")
def sandbox(
    built: Callable[[str], Assembled], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[str], Sandbox]]:
    """An unpacked image by its name."""

    @cache
    def get(name: str) -> Sandbox:
        if reason := refusal():
            unable(reason)
        return Sandbox.of(built(name), Path(tmp_path_factory.mktemp(name)))

    return get
