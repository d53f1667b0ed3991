"""What a tier needs from the machine: without it, skipped with the reason, or failed under RUNWRIGHT_REQUIRE=all."""

import os
import shutil
from collections.abc import Callable

import pytest
from hypothesis import settings

from tests.machine import unable

# The tests of a tier run side by side: two threads a process would wait for one another's cores, spinning.
os.environ.setdefault("OMP_NUM_THREADS", "1")

settings.register_profile("untimed", deadline=None)  # a busy machine is no defect
settings.load_profile("untimed")


@pytest.fixture(scope="session")
def require_tool() -> Callable[[str, str], str]:
    """`require_tool(name, how)` gives the path of a program; `how` says how to install it."""

    def require(name: str, how: str) -> str:
        path = shutil.which(name)
        if path is None:
            unable(f"{name} is not installed; {how}")
        return path

    return require
