"""Campaign 1: kill -9 the operator before and after each write, to Kubernetes and to KFP.

The writes of an undisturbed course are listed first. Then each is a case on either side: the operator dies there, is
started again at once as a Deployment would, and all must end as the undisturbed course did.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from typing import NamedTuple

import pytest

from tests.cluster.operator.campaigns import FULL, Outcome, differences, picture, report, side_by_side
from tests.cluster.operator.runs import Manifest, serves
from tests.cluster.operator.world import World
from tests.doubles.proxy import Call
from tests.doubles.proxy.faults import Kill

pytestmark = pytest.mark.slow

LIMIT = 60.0
SETTLED = 2.0
SELECTED = (  # what a default run has time for
    "POST runs",
    "PATCH trainingruns/status Pending without id",
    "PATCH inferenceservices",
    "POST terminate",
)

MakeWorld = Callable[..., World]
Course = Callable[[World, str], None]


def to_serving(world: World, name: str) -> None:
    """A full run."""
    world.apply(name)
    world.wait_run("it serves", lambda run: serves(run, 1), name, meanwhile=world.revive)
    world.wait_closed(name, meanwhile=world.revive)


def to_the_end(world: World, name: str) -> None:
    """A run that is superseded while it trains, and deleted when the second revision serves."""
    world.script({"revision": 1, "pods": [{"run_ms": None}]})
    world.apply(name)
    world.wait("revision 1 trains", lambda: world.jobs(name), meanwhile=world.revive)
    world.apply(name, train={"epochs": 7})
    world.wait_run("revision 2 serves", lambda run: serves(run, 2), name, meanwhile=world.revive)
    world.wait_closed(name, meanwhile=world.revive)
    world.delete(name)
    world.wait("it is gone", lambda: not world.run(name), meanwhile=world.revive)


class Case(NamedTuple):
    """Kill at the n-th (from 0) write of this description."""

    write: str
    number: int
    after: bool

    def __str__(self) -> str:
        return f"{'after' if self.after else 'before'} {self.write} #{self.number + 1}"


def describe(call: Call) -> str:
    """A write by what it is about, so that it is found again in another run."""
    told = f"{call.method} {call.resource}"
    body = call.json()
    if call.resource == "trainingruns":
        return f"{told} {' '.join(sorted(body['metadata'].keys() - {'resourceVersion'}))}"
    if call.resource == "trainingruns/status":
        return " ".join((told, *_news(body["status"])))
    if call.resource == "events":
        return f"{told} {body.get('reason', '')}"
    return told


def _news(patch: Manifest) -> list[str]:
    """The state of the newest revision and how far it came, where the patch speaks of it."""
    if not patch.get("revisions"):
        return ["progress"] if "progress" in patch else ["conditions"]
    newest = patch["revisions"][-1]
    run = newest.get("pipelineRun", {})
    known = [name for name in ("metrics", "verdict", "artifact", "deployTime") if newest.get(name)]
    return [
        newest["state"],
        "with id" if run.get("id") else "without id",
        *known,
        *(["serving"] * ("serving" in patch)),
    ]


def is_case(call: Call) -> bool:
    """A lease that is renewed tells nothing of the run."""
    return call.is_write and not (call.resource == "leases" and call.method == "PATCH")


def undisturbed(world: World, course: Course) -> tuple[Manifest, Counter[str]]:
    """The picture at the end, and the writes on the way there."""
    world.add_operator()
    course(world, world.namespace)
    time.sleep(SETTLED)
    golden = settled(world, {})
    world.close()
    return golden, Counter(describe(call) for call in world.journal.calls(is_case))


def settled(world: World, golden: Manifest) -> Manifest:
    """The picture, as soon as it is the golden one; else as it is after a while. Garbage collection takes some."""
    end = time.monotonic() + LIMIT
    while differences(golden, found := picture(world, world.namespace)) and time.monotonic() < end:
        world.revive()
        time.sleep(0.5)
    return found


def cases_of(writes: Counter[str], known: Counter[str]) -> list[Case]:
    """Each write that is not known already, from either side."""
    new = [(write, number) for write, count in writes.items() for number in range(known[write], count)]
    every = [Case(write, number, after) for write, number in new for after in (False, True)]
    return every if FULL else [case for case in every if case.write in SELECTED]


def test_killed_around_each_write_of_a_full_run(make_world: MakeWorld) -> None:
    golden, writes = undisturbed(make_world(), to_serving)
    cases = cases_of(writes, Counter())
    outcomes = side_by_side(cases, lambda case: killed(make_world(), case, to_serving, golden))
    report(
        "campaign 1, killed around each write of a full run",
        outcomes,
        writes=writes.total(),
        limit=LIMIT,
    )


def test_killed_around_each_write_of_an_end(make_world: MakeWorld) -> None:
    _, known = undisturbed(make_world(), to_serving)
    golden, writes = undisturbed(make_world(), to_the_end)
    outcomes = side_by_side(cases_of(writes, known), lambda case: killed(make_world(), case, to_the_end, golden))
    report("campaign 1, killed around each write of an end", outcomes, writes=writes.total(), limit=LIMIT)


def killed(world: World, case: Case, course: Course, golden: Manifest) -> Outcome:
    operator = world.add_operator(start=False)
    kill = Kill(
        lambda: operator.pid,
        lambda call: is_case(call) and describe(call) == case.write,
        after=case.after,
        skip=case.number,
    )
    operator.kubernetes.add(kill)
    operator.pipelines.add(kill)
    operator.start(wait=False)
    course(world, world.namespace)
    wrong = differences(golden, settled(world, golden))
    outcome = Outcome(str(case), struck=kill.struck)
    outcome.seconds = time.monotonic() - (kill.struck_at or time.monotonic())
    if wrong:
        outcome.problems = [*wrong, world.story()]
    world.close()
    return outcome
