"""What a tier needs of the machine that the tests run on."""

from __future__ import annotations

import os
from typing import NoReturn

import pytest


def unable(reason: str) -> NoReturn:
    """This machine cannot run the test: skipped with the reason, or failed under RUNWRIGHT_REQUIRE=all."""
    if os.environ.get("RUNWRIGHT_REQUIRE") == "all":
        pytest.fail(reason)
    pytest.skip(reason)
