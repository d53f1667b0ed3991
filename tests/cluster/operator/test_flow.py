"""The ordinary course on the real control plane: from `kubectl apply` to a Ready InferenceService, and what follows."""

from __future__ import annotations

from tests.cluster.operator.runs import condition, serves
from tests.cluster.operator.world import World


def test_apply_ends_in_a_ready_inference_service(world: World) -> None:
    world.apply()
    run = world.wait_run("the first revision serves", lambda run: serves(run, 1))
    service = world.service()
    assert service is not None
    assert world.api.condition(service, "Ready")["status"] == "True"
    assert condition(run, "Deployed")["reason"] == "Serving"
    assert len(world.pipeline_runs()) == 1
    assert [job["metadata"]["name"] for job in world.jobs()] == ["penguins-r1"]
