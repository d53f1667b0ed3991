"""Campaign 9: two replicas, one Lease. The leader is killed, or stopped, or paused for longer than the Lease lasts.

The proxies of both write into one journal in the order in which the requests came: after the first write of the new
leader there is none of the old one.
"""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from tests.cluster.operator.campaigns import FULL, Outcome, report
from tests.cluster.operator.runs import is_true
from tests.cluster.operator.world import Operator, World
from tests.doubles.proxy import Call

pytestmark = pytest.mark.slow

TAKEOVER = 30.0
ROUNDS = 5 if FULL else 1
RUNS = 4
DURATION, RENEW, RETRY = 6.0, 4.0, 0.5  # seconds; the defaults (15, 10, 2) only take longer


def pair(make_world: Callable[..., World]) -> World:
    world = make_world(
        lease_duration_seconds=str(DURATION), lease_renew_seconds=str(RENEW), lease_retry_seconds=str(RETRY)
    )
    for name in ("one", "two"):
        world.add_operator(name)
    return world


@contextmanager
def always_something_to_do(world: World) -> Iterator[None]:
    """Runs whose specs change all the time, so that whoever leads writes all the time."""
    over = threading.Event()

    def change() -> None:
        for number in itertools.count():
            for run in range(RUNS):
                bound = 0.1 + 0.001 * (number % 500)
                world.apply(f"busy-{run}", suspend=True, evaluate={"gate": [{"metric": "accuracy", "min": bound}]})
            if over.wait(0.3):
                return

    thread = threading.Thread(target=change)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def leader(world: World) -> Operator:
    """Whoever wrote last."""

    def found() -> Operator | None:
        writes = world.journal.writes(since=time.monotonic() - 2.0)
        return next((one for one in world.operators if writes and one.name == writes[-1].client), None)

    operator: Operator = world.wait("somebody writes", found)
    return operator


def writes_of(world: World, operator: Operator, since: float) -> list[Call]:
    return [call for call in world.journal.writes(since=since) if call.client == operator.name]


def overlap(world: World, since: float) -> int:
    """How often the writer changed, beyond the once that a takeover is."""
    writers = [name for name, _ in itertools.groupby(call.client for call in world.journal.writes(since=since))]
    return max(0, len(writers) - 2)


def taken_over(world: World, old: Operator, new: Operator, since: float, case: str) -> Outcome:
    world.wait(f"{new.name} writes", lambda: writes_of(world, new, since))
    return Outcome(case, seconds=writes_of(world, new, since)[0].began - since)


def test_two_replicas_never_write_at_once(make_world: Callable[..., World]) -> None:
    world = pair(make_world)
    outcomes = []
    with always_something_to_do(world):
        for _ in range(ROUNDS):
            outcomes += [killed(world), paused(world), stopped(world)]
    for run in range(RUNS):
        world.wait_run("it is as the spec says", lambda run: is_true(run, "Suspended"), f"busy-{run}")
    report(
        "campaign 9, two replicas",
        outcomes,
        limit=TAKEOVER,
        lease=f"{DURATION:.0f} s",
        writes=len(world.journal.writes()),
    )


def others(world: World, old: Operator) -> Operator:
    return next(one for one in world.operators if one is not old)


def killed(world: World) -> Outcome:
    old = leader(world)
    new, since = others(world, old), time.monotonic()
    old.kill()
    outcome = taken_over(world, old, new, since, f"{old.name} killed")
    old.start()
    time.sleep(DURATION)
    outcome.problems += _never_two(world, since)
    return outcome


def paused(world: World) -> Outcome:
    """The old leader wakes up when another leads. What it had in hand it must not write."""
    old = leader(world)
    new, since = others(world, old), time.monotonic()
    old.pause()
    outcome = taken_over(world, old, new, since, f"{old.name} paused")
    time.sleep(1.0)
    old.resume()
    world.wait(f"{old.name} ends itself", lambda: not old.running, meanwhile=lambda: None)
    time.sleep(1.0)
    outcome.problems += _never_two(world, since)
    old.start()
    return outcome


def stopped(world: World) -> Outcome:
    """SIGTERM: the Lease is handed over."""
    old = leader(world)
    new, since = others(world, old), time.monotonic()
    old.stop()
    outcome = taken_over(world, old, new, since, f"{old.name} stopped")
    old.start()
    outcome.problems += _never_two(world, since)
    return outcome


def _never_two(world: World, since: float) -> list[str]:
    changes = overlap(world, since)
    return [f"the writer changed {changes + 1} times, not once"] if changes else []
