"""The InferenceService: what it carries, when it is put right, given back, kept or taken away."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from runwright_api.reasons import ConditionType, Phase, Reason
from runwright_components.contract.cluster import (
    ANNOTATION_MODEL_DIGEST,
)
from runwright_operator.brain.decision import (
    ApplyService,
    DeleteService,
)
from tests.doubles.brain import World, digest, spec


def test_a_model_that_does_not_come_up_gives_way_to_the_one_before() -> None:
    world = World()
    world.train("a")
    world.edit(spec(epochs=3))
    world.settle()
    world.make_model("b")
    world.end_pipeline("succeeded")
    world.settle()
    assert world.seen.service is not None
    assert world.seen.service["metadata"]["annotations"][ANNOTATION_MODEL_DIGEST] == digest("b")
    world.now += timedelta(minutes=11)
    world.settle()
    assert world.revision().state == "Failed"
    assert world.status.failure is not None
    assert (world.status.failure.stage, world.status.failure.reason) == ("deploy", Reason.SERVICE_NOT_READY)
    assert world.seen.service["metadata"]["annotations"][ANNOTATION_MODEL_DIGEST] == digest("a")
    world.serve_up()
    world.settle()
    assert world.status.serving is not None
    assert world.status.serving.revision == 1
    world.edit({**spec(epochs=3), "deploy": {"resources": {"memory": "1Gi"}}})
    world.settle()
    assert world.seen.service["metadata"]["annotations"][ANNOTATION_MODEL_DIGEST] == digest("b"), "tried again"
    assert world.starts() == 2


def test_a_first_model_that_comes_up_late_still_serves() -> None:
    world = World()
    world.settle()
    world.make_model()
    world.end_pipeline("succeeded")
    world.settle()
    world.now += timedelta(minutes=11)
    world.settle()
    assert world.status.phase == Phase.FAILED
    world.serve_up()
    world.settle()
    assert world.status.phase == Phase.SERVING
    assert world.status.failure is None


def test_it_is_ready_once_the_model_serves_though_the_pipeline_run_is_still_closing() -> None:
    world = World()
    world.settle()
    world.make_model()
    world.settle()
    world.record("deploy", state="running")
    assert world.condition(ConditionType.READY)[0] == "False"
    world.serve_up()
    world.settle()
    assert world.condition(ConditionType.READY) == ("True", Reason.SERVING)
    assert world.revision().state == "Succeeded"
    assert world.status.phase == "Serving"
    world.end_pipeline("failed", "the pod was lost")
    world.settle()
    assert world.revision().state == "Succeeded", "it serves, whatever became of the rest"


def test_a_registered_model_is_not_trained_again_when_its_pipeline_run_is_lost() -> None:
    world = World()
    world.settle()
    world.make_model()
    world.end_pipeline("failed", "the pod was lost")
    world.settle()
    assert (world.revision().state, world.starts()) == ("Succeeded", 1)


def test_a_service_that_was_edited_or_deleted_is_put_right() -> None:
    world = World()
    world.train("a")
    count = sum(isinstance(action, ApplyService) for action in world.done)
    world.seen = replace(world.seen, service=None, service_pods=())
    world.settle()
    assert sum(isinstance(action, ApplyService) for action in world.done) == count + 1


def test_a_foreign_service_of_our_name_is_left_alone() -> None:
    world = World()
    world.settle()
    foreign = {"metadata": {"name": "churn", "labels": {}}, "spec": {"predictor": {}}}
    world.seen = replace(world.seen, service=foreign)
    world.make_model()
    world.end_pipeline("succeeded")
    world.settle()
    assert world.seen.service == foreign
    assert world.condition(ConditionType.STALLED) == ("True", Reason.NOT_ALLOWED)


def test_deploy_mode_none_completes_and_takes_the_service_away() -> None:
    world = World()
    world.train("a")
    world.edit({**spec(), "deploy": {"mode": "None"}})
    world.settle()
    assert DeleteService("service") in world.done
    assert world.status.phase == Phase.COMPLETED
    assert world.condition(ConditionType.READY) == ("True", Reason.DEPLOYMENT_OFF)


def test_the_served_model_is_kept_when_the_policy_says_so() -> None:
    world = World({**spec(), "deploy": {"onDelete": "Keep"}})
    world.train()
    assert world.seen.service is not None
    assert "ownerReferences" not in world.seen.service["metadata"]
    world.seen = replace(world.seen, deleting=True, keeps_service=True)
    world.settle()
    assert world.seen.service is not None
    assert not any(isinstance(action, DeleteService) for action in world.done)


def test_a_service_that_shall_be_kept_loses_its_owner_at_once() -> None:
    world = World()
    world.train()
    assert world.seen.service is not None
    assert "ownerReferences" in world.seen.service["metadata"]
    world.edit({**spec(), "deploy": {"onDelete": "Keep"}})
    world.settle()
    assert "ownerReferences" not in world.seen.service["metadata"]
