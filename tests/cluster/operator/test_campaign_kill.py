"""Campaign 1: kill -9 the operator before and after each write of a full run, to Kubernetes and to KFP.

The writes of an undisturbed run are listed first. Then each is a case on either side: the operator dies there, is
started again at once as a Deployment would, and all must end as the undisturbed run did.
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
SELECTED = (
    "POST runs",
    "PATCH trainingruns/status Pending",
    "PATCH inferenceservices",
    "PATCH trainingruns finalizers",
)


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


def test_killed_around_each_write(make_world: Callable[..., World]) -> None:
    calm = make_world()
    calm.add_operator()
    calm.apply()
    calm.wait_run("the undisturbed run serves", lambda run: serves(run, 1))
    time.sleep(SETTLED)
    golden = picture(calm)
    writes = Counter(describe(call) for call in calm.journal.calls(is_case))
    calm.close()
    every = [
        Case(write, number, after) for write in writes for number in range(writes[write]) for after in (False, True)
    ]
    cases = every if FULL else [case for case in every if case.write.startswith(SELECTED) and case.number == 0]

    outcomes = side_by_side(cases, lambda case: killed(make_world(), case, golden))
    report("campaign 1, killed around each write", outcomes, writes=sum(writes.values()), all_cases=len(every))


def killed(world: World, case: Case, golden: Manifest) -> Outcome:
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
    world.apply()
    world.wait_run(
        "it serves in spite of it all", lambda run: serves(run, 1), seconds=4 * LIMIT, meanwhile=world.revive
    )
    began = kill.struck_at or time.monotonic()
    end = time.monotonic() + LIMIT / 2
    while (wrong := differences(golden, picture(world))) and time.monotonic() < end:
        world.revive()
        time.sleep(0.5)
    outcome = Outcome(str(case), seconds=time.monotonic() - began, struck=kill.struck)
    if wrong:
        outcome.problems = [*wrong, world.story()]
    elif outcome.seconds > LIMIT:
        outcome.problems = [f"took {outcome.seconds:.0f} s after the kill"]
    world.close()
    return outcome
