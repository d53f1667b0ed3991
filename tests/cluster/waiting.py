"""Waiting for what a control plane does in its own time."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, TypeVar

from kubernetes.client.exceptions import ApiException

from tests.cluster.tier.api import Refused

Seen = TypeVar("Seen")
PASSING = (404, 409, 429, 500)  # answers of the API that another moment may change


PATIENCE = 300.0  # seconds: it tells what hangs, a busy machine is no defect


def eventually(check: Callable[[], Seen | None], seconds: float = PATIENCE, *, every: float = 0.1) -> Seen:
    """Asks until the answer is true, and gives it.

    An AssertionError, or an answer of the API other than 2xx, means not yet; when time is up it fails the test."""
    end = time.monotonic() + seconds
    while True:
        try:
            if seen := check():
                return seen
            last = f"the last answer was {seen!r}"
        except (AssertionError, Refused) as error:
            if time.monotonic() > end:
                raise
            last = str(error)
        if time.monotonic() > end:
            raise AssertionError(f"not in {seconds:.0f} s: {last}")
        time.sleep(every)


def until(
    what: str,
    check: Callable[[], Any],
    *,
    seconds: float,
    every: float,
    story: Callable[[], str],
    meanwhile: Callable[[], None] = lambda: None,
) -> Any:
    """Waits until `check` gives something true, which is given back; an AssertionError of its own ends the wait.

    Raises AssertionError with the story when time is up."""
    end = time.monotonic() + seconds
    while True:
        try:
            if found := check():
                return found
        except ApiException as error:
            if error.status not in PASSING:
                raise
        if time.monotonic() > end:
            raise AssertionError(f"not within {seconds:.0f} s: {what}\n{story()}")
        meanwhile()
        time.sleep(every)
