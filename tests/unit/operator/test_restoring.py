"""A TrainingRun that comes back from a backup, under another uid and without status, trains nothing again."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta

import pytest

from runwright_api.names import ANNOTATION_HISTORY, ANNOTATION_RETRAIN
from runwright_api.reasons import ConditionType, Phase, Reason
from runwright_api.status import TrainingRunStatus
from runwright_components.contract.cluster import ANNOTATION_MODEL_DIGEST, StageFault
from runwright_operator.brain.decision import Remember
from runwright_operator.brain.remembering import LARGEST_HISTORY
from runwright_operator.reading import read_history
from runwright_operator.resources import Key
from tests.doubles.brain import World, digest, spec


def history(world: World) -> dict[str, object]:
    return dict(json.loads(world.seen.annotations[ANNOTATION_HISTORY]))


def writes(world: World) -> int:
    return sum(isinstance(action, Remember) for action in world.done)


def up(world: World) -> None:
    world.settle()
    world.serve_up()
    world.settle()


def served(world: World) -> tuple[int, str]:
    assert world.status.serving is not None
    assert world.seen.service is not None
    return world.status.serving.revision, world.seen.service["metadata"]["annotations"][ANNOTATION_MODEL_DIGEST]


def test_the_history_is_back_and_its_model_serves() -> None:
    world = World()
    world.train("a")
    world.edit(spec(epochs=3))
    world.train("b")
    again = world.restored()
    up(again)
    assert again.starts() == 0
    assert served(again) == (2, digest("b"))
    assert again.status.phase == Phase.SERVING
    assert again.condition(ConditionType.READY) == ("True", Reason.SERVING)
    assert again.status.metric == world.status.metric
    before, after = world.status.revisions, again.status.revisions
    passing = {"deploy_time", "circumstances"}
    assert [one.model_dump(exclude=passing) for one in after] == [one.model_dump(exclude=passing) for one in before]
    assert again.events == ["Restored", "Serving"]


def test_what_the_spec_asks_for_now_is_served_and_the_next_recipe_is_the_next_revision() -> None:
    world = World()
    world.train("a")
    world.edit(spec(epochs=3))
    world.train("b")
    again = world.restored()
    again.edit(spec())
    up(again)
    assert (again.starts(), again.status.revision, served(again)) == (0, 1, (1, digest("a")))
    again.edit(spec(epochs=4))
    again.train("c")
    assert (again.starts(), again.status.revision, served(again)) == (1, 3, (3, digest("c")))


def test_a_pin_holds() -> None:
    world = World()
    world.train("a")
    world.edit(spec(epochs=3))
    world.train("b")
    again = world.restored()
    again.edit({**spec(epochs=3), "deploy": {"revision": 1}})
    up(again)
    assert (again.starts(), served(again)) == (0, (1, digest("a")))


def test_a_rejected_model_stays_rejected_and_the_one_before_serves() -> None:
    world = World()
    world.train("a")
    world.edit(spec(epochs=3))
    world.train("b", accuracy=0.5)
    again = world.restored()
    up(again)
    assert again.starts() == 0
    assert again.status.phase == Phase.REJECTED
    assert served(again) == (1, digest("a"))


def test_a_pass_that_ends_halfway_forgets_nothing() -> None:
    """The history may be written, and the status not: somebody else changed the object in between."""
    world = World()
    world.train("a")
    world.edit(spec(epochs=3))
    world.train("b", accuracy=0.5)
    told = history(world)
    again = world.restored()
    again.step()
    assert history(again)["serving"] == told["serving"] == {"revision": 1, "modelDigest": digest("a")}


def test_a_service_that_comes_up_slowly_has_its_whole_time() -> None:
    """The moment that its model was deployed at, in the life before, does not count."""
    world = World()
    world.train("a")
    again = world.restored()
    again.now += timedelta(days=3)
    again.settle()
    again.now += timedelta(minutes=9)
    again.settle()
    assert again.revision().state == "Succeeded"
    assert again.status.phase == Phase.DEPLOYING


def test_a_service_that_was_kept_is_taken_over() -> None:
    world = World({**spec(), "deploy": {"onDelete": "Keep"}})
    world.train("a")
    again = world.restored(service=world.seen.service, service_pods=world.seen.service_pods)
    up(again)
    assert (again.starts(), served(again)) == (0, (1, digest("a")))


def test_a_failed_revision_stays_failed_until_the_spec_changes() -> None:
    world = World(spec(retries={"failures": 0}))
    world.settle()
    world.record("train", "failed", fault=StageFault(reason="UserCodeError", message="boom", log=("last words",) * 20))
    world.end_pipeline("failed")
    world.settle()
    again = world.restored()
    again.settle()
    assert (again.starts(), again.status.phase) == (0, Phase.FAILED)
    assert again.revision().failure is not None
    assert "last words" not in world.seen.annotations[ANNOTATION_HISTORY]
    again.edit(spec(retries={"failures": 1}))
    again.settle()
    assert again.starts() == 1, "other circumstances, another try"


def test_what_was_under_way_starts_anew() -> None:
    world = World()
    world.train("a")
    world.edit(spec(epochs=3))
    world.settle()
    again = world.restored()
    again.settle()
    assert (again.starts(), again.status.revision, again.revision().state) == (1, 2, "Running")
    assert again.revision(1).state == "Succeeded"


def test_a_retraining_that_was_asked_for_is_not_asked_for_again() -> None:
    world = World()
    world.train("a")
    world.annotate(ANNOTATION_RETRAIN, "tuesday")
    world.train("b")
    again = world.restored()
    up(again)
    assert (again.starts(), again.status.retrain) == (0, "tuesday")
    again.annotate(ANNOTATION_RETRAIN, "friday")
    again.settle()
    assert again.starts() == 1


def test_an_object_without_a_history_trains() -> None:
    world = World()
    world.train("a")
    assert history(world)["run"] == "team/churn"
    again = world.restored()
    again.seen = replace(again.seen, annotations={}, history=None)
    again.settle()
    assert again.starts() == 1


@pytest.mark.parametrize("other", [Key("team", "copy"), Key("elsewhere", "churn")])
def test_a_copy_under_another_name_or_namespace_is_another_run(other: Key) -> None:
    world = World()
    world.train("a")
    raw = {"metadata": {"annotations": dict(world.seen.annotations)}}
    assert read_history(raw, Key("team", "churn")) is not None
    assert read_history(raw, other) is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "null",
        "[]",
        "{",
        "[" * 100_000,
        '{"run":"team/churn","revisions":1e999}',
        '{"run":"team/churn","revisions":[1,{}]}',
    ],
)
def test_a_history_that_makes_no_sense_is_none(text: str) -> None:
    found = read_history({"metadata": {"annotations": {ANNOTATION_HISTORY: text}}}, Key("team", "churn"))
    assert found is None or found.revisions == ()


def test_one_write_a_revision() -> None:
    world = World()
    world.train("a")
    assert writes(world) <= 2, "its end, and that it serves"
    count = writes(world)
    world.now += timedelta(days=1)
    world.settle()
    assert writes(world) == count


def test_who_keeps_another_history_in_its_place_is_not_fought_with() -> None:
    """An old backup in git, which Argo CD puts back whenever it is changed."""
    world = World()
    world.train("a")
    old = world.seen.annotations[ANNOTATION_HISTORY]
    world.edit(spec(epochs=3))
    world.train("b")
    world.annotate(ANNOTATION_HISTORY, old)
    count = writes(world)
    world.settle()
    assert writes(world) == count
    assert world.status.revision == 2, "where there is a status, nobody reads it"
    world.edit(spec(epochs=4))
    world.train("c")
    assert writes(world) > count


def test_a_history_that_was_taken_away_is_written_again() -> None:
    world = World()
    world.train("a")
    before = history(world)
    world.seen = replace(world.seen, annotations={}, history=None)
    world.settle()
    assert history(world) == before


def test_a_long_history_is_bounded_and_loses_the_oldest() -> None:
    world = World({**spec(), "history": {"limit": 30}})
    for number in range(1, 31):
        world.edit({**spec(epochs=number), "history": {"limit": 30}})
        world.settle()
        metrics = {f"{index:02}-{'m' * 60}": 1 / 3 for index in range(63)} | {"accuracy": 0.9}
        world.record("train", failures=0, gpu_seconds=12.0)
        world.record("evaluate", result={"model_digest": digest("a"), "metrics": metrics})
        place = {"uri": "s3://models/" + "p" * 900, "digest": digest("a"), "model_digest": digest("a"), "version": 1}
        world.record("register", result=place)
        world.end_pipeline("succeeded")
        world.settle()
        if number == 1:
            world.serve_up()
            world.settle()
    text = world.seen.annotations[ANNOTATION_HISTORY]
    assert len(text) <= LARGEST_HISTORY
    numbers = [one["number"] for one in json.loads(text)["revisions"]]
    assert numbers[-1] == 30
    assert 5 < len(numbers) < 30
    again = world.restored()
    up(again)
    assert again.starts() == 0


def test_the_same_object_whose_status_was_lost_keeps_verdicts_and_counts_nothing_twice() -> None:
    world = World()
    world.train("a")
    world.edit(spec(epochs=3))
    world.train("b", accuracy=0.5)
    before = world.status
    world.seen = replace(world.seen, status=TrainingRunStatus())
    world.settle()
    assert world.starts() == 2
    assert [one.verdict for one in world.status.revisions] == [one.verdict for one in before.revisions]
    assert world.status.serving is not None
    assert world.status.serving.revision == 1
