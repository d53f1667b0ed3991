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

from tests.cluster.operator.campaigns import AT_ONCE, FULL, Outcome, report, side_by_side
from tests.cluster.operator.runs import condition, serves, status
from tests.cluster.operator.world import World
from tests.doubles.proxy import Answer, Call, Fault
from tests.doubles.proxy.faults import Cut, Instead, InStreamError, Stall, Truncate

pytestmark = pytest.mark.slow

RELIST = 10.0
SLACK = 15.0  # lives side by side are not equally long; who is late is counted, not asserted, for the same reason
RECONNECTED = 90.0
ENDED = 30.0
HELD = 15.0
BUSIEST = 10.0  # requests a second of five watches and what goes with them
REOPENED = 3.0


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
    world.wait_run("it serves", lambda run: serves(run, 1), name)
    world.api.delete("serving.kserve.io/v1beta1", "InferenceService", name, world.namespace)
    world.wait("its service is restored", lambda: _is_ready(world, name))
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
    operator.kubernetes.cut()  # watches begin anew, and what is made from now on comes by them
    time.sleep(REOPENED)
    calm = max(
        one.seconds for one in side_by_side(range(AT_ONCE), lambda number: Outcome("", life(world, f"calm-{number}")))
    )
    events = [Event(*place, number) for place, count in tap.seen["calm-0"].items() for number in range(count)]
    if not FULL:
        events = [event for event in events if event.number == 0]
    names = itertools.count()

    def without(event: Event) -> Outcome:
        name = f"run-{next(names)}"
        tap.wanted[name] = event
        seconds = life(world, name)
        return Outcome(str(event), seconds=seconds, struck=name in tap.lost)

    outcomes = side_by_side(events, without)
    world.wait("the operator has forgotten them all", lambda: _known_runs(operator.metrics()) == 0)
    report(
        "campaign 2, each event lost once",
        outcomes,
        undisturbed=f"{calm:.1f} s",
        limit=calm + RELIST + SLACK,
    )
    assert operator.running


def _known_runs(page: str) -> float:
    """The sum of the gauge of TrainingRuns by phase."""
    lines = [line for line in page.splitlines() if line.startswith("runwright_runs{")]
    return sum(float(line.rpartition(" ")[2]) for line in lines)


def a_watch(call: Call) -> bool:
    return call.is_watch


def is_list(call: Call) -> bool:
    return call.method == "GET" and not call.is_watch and call.path.endswith(("trainingruns", "configmaps"))


EVER = 10**9
FAULTS: Mapping[str, Callable[[], tuple[Fault, ...]]] = {
    "silent": lambda: (Stall(a_watch),),
    "broken as soon as open": lambda: (Cut(a_watch, times=EVER),),
    "410 in answer": lambda: (instead(410, "Expired"),),
    "410 in the stream": lambda: (InStreamError(410, "Expired", a_watch, times=EVER),),
    "410 in the stream, and lists refused": lambda: (
        InStreamError(410, "Expired", a_watch, times=EVER),
        Instead(Answer.of_kubernetes(500, "InternalError"), is_list, times=EVER),
    ),
    "500 in the stream": lambda: (InStreamError(500, "InternalError", a_watch, times=EVER),),
    "401": lambda: (instead(401, "Unauthorized"),),
    "401 to everything": lambda: (Instead(Answer.of_kubernetes(401, "Unauthorized"), lambda _: True, times=EVER),),
    "403": lambda: (instead(403, "Forbidden"),),
    "429": lambda: (instead(429, "TooManyRequests"),),
    "500": lambda: (instead(500, "InternalError"),),
    "truncated JSON": lambda: (Truncate(a_watch, times=EVER),),
}


def instead(status: int, reason: str) -> Fault:
    return Instead(Answer.of_kubernetes(status, reason), a_watch, times=EVER)


def test_a_watch_that_is_dead_is_noticed(make_world: Callable[..., World]) -> None:
    outcomes = side_by_side(FAULTS, lambda name: disturbed(make_world(), name, FAULTS[name]()))
    report("campaign 2, dead watches", outcomes, held=f"{HELD:.0f} s", limit=RECONNECTED)


def disturbed(world: World, case: str, faults: tuple[Fault, ...]) -> Outcome:
    """Faults strike every watch for a while. How long from their end until a change made meanwhile is seen?

    Watches that were open stay as they are, silent ones too. The relist is far off, so that only a watch can tell; in
    the end one more change proves that it is a watch that works."""
    operator = world.add_operator(relist_seconds="3600")
    world.apply("resting", suspend=True)
    world.wait_run("it rests", lambda run: condition(run, "Suspended").get("status") == "True", "resting")
    operator.kubernetes.add(*faults)
    silent = isinstance(faults[0], Stall)
    if not silent:
        operator.kubernetes.cut()
    began, ends = time.monotonic(), []
    while time.monotonic() - began < HELD:
        if not ends:
            world.apply("resting", suspend=True, evaluate={"gate": [{"metric": "accuracy", "min": 0.6}]})
        if not operator.running:
            ends.append(time.monotonic() - began)
            world.revive()
        time.sleep(1.0)
    for fault in faults:
        if isinstance(fault, Stall):
            fault.over = True  # for those that are opened from now on
        else:
            operator.kubernetes.heal(fault)
    healed = time.monotonic()
    seen(world)
    outcome = Outcome(case, seconds=time.monotonic() - healed, struck=all(fault.hits for fault in faults))
    world.apply("resting", suspend=True, evaluate={"gate": [{"metric": "accuracy", "min": 0.7}]})
    seen(world)
    if ends and ends[0] > ENDED:
        outcome.problems.append(f"ended after {ends[0]:.0f} s")
    if not outcome.struck:
        outcome.problems.append("the fault never struck")
    if (rate := sum(len(fault.hits) for fault in faults) / HELD) > BUSIEST:
        outcome.problems.append(f"asked {rate:.0f} times a second")
    outcome.case += f" ({sum(len(fault.hits) for fault in faults)} times{', the process ended' if ends else ''})"
    world.close()
    return outcome


def seen(world: World) -> None:
    """Waits until the operator has seen the spec as it is."""
    generation = world.run("resting")["metadata"]["generation"]
    world.wait_run(
        "the change is seen",
        lambda run: status(run).get("observedGeneration") == generation,
        "resting",
        meanwhile=world.revive,
    )
