"""Campaign 2: the watch loses events, falls silent, breaks, is refused.

What a watch lost is found by the next relist. A watch that is dead is noticed: it is open again within 90 s, or the
process ends within 30 s and is started again.
"""

from __future__ import annotations

import itertools
import json
import time
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import pytest

from tests.cluster.operator.campaigns import FULL, Outcome, report, side_by_side
from tests.cluster.operator.runs import condition, serves
from tests.cluster.operator.world import World
from tests.doubles.proxy import Answer, Call, Fault
from tests.doubles.proxy.faults import Cut, Instead, InStreamError, Stall, Truncate

pytestmark = pytest.mark.slow

RELIST = 10.0
SLACK = 20.0  # what an undisturbed run takes longer when many run at once
RECONNECTED = 90.0
ENDED = 30.0


class Event(NamedTuple):
    """The n-th (from 0) event of a kind about one TrainingRun."""

    kind: str
    type: str
    number: int

    def __str__(self) -> str:
        return f"{self.type} {self.kind} #{self.number + 1}"


class Tap(Fault):
    """Counts the events about each TrainingRun, and loses those that it is told to."""

    def __init__(self) -> None:
        super().__init__(lambda call: call.is_watch)
        self.seen: dict[str, Counter[tuple[str, str]]] = {}
        self.lost: dict[str, Event] = {}
        self.wanted: dict[str, Event] = {}

    async def event(self, call: Call, line: bytes) -> bytes | None:
        event = json.loads(line)
        name = _run_of(event)
        if event["type"] == "BOOKMARK" or not name:
            return line
        counts = self.seen.setdefault(name, Counter())
        place = (str(event["object"]["kind"]), str(event["type"]))
        this = Event(*place, counts[place])
        counts[place] += 1
        if self.wanted.get(name) == this:
            self.lost[name] = this
            return None
        return line


def _run_of(event: Mapping[str, Any]) -> str:
    metadata = event["object"].get("metadata", {})
    if event["object"].get("kind") == "TrainingRun":
        return str(metadata["name"])
    return str(metadata.get("labels", {}).get("runwright.dev/run", ""))


def life(world: World, name: str) -> float:
    """A run from its beginning to its end, its service deleted by hand in between; seconds that it all took."""
    began = time.monotonic()
    world.apply(name)
    world.wait_run("it serves", lambda run: serves(run, 1), name, seconds=120)
    world.api.delete("serving.kserve.io/v1beta1", "InferenceService", name, world.namespace)
    world.wait("its service is restored", lambda: _is_ready(world, name), seconds=60)
    world.wait_run("it serves again", lambda run: serves(run, 1), name)
    world.delete(name)
    world.wait("it is gone", lambda: not world.run(name))
    world.wait("and its service", lambda: world.service(name) is None)
    return time.monotonic() - began


def _is_ready(world: World, name: str) -> bool:
    service = world.service(name)
    if service is None or service["metadata"].get("deletionTimestamp"):
        return False
    return bool(world.api.condition(service, "Ready").get("status") == "True")


def test_each_event_lost_once(make_world: Callable[..., World]) -> None:
    world = make_world(relist_seconds=str(RELIST))
    operator = world.add_operator()
    tap = Tap()
    operator.kubernetes.add(tap)
    operator.kubernetes.cut()  # the watches that were open already are not tapped
    calm = life(world, "calm")
    events = [Event(*place, number) for place, count in tap.seen["calm"].items() for number in range(count)]
    if not FULL:
        firsts = [event for event in events if event.number == 0]
        events = firsts
    names = itertools.count()

    def without(event: Event) -> Outcome:
        name = f"run-{next(names)}"
        tap.wanted[name] = event
        seconds = life(world, name)
        outcome = Outcome(str(event), seconds=seconds, struck=name in tap.lost)
        if seconds > calm + 2 * RELIST + SLACK:
            outcome.problems = [f"took {seconds:.0f} s, undisturbed {calm:.0f} s"]
        return outcome

    outcomes = side_by_side(events, without)
    world.wait("the operator has forgotten them all", lambda: _known_runs(operator.metrics()) == 0, seconds=3 * RELIST)
    report("campaign 2, each event lost once", outcomes, undisturbed=f"{calm:.1f} s", relist=f"{RELIST:.0f} s")
    assert operator.running


