"""Campaign 3: KFP creates the run and its answer never arrives. There is one live run all the same, one training."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping

import pytest

from tests.cluster.operator.campaigns import Outcome, report, side_by_side
from tests.cluster.operator.runs import serves, status
from tests.cluster.operator.world import World
from tests.doubles.proxy import Answer, Call, Fault, Match
from tests.doubles.proxy.faults import Instead, Lose, Truncate

pytestmark = pytest.mark.slow

TIMEOUT = 2.0

LOST: Mapping[str, Callable[[Match], Fault]] = {
    "no answer in time": lambda match: Lose(match, seconds=3 * TIMEOUT),
    "reset": lambda match: Lose(match),
    "reset three times": lambda match: Lose(match, times=3),
    "409": lambda match: Instead(Answer.of_kubernetes(409, "Conflict"), match, after=True),
    "500": lambda match: Instead(Answer.of_kubernetes(500, "InternalError"), match, after=True),
    "502 of a gateway": lambda match: Instead(Answer(502, b"<html>Bad Gateway</html>"), match, after=True),
    "429": lambda match: Instead(Answer.of_kubernetes(429, "TooManyRequests"), match, after=True),
    "half an answer": lambda match: Truncate(match),
    "another's words": lambda match: Instead(Answer(200, b"{}"), match, after=True),
}


def test_the_answer_to_create_run_is_lost(make_world: Callable[..., World]) -> None:
    world = make_world(pipelines_timeout_seconds=str(TIMEOUT), workers="16")
    operator = world.add_operator()

    def lost(case: str) -> Outcome:
        name = "-".join(["lost", *case.replace("'", "").lower().split()])

        def is_creation(call: Call) -> bool:
            creation = call.method == "POST" and call.resource == "runs"
            return creation and re.fullmatch(rf"{name}-\w{{8}}-r1-a1", call.json()["display_name"]) is not None

        fault = LOST[case](is_creation)
        operator.pipelines.add(fault)
        began = time.monotonic()
        world.apply(name)
        run = world.wait_run("it serves", lambda run: serves(run, 1), name)
        outcome = Outcome(case, seconds=time.monotonic() - began, struck=bool(fault.hits))
        if not fault.hits:
            outcome.problems.append("the fault never struck")
        world.wait_closed(name)
        runs, jobs = world.pipeline_runs(name), world.jobs(name)
        if len(runs) != 1 or runs[0]["state"] != "SUCCEEDED":
            outcome.problems.append(f"pipeline runs: {[one['state'] for one in runs]}\n{world.story()}")
        if jobs != {f"{name}-r1"}:
            outcome.problems.append(f"jobs: {jobs}")
        if status(run)["revisions"][0]["pipelineRun"]["id"] != runs[0]["id"]:
            outcome.problems.append("status names another run than the one that there is")
        return outcome

    report("campaign 3, the answer to CreateRun lost", side_by_side(LOST, lost))
