"""Campaign 7: the API server is away for five minutes, KFP for thirty. Nothing is called failed that did not fail,
nobody is hammered, and all goes on soon after.

By default both are away for a short while; RUNWRIGHT_CAMPAIGNS=full takes the real times, by the real clock.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.cluster.operator.campaigns import FULL, Outcome, report
from tests.cluster.operator.runs import condition, serves, states
from tests.cluster.operator.world import World
from tests.doubles.proxy import Call
from tests.doubles.proxy.faults import Away

pytestmark = pytest.mark.slow

API_SERVER_AWAY = 300.0 if FULL else 40.0
KFP_AWAY = 1800.0 if FULL else 40.0
RECOVERED = 120.0
RUNS = 4
TRAINING_MS = 8000


def begin(make_world: Callable[..., World]) -> World:
    """An operator with runs in every state: one serves, some train, and one is asked for in the outage."""
    world = make_world()
    world.add_operator()
    world.apply("serving")
    world.wait_run("it serves", lambda run: serves(run, 1), "serving")
    world.script({"pods": [{"run_ms": TRAINING_MS}]})
    for number in range(RUNS - 1):
        world.apply(f"training-{number}")
    world.wait("they train", lambda: all(world.jobs(f"training-{number}") for number in range(RUNS - 1)))
    return world


def end(world: World, case: str, seconds: float, attempts: list[Call]) -> Outcome:
    """All run to their end; no revision ever failed, none was trained twice."""
    began = time.monotonic()
    names = ["serving", "late", *(f"training-{number}" for number in range(RUNS - 1))]
    for name in names:
        world.wait_run("it serves", lambda run: serves(run, 1), name, meanwhile=world.revive)
    outcome = Outcome(case, seconds=time.monotonic() - began)
    for name in names:
        run = world.run(name)
        if states(run) != {1: "Succeeded"} or run["status"]["revisions"][0].get("failures"):
            outcome.problems.append(f"{name}: {run['status']['revisions']}")
        if len(world.pipeline_runs(name)) != 1:
            outcome.problems.append(f"{name}: {len(world.pipeline_runs(name))} pipeline runs")
    rate = len(attempts) / seconds / len(names)
    busiest = Counter(int(call.began) for call in attempts).most_common(1)
    outcome.case += f": {rate:.2f} attempts/s an object, at most {busiest[0][1] if busiest else 0} in a second"
    if rate > 1.0:
        outcome.problems.append(f"{rate:.1f} attempts a second and object")
    return outcome


def api_server_away(make_world: Callable[..., World]) -> Outcome:
    world = begin(make_world)
    operator = world.operator
    away = Away()
    operator.kubernetes.add(away)
    operator.kubernetes.cut()
    world.apply("late")
    until = time.monotonic() + API_SERVER_AWAY
    restarts = 0
    while time.monotonic() < until:
        restarts += not operator.running
        world.revive()
        time.sleep(1.0)
    operator.kubernetes.heal(away)
    work = [call for call in away.hits if call.resource != "leases"]
    outcome = end(world, f"API server away for {API_SERVER_AWAY:.0f} s", API_SERVER_AWAY, work)
    outcome.case += f", {restarts} restarts"
    return outcome


def pipelines_away(make_world: Callable[..., World]) -> Outcome:
    world = begin(make_world)
    operator = world.operator
    away = Away()
    operator.pipelines.add(away)
    operator.pipelines.cut()
    world.apply("late")
    until = time.monotonic() + KFP_AWAY
    told = False
    problems = []
    while time.monotonic() < until:
        told = told or condition(world.run("late"), "Reconciling").get("reason") == "PipelinesUnavailable"
        for name in ("late", *(f"training-{number}" for number in range(RUNS - 1))):
            if "Failed" in states(world.run(name)).values():
                problems.append(f"{name} was called failed")
        time.sleep(2.0)
    operator.pipelines.heal(away)
    outcome = end(world, f"KFP away for {KFP_AWAY:.0f} s", KFP_AWAY, away.hits)
    outcome.problems += problems
    if not told:
        outcome.problems.append("no condition said that KFP is away")
    if not operator.running:
        outcome.problems.append("the operator ended")
    return outcome


def test_outages(make_world: Callable[..., World]) -> None:
    with ThreadPoolExecutor(2) as pool:
        both = [pool.submit(campaign, make_world) for campaign in (api_server_away, pipelines_away)]
        report("campaign 7, outages", [one.result() for one in both], limit=RECOVERED)