def _known_runs(page: str) -> float:
    """The sum of the gauge of TrainingRuns by phase."""
    lines = [line for line in page.splitlines() if line.startswith("runwright_runs{")]
    return sum(float(line.rpartition(" ")[2]) for line in lines)


def a_watch(call: Call) -> bool:
    return call.is_watch


def is_list(call: Call) -> bool:
    return call.method == "GET" and not call.is_watch and call.path.endswith(("trainingruns", "configmaps"))


FAULTS: Mapping[str, Callable[[], Fault]] = {
    "silent": lambda: Stall(a_watch),
    "broken at once, ten times": lambda: Cut(a_watch, times=50),
    "410 in answer": lambda: Instead(Answer.of_kubernetes(410, "Expired"), a_watch, times=10),
    "410 in the stream": lambda: InStreamError(410, "Expired", a_watch, times=10),
    "500 in the stream": lambda: InStreamError(500, "InternalError", a_watch, times=10),
    "401": lambda: Instead(Answer.of_kubernetes(401, "Unauthorized"), a_watch, times=10),
    "403": lambda: Instead(Answer.of_kubernetes(403, "Forbidden"), a_watch, times=10),
    "429": lambda: Instead(Answer.of_kubernetes(429, "TooManyRequests"), a_watch, times=10),
    "500": lambda: Instead(Answer.of_kubernetes(500, "InternalError"), a_watch, times=10),
    "truncated JSON": lambda: Truncate(a_watch, times=10),
    "lists refused": lambda: Instead(Answer.of_kubernetes(500, "InternalError"), is_list, times=10),
    "everything 401": lambda: Instead(Answer.of_kubernetes(401, "Unauthorized"), lambda _: True, times=30),
}


def test_a_watch_that_is_dead_is_noticed(make_world: Callable[..., World]) -> None:
    outcomes = side_by_side(FAULTS, lambda name: disturbed(make_world(), name, FAULTS[name]()))
    report("campaign 2, dead watches", outcomes, limit=f"{RECONNECTED:.0f} s")


def disturbed(world: World, case: str, fault: Fault) -> Outcome:
    """The fault strikes every watch of an operator at rest; how long until it reacts to a change again?

    The relist is far off, so that only a watch can tell."""
    operator = world.add_operator(relist_seconds="3600")
    world.apply("resting", suspend=True)
    world.wait_run("it rests", lambda run: condition(run, "Suspended").get("status") == "True", "resting")
    operator.kubernetes.add(fault)
    if not isinstance(fault, Stall):
        operator.kubernetes.cut()
    began = time.monotonic()
    # A stalled watch sends nothing and does not end. Each change is one more chance to be noticed.
    ended: list[float] = []

    def poke() -> None:
        if not operator.running and not ended:
            ended.append(time.monotonic() - began)
        world.revive()
        if fault.hits and isinstance(fault, Stall):
            fault.over = True  # what is open stays silent, what is opened anew works

    time.sleep(1.0)
    world.apply("resting", suspend=True, evaluate={"gate": [{"metric": "accuracy", "min": 0.6}]})
    generation = world.run("resting")["metadata"]["generation"]
    world.wait_run(
        "the change is seen",
        lambda run: run["status"].get("observedGeneration") == generation,
        "resting",
        seconds=2 * RECONNECTED,
        meanwhile=poke,
    )
    outcome = Outcome(case, seconds=time.monotonic() - began, struck=bool(fault.hits))
    if outcome.seconds > RECONNECTED:
        outcome.problems.append(f"reconnected after {outcome.seconds:.0f} s")
    if ended and ended[0] > ENDED:
        outcome.problems.append(f"ended after {ended[0]:.0f} s")
    if not fault.hits:
        outcome.problems.append("the fault never struck")
    world.close()
    return outcome
