"""What fails, and what becomes of it: final, tried again within the budget, or ended for its time."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from runwright_api.reasons import ConditionType, Phase, Reason
from runwright_components.contract.cluster import (
    StageFault,
)
from runwright_operator.brain.decision import (
    StopAttempt,
    StopPipeline,
)
from tests.doubles.brain import World, spec


def test_a_users_error_is_final_with_pod_exit_code_and_log() -> None:
    world = World()
    world.settle()
    fault = StageFault(
        reason="DataInvalid",
        message="no such column",
        cure="name another",
        where="prepare.target",
        pod="churn-r1-master-0",
        exit_code=10,
        log=("one", "two"),
    )
    world.record("prepare", "failed", fault=fault)
    world.end_pipeline("failed")
    world.settle()
    assert world.status.phase == Phase.FAILED
    failure = world.status.failure
    assert failure is not None
    assert (failure.stage, failure.reason, failure.pod, failure.exit_code) == (
        "prepare",
        Reason.DATA_INVALID,
        "churn-r1-master-0",
        10,
    )
    assert failure.message == "prepare.target: no such column; name another"
    assert failure.log == ("one", "two")
    assert world.starts() == 1


def test_the_outside_world_failing_is_tried_again_within_the_budget() -> None:
    world = World({**spec(), "train": {"task": "tabular-classification", "retries": {"failures": 1}}})
    world.settle()
    world.end_pipeline("failed", error="the driver's pod was lost")
    world.settle()
    assert world.starts() == 2
    assert world.revision().failures == 1
    run = world.revision().pipeline_run
    assert run is not None
    assert run.attempt.endswith("-a2")
    world.end_pipeline("failed", error="again")
    world.settle()
    assert world.status.phase == Phase.FAILED
    assert world.status.failure is not None
    assert world.status.failure.message == "again"
    assert world.starts() == 2


def test_what_a_step_says_counts_while_kubeflow_still_retries_it() -> None:
    world = World()
    world.settle()
    world.record("prepare", "failed", fault=StageFault(reason="DataInvalid", message="no such column"))
    world.settle()
    assert world.revision().state == "Failed"
    assert world.condition(ConditionType.STALLED) == ("True", Reason.DATA_INVALID)
    assert not [action for action in world.done if isinstance(action, StopAttempt | StopPipeline)], "it ends by itself"

    world.seen = replace(world.seen, deleting=True)
    world.settle()
    assert all(run.ended for runs in world.pipelines.values() for run in runs), "nobody is left to see it end"


def test_a_revision_long_over_needs_no_kubeflow_to_go() -> None:
    world = World()
    world.train("a")
    world.now += timedelta(hours=1)
    world.seen = replace(world.seen, deleting=True)
    world.settle()
    assert world.seen.finalizers == ()
    assert not [action for action in world.done if isinstance(action, StopAttempt)]


def test_records_of_an_earlier_attempt_count_for_nothing() -> None:
    world = World()
    world.settle()
    world.record("prepare", "failed", fault=StageFault(reason="SourceUnavailable", message="away"))
    world.end_pipeline("failed")
    world.settle()
    assert world.starts() == 2
    assert world.revision().state == "Running"


def test_more_memory_after_a_failure_starts_it_again_and_another_deploy_does_not() -> None:
    world = World()
    world.settle()
    world.record("train", "failed", fault=StageFault(reason="OOMKilled", message="out of memory", exit_code=137))
    world.end_pipeline("failed")
    world.settle()
    assert world.status.phase == Phase.FAILED
    world.edit({**spec(), "deploy": {"resources": {"memory": "1Gi"}}})
    world.settle()
    assert world.starts() == 1
    world.edit(spec(resources={"memory": "64Gi"}))
    world.settle()
    assert world.starts() == 2
    assert world.status.revision == 1


def test_waiting_for_a_node_is_said_with_its_reason() -> None:
    world = World()
    world.settle()
    waiting = StageFault(reason="Unschedulable", message="0/8 nodes are available: insufficient nvidia.com/gpu")
    world.record("train", "running", waiting=waiting)
    world.settle()
    assert world.condition(ConditionType.TRAINED) == ("False", Reason.UNSCHEDULABLE)
    assert world.condition(ConditionType.RECONCILING) == ("True", Reason.UNSCHEDULABLE)
    assert str(Reason.UNSCHEDULABLE) in world.events


def test_training_that_outlives_its_limit_and_its_step_is_ended() -> None:
    world = World(spec(timeout="10m"))
    world.settle()
    world.record("train", "running")
    world.settle()
    world.now += timedelta(minutes=13)
    world.settle()
    assert world.status.failure is not None
    assert world.status.failure.reason == Reason.DEADLINE_EXCEEDED
    assert any(isinstance(action, StopAttempt) for action in world.done)
