"""The images of this checkout, built once a session and unpacked when a test enters them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest

from images import build
from images.oci import Assembled
from tests.containers.sandbox import Sandbox, refusal

TAKES_TIME = "components-python"


@pytest.fixture(scope="session")
def built() -> Callable[[str], Assembled]:
    """An image by its name. Where none can be built: skipped with the reason, or failed under RUNWRIGHT_REQUIRE=all."""

    @cache
    def get(name: str) -> Assembled:
        try:
            return build.build([name])[0]
        except RuntimeError as error:
            return _impossible(str(error))

    return get


@pytest.fixture(scope="session")
def sandbox(
    built: Callable[[str], Assembled], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[str], Sandbox]]:
    """An unpacked image by its name."""

    @cache
    def get(name: str) -> Sandbox:
        if reason := refusal():
            _impossible(reason)
        return Sandbox.of(built(name), Path(tmp_path_factory.mktemp(name)))

    return get


def _impossible(reason: str) -> Assembled:
    if os.environ.get("RUNWRIGHT_REQUIRE") == "all":
        pytest.fail(reason)
    pytest.skip(reason)
