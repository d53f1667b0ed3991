"""What a training's record says it cost, on the revision."""

from typing import Any

import pytest

from runwright_api.status import Revision
from runwright_components.contract.artifacts import Cost
from runwright_components.contract.cluster import StageRecord
from runwright_operator.brain.following import figures
from tests.doubles.brain import digest

REVISION = Revision(number=1, recipe=digest("a"))
COST = Cost(
    seconds=10.0,
    gpu_seconds=20.0,
    cpu_seconds=30.0,
    processes=2,
    restarts=1,
    samples=640,
    samples_per_second=80.0,
    mfu=0.4,
    peak_gpu_bytes=2**30,
    peak_host_bytes=2**28,
    energy_joules=5000.0,
)


def cost_of(result: dict[str, Any], revision: Revision = REVISION) -> Any:
    record = StageRecord(stage="train", run_id="1", state="succeeded", time="2026-11-21T12:00:00Z", result=result)
    return figures({"train": record}, revision)["cost"]


def test_the_cost_of_the_record_is_that_of_the_revision() -> None:
    found = cost_of({"cost": COST.model_dump(mode="json", exclude_none=True)})
    assert (found.seconds, found.processes, found.restarts, found.mfu) == (10.0, 2, 1, 0.4)
    assert (found.peak_gpu_bytes, found.energy_joules) == (2**30, 5000.0)


@pytest.mark.parametrize("result", [{}, {"cost": {"seconds": "many"}}, {"cost": 3}])
def test_without_one_that_can_be_read_what_was_known_stays(result: dict[str, Any]) -> None:
    assert cost_of(result) is None
    known = cost_of({"cost": COST.model_dump(mode="json")})
    assert cost_of(result, REVISION.model_copy(update={"cost": known})) == known
