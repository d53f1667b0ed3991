"""The brain, step by step: what is seen goes in, the next status and the actions come out."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from runwright_api.names import ANNOTATION_CANCEL, ANNOTATION_RETRAIN
from runwright_api.reasons import ConditionType, Phase, Reason
from runwright_api.status import TrainingRunStatus
from runwright_components.contract.cluster import (
    ANNOTATION_MODEL_DIGEST,
    StageProgress,
)
from runwright_operator.brain.decision import (
    AddFinalizer,
    ApplyService,
    ArchivePipeline,
    DeleteJob,
    DeleteRecord,
    RemoveFinalizer,
    StartPipeline,
    StopAttempt,
    StopPipeline,
)
from runwright_operator.brain.observed import JobSeen, PipelineSeen
from tests.doubles.brain import NOW, World, digest, spec


def test_apply_to_serving() -> None:
    world = World()
    world.step()
    assert world.status.observed_generation == 1
    assert world.status.phase == Phase.PENDING
    assert world.starts() == 0, "the attempt is written down before anything starts"
    world.settle()
    assert world.starts() == 1
    assert [type(action) for action in world.done] == [AddFinalizer, StartPipeline]
    assert world.revision().state == "Running"
    assert world.condition(ConditionType.SUBMITTED)[0] == "True"
    world.record("train", "running", progress=StageProgress(percent=42, epoch=3))
    world.settle()
    assert world.status.progress is not None
    assert world.status.progress.summary == "train 42%"
    world.train()
    assert world.status.phase == Phase.SERVING
    assert world.condition(ConditionType.READY) == ("True", Reason.SERVING)
    assert world.status.serving is not None
    assert (world.status.serving.revision, world.status.serving.model_digest) == (1, digest("a"))
    assert world.status.metric == "accuracy 0.9"
    assert world.status.progress is None
    assert world.events[:3] == ["RevisionCreated", "PipelineStarted", "GatePassed"]
    assert "Serving" in world.events
    assert all(one.observed_generation == 1 for one in world.status.conditions)


def test_the_model_is_deployed_as_soon_as_it_passed_and_lies_in_the_registry() -> None:
    """The deploy step does the same at that moment; waiting for the end of the pipeline would undo its work."""
    world = World()
    world.settle()
    world.make_model()
    world.settle()
    assert world.revision().state == "Running"
    assert any(isinstance(action, ApplyService) for action in world.done)
    assert world.status.phase == Phase.DEPLOYING


def test_a_finished_run_writes_nothing_more() -> None:
    world = World()
    world.train()
    world.now += timedelta(days=3)
    before = world.status
    decision = world.step()
    assert decision.status == before
    assert (decision.before, decision.then, decision.after) == ((), (), None)


def test_a_rejected_model_never_touches_what_serves() -> None:
    world = World()
    world.train("a")
    service = world.seen.service
    world.edit(spec(epochs=3))
    world.train("b", accuracy=0.5)
    assert world.status.phase == Phase.REJECTED
    assert world.revision().state == "Rejected"
    assert world.condition(ConditionType.READY) == ("False", Reason.GATE_REJECTED)
    assert world.condition(ConditionType.STALLED)[0] == "True"
    assert world.seen.service == service
    assert world.status.serving is not None
    assert world.status.serving.revision == 1
    assert str(Reason.GATE_REJECTED) in world.events


def test_a_changed_gate_judges_again_without_training() -> None:
    world = World()
    world.train("a", accuracy=0.7)
    assert world.status.phase == Phase.REJECTED
    assert world.seen.service is None
    easier = {**spec(), "evaluate": {"gate": [{"metric": "accuracy", "min": 0.6}]}}
    world.edit(easier)
    world.settle()
    world.serve_up()
    world.settle()
    assert world.status.phase == Phase.SERVING
    assert world.starts() == 1
    world.edit(spec())
    world.settle()
    assert world.status.phase == Phase.REJECTED
    assert world.status.serving is not None, "what serves keeps serving"


def test_going_back_to_a_known_recipe_needs_no_training() -> None:
    world = World()
    world.train("a")
    world.edit(spec(epochs=3))
    world.train("b")
    assert world.status.serving is not None
    assert world.status.serving.revision == 2
    world.edit(spec())
    world.settle()
    assert world.status.revision == 1
    assert world.seen.service is not None
    assert world.seen.service["metadata"]["annotations"][ANNOTATION_MODEL_DIGEST] == digest("a")
    world.serve_up()
    world.settle()
    assert world.status.serving is not None
    assert world.status.serving.revision == 1
    assert world.condition(ConditionType.READY) == ("True", Reason.SERVING)
    assert world.starts() == 2


def test_a_pin_serves_an_old_revision_and_its_removal_the_newest() -> None:
    world = World()
    world.train("a")
    world.edit(spec(epochs=3))
    world.train("b")
    world.edit({**spec(epochs=3), "deploy": {"revision": 1}})
    world.settle()
    world.serve_up()
    world.settle()
    assert world.status.serving is not None
    assert world.status.serving.revision == 1
    assert world.condition(ConditionType.READY)[0] == "True"
    assert world.condition(ConditionType.DEPLOYED) == ("True", Reason.ROLLED_BACK)
    world.edit(spec(epochs=3))
    world.settle()
    world.serve_up()
    world.settle()
    assert world.status.serving is not None
    assert world.status.serving.revision == 2
    assert world.starts() == 2


def test_a_pin_to_nothing_is_said_and_changes_nothing() -> None:
    world = World()
    world.train("a")
    world.edit({**spec(), "deploy": {"revision": 7}})
    world.settle()
    assert world.condition(ConditionType.STALLED) == ("True", Reason.INVALID_SPEC)
    assert world.status.serving is not None
    assert world.status.serving.revision == 1


def test_a_changed_recipe_supersedes_what_runs() -> None:
    world = World()
    world.settle()
    world.seen = replace(world.seen, jobs=(JobSeen("churn-r1"),))
    world.edit(spec(epochs=3))
    world.settle()
    stopped = [action for action in world.done if isinstance(action, StopAttempt)]
    assert [action.id for action in stopped] == ["kfp-1"]
    assert DeleteJob("churn-r1") in world.done
    assert world.revision(1).state == "Cancelled"
    assert world.status.revision == 2
    assert world.revision().state == "Running"


def test_nothing_is_superseded_while_kfp_is_away() -> None:
    world = World()
    world.settle()
    world.kfp_error = "no answer"
    world.edit(spec(epochs=3))
    world.settle()
    assert world.status.revision == 1
    assert world.revision(1).state == "Running"
    assert world.condition(ConditionType.RECONCILING) == ("True", Reason.PIPELINES_UNAVAILABLE)
    assert world.status.phase == Phase.RUNNING, "an outage is no failure"
    world.kfp_error = ""
    world.settle()
    assert world.status.revision == 2


def test_a_lost_answer_adopts_the_oldest_and_ends_the_others() -> None:
    world = World()
    world.step()
    run = world.revision().pipeline_run
    assert run is not None
    world.pipelines[run.attempt] = [
        PipelineSeen(id="late", state="running", created=NOW + timedelta(seconds=1)),
        PipelineSeen(id="first", state="running", created=NOW),
    ]
    world.step()
    found = world.revision().pipeline_run
    assert found is not None
    assert found.id == "first"
    assert StopPipeline("late") in world.done
    assert world.starts() == 0


def test_a_duplicate_that_shows_late_is_ended() -> None:
    world = World()
    world.settle()
    run = world.revision().pipeline_run
    assert run is not None
    world.pipelines[run.attempt].append(PipelineSeen(id="late", state="running", created=NOW))
    world.step()
    assert StopPipeline("late") in world.done
    kept = world.revision().pipeline_run
    assert kept is not None
    assert kept.id == "kfp-1"


def test_the_retrain_annotation_makes_a_revision_once() -> None:
    world = World()
    world.train("a")
    world.annotate(ANNOTATION_RETRAIN, "monday")
    world.train("b")
    assert world.status.revision == 2
    assert world.revision().trigger == "Request"
    assert world.revision().request == "monday"
    world.settle()
    assert world.starts() == 2
    world.annotate(ANNOTATION_RETRAIN, "tuesday")
    world.settle()
    assert world.status.revision == 3


def test_an_annotation_that_was_there_from_the_start_asks_for_nothing_more() -> None:
    world = World()
    world.annotate(ANNOTATION_RETRAIN, "monday")
    world.train("a")
    assert world.status.revision == 1
    assert world.starts() == 1


def test_suspended_starts_nothing_and_resumes() -> None:
    world = World({**spec(), "suspend": True})
    world.settle()
    assert world.starts() == 0
    assert world.status.phase == Phase.SUSPENDED
    assert world.condition(ConditionType.SUSPENDED)[0] == "True"
    world.edit(spec())
    world.settle()
    assert world.starts() == 1


def test_what_serves_keeps_serving_while_suspended() -> None:
    world = World()
    world.train("a")
    world.edit({**spec(epochs=3), "suspend": True})
    world.settle()
    assert world.starts() == 1
    assert world.status.serving is not None


def test_cancel_ends_the_revision_and_does_not_start_it_again() -> None:
    world = World()
    world.settle()
    world.annotate(ANNOTATION_CANCEL, "1")
    world.settle()
    assert world.revision().state == "Cancelled"
    assert world.status.failure is not None
    assert world.status.failure.reason == Reason.CANCELLED
    world.settle()
    assert world.starts() == 1


@pytest.mark.parametrize("text", ["", "x", "-1", "99999999999", "٣", "2"])
def test_a_cancel_that_names_nothing_is_passed_over(text: str) -> None:
    world = World()
    world.settle()
    world.annotate(ANNOTATION_CANCEL, text)
    world.settle()
    assert world.revision().state == "Running"


def test_a_refused_spec_changes_nothing_and_coming_back_trains_nothing() -> None:
    world = World()
    world.train("a")
    good = world.seen
    world.seen = replace(good, run=None, recipe="", problems=("spec.train.epochs: must be",), generation=2)
    world.settle()
    assert world.condition(ConditionType.ACCEPTED) == ("False", Reason.INVALID_SPEC)
    assert world.condition(ConditionType.STALLED)[0] == "True"
    assert world.status.serving is not None
    world.edit(spec())
    world.settle()
    assert world.starts() == 1
    assert world.condition(ConditionType.READY)[0] == "True"


def test_history_is_bounded_and_keeps_what_serves() -> None:
    world = World({**spec(), "history": {"limit": 2}})
    world.train("a")
    for epochs, letter in ((2, "b"), (3, "c"), (4, "d")):
        world.edit({**spec(epochs=epochs), "history": {"limit": 2}})
        world.train(letter, accuracy=0.1)
    numbers = [revision.number for revision in world.status.revisions]
    assert numbers == [1, 4]
    assert all(DeleteRecord(number) in world.done for number in (2, 3))
    assert any(isinstance(action, ArchivePipeline) for action in world.done)


@pytest.mark.parametrize("steps", range(6))
def test_deletion_in_any_phase_ends_everything(steps: int) -> None:
    world = World()
    for _ in range(min(steps, 4)):
        world.step()
    if steps == 5:
        world.train()
    world.seen = replace(world.seen, deleting=True, jobs=(JobSeen("churn-r1"),))
    world.settle()
    assert world.seen.finalizers == ()
    active = [one for runs in world.pipelines.values() for one in runs if not one.ended]
    assert active == []
    if any(isinstance(action, AddFinalizer) for action in world.done):
        assert DeleteJob("churn-r1") in world.done
        assert isinstance(world.done[-1], RemoveFinalizer)


def test_a_lost_status_is_read_back_and_trains_nothing() -> None:
    world = World()
    world.train("a")
    world.seen = replace(world.seen, status=TrainingRunStatus())
    world.settle()
    assert world.starts() == 1
    assert world.status.revision == 1
    assert world.status.serving is not None
    assert world.status.phase == Phase.SERVING
