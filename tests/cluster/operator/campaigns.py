"""What the campaigns share: how many cases to run, side by side, and the figures that they print."""

from __future__ import annotations

import os
import statistics
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, TypeVar

from tests.cluster.operator.runs import Manifest, states, status
from tests.cluster.operator.world import World

FULL = os.environ.get("RUNWRIGHT_CAMPAIGNS") == "full"
"""All cases of the campaigns, instead of a selection that a default run has time for."""
AT_ONCE = int(os.environ.get("RUNWRIGHT_CAMPAIGNS_AT_ONCE", "4"))

_Case = TypeVar("_Case")


@dataclass
class Outcome:
    """What came of one case: its name, seconds until all was well, and what was not; `struck`: the fault happened."""

    case: str
    seconds: float = 0.0
    problems: list[str] = field(default_factory=list)
    struck: bool = True


def side_by_side(cases: Iterable[_Case], work: Callable[[_Case], Outcome]) -> list[Outcome]:
    """Works off the cases, some at once. A case that fails does not stop the others."""

    def one(case: _Case) -> Outcome:
        try:
            return work(case)
        except Exception as error:  # the campaign tells of every case
            return Outcome(str(case), problems=[f"{type(error).__name__}: {error}"])

    with ThreadPoolExecutor(AT_ONCE) as pool:
        return list(pool.map(one, cases))


def report(campaign: str, outcomes: Sequence[Outcome], *, limit: float | None = None, **figures: Any) -> None:
    """Prints the campaign's figures; fails when a case did, with what happened there.

    `limit`: seconds that are meant to be enough. Cases over it are counted, not failed, for a busy machine is
    slow."""
    struck = [one for one in outcomes if one.struck]
    seconds = sorted(one.seconds for one in struck) or [0.0]
    told = {
        "cases": len(outcomes),
        "struck": len(struck),
        "failed": sum(bool(one.problems) for one in outcomes),
        "median s": f"{statistics.median(seconds):.1f}",
        "longest s": f"{seconds[-1]:.1f}",
        **({f"over {limit:.0f} s": sum(one > limit for one in seconds)} if limit else {}),
        **figures,
    }
    print(f"\n{campaign}: " + ", ".join(f"{name} {value}" for name, value in told.items()))
    for one in outcomes:
        print(f"  {one.case}: " + (f"{one.seconds:.1f} s" if one.struck else "did not come up") + _failed(one))
    failed = [one for one in outcomes if one.problems]
    assert not failed, "\n\n".join(f"{one.case}: {problem}" for one in failed for problem in one.problems)


def _failed(outcome: Outcome) -> str:
    return " FAILED" if outcome.problems else ""


def picture(world: World, name: str) -> Manifest:
    """The state of a run and of what belongs to it, without what differs from one run to the next (ids, times)."""
    run = world.run(name)
    told = status(run)
    kept = ("type", "status", "reason")
    return {
        "exists": bool(run),
        "phase": told.get("phase"),
        "states": states(run),
        "serving": told.get("serving", {}).get("revision"),
        "digest": told.get("serving", {}).get("modelDigest"),
        "failures": [one.get("failures", 0) for one in told.get("revisions", ())],
        "attempts": [one["pipelineRun"]["attempt"].rpartition("-")[2] for one in told.get("revisions", ())],
        "conditions": sorted(tuple(one[key] for key in kept) for one in told.get("conditions", ())),
        "finalizers": run.get("metadata", {}).get("finalizers"),
        "jobs": sorted(job.removeprefix(name) for job in world.jobs(name)),
        "pipeline runs": sorted(one["state"] for one in world.pipeline_runs(name)),
        "records": sorted(one["metadata"]["name"].removeprefix(name) for one in world.records()),
        "service": _service(world, name),
    }


def _service(world: World, name: str) -> list[str]:
    """The model that the InferenceService carries, and whether it is ready."""
    service = world.service(name)
    if service is None:
        return []
    digest = service["metadata"]["annotations"]["runwright.dev/model-digest"]
    return [digest, world.api.condition(service, "Ready").get("status", "")]


def differences(wanted: Manifest, found: Manifest) -> list[str]:
    """Where one picture is not as the other."""
    return [f"{key}: {found.get(key)} instead of {value}" for key, value in wanted.items() if found.get(key) != value]
