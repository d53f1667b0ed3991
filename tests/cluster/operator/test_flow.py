"""The ordinary course on the real control plane: from `kubectl apply` to a Ready InferenceService, and what follows."""

from __future__ import annotations

from collections import Counter

from tests.cluster.operator.runs import condition, is_true, revision, serves, states, status
from tests.cluster.operator.world import World

SLOWER = {"train": {"epochs": 7}}
ENDLESS = [{"run_ms": None}]


def test_apply_ends_in_a_ready_inference_service(world: World) -> None:
    world.apply("first")
    run = world.wait_run("the first revision serves", lambda run: serves(run, 1), "first")
    service = world.service("first")
    assert service is not None
    assert world.api.condition(service, "Ready")["status"] == "True"
    assert {kind: condition(run, kind)["status"] for kind in ("Accepted", "Compiled", "Submitted", "Trained")} == {
        "Accepted": "True",
        "Compiled": "True",
        "Submitted": "True",
        "Trained": "True",
    }
    assert is_true(run, "EvaluationPassed")
    assert is_true(run, "Packaged")
    assert is_true(run, "Deployed")
    assert status(run)["phase"] == "Serving"
    assert len(world.pipeline_runs("first")) == 1
    assert world.jobs("first") == {"first-r1"}


def test_a_changed_recipe_trains_and_a_revert_does_not(world: World) -> None:
    world.apply("revert")
    world.wait_run("revision 1 serves", lambda run: serves(run, 1), "revert")
    world.apply("revert", **SLOWER)
    world.wait_run("revision 2 serves", lambda run: serves(run, 2), "revert")
    world.apply("revert")
    run = world.wait_run("revision 1 serves again", lambda run: serves(run, 1), "revert")
    assert states(run) == {1: "Succeeded", 2: "Succeeded"}
    assert len(world.pipeline_runs("revert")) == 2
    service = world.service("revert")
    assert service is not None
    digest = service["metadata"]["annotations"]["runwright.dev/model-digest"]
    assert digest == revision(run, 1)["artifact"]["modelDigest"]


def test_a_superseded_revision_is_ended(world: World) -> None:
    world.script({"run": "superseded", "revision": 1, "pods": ENDLESS})
    world.apply("superseded")
    world.wait("revision 1 trains", lambda: world.jobs("superseded") == {"superseded-r1"})
    world.apply("superseded", **SLOWER)
    run = world.wait_run("revision 2 serves", lambda run: serves(run, 2), "superseded")
    assert states(run) == {1: "Cancelled", 2: "Succeeded"}
    world.wait_closed("superseded")
    assert Counter(one["state"] for one in world.pipeline_runs("superseded")) == {"CANCELED": 1, "SUCCEEDED": 1}
    world.wait("the job of revision 1 is gone", lambda: world.jobs("superseded") == {"superseded-r2"})


def test_a_changed_gate_judges_anew_without_training(world: World) -> None:
    world.apply("gated", evaluate={"gate": [{"metric": "accuracy", "min": 0.99}]})
    run = world.wait_run("it is rejected", lambda run: states(run) == {1: "Rejected"}, "gated")
    assert world.service("gated") is None
    assert condition(run, "Ready")["reason"] == "GateRejected"
    world.apply("gated", evaluate={"gate": [{"metric": "accuracy", "min": 0.8}]})
    world.wait_run("it serves after all", lambda run: serves(run, 1), "gated")
    assert len(world.pipeline_runs("gated")) == 1


def test_a_rejected_revision_leaves_the_old_one_serving(world: World) -> None:
    world.script({"run": "kept", "revision": 2, "metrics": {"accuracy": 0.1}})
    world.apply("kept")
    world.wait_run("revision 1 serves", lambda run: serves(run, 1), "kept")
    before = world.service("kept")
    world.apply("kept", **SLOWER)
    run = world.wait_run("revision 2 is rejected", lambda run: states(run).get(2) == "Rejected", "kept")
    after = world.service("kept")
    assert before is not None
    assert after is not None
    assert after["metadata"]["generation"] == before["metadata"]["generation"]
    assert status(run)["serving"]["revision"] == 1
    assert "revision 1 keeps serving" in condition(run, "Ready")["message"]


def test_a_pinned_revision_serves_and_an_asked_for_training_starts(world: World) -> None:
    world.apply("pinned")
    world.wait_run("revision 1 serves", lambda run: serves(run, 1), "pinned")
    world.annotate("pinned", retrain="please")
    run = world.wait_run("revision 2 serves", lambda run: serves(run, 2), "pinned")
    assert revision(run, 2)["trigger"] == "Request"
    assert revision(run, 2)["recipe"] == revision(run, 1)["recipe"]
    world.apply("pinned", deploy={"revision": 1})
    world.wait_run("revision 1 serves", lambda run: serves(run, 1), "pinned")
    world.apply("pinned")
    world.wait_run("revision 2 serves", lambda run: serves(run, 2), "pinned")
    assert len(world.pipeline_runs("pinned")) == 2


def test_a_training_is_cancelled_by_request(world: World) -> None:
    world.script({"run": "cancelled", "pods": ENDLESS})
    world.apply("cancelled")
    world.wait("it trains", lambda: world.jobs("cancelled"))
    world.annotate("cancelled", cancel="1")
    run = world.wait_run("it is cancelled", lambda run: states(run) == {1: "Cancelled"}, "cancelled")
    assert condition(run, "Stalled")["reason"] == "Cancelled"
    world.wait("no job is left", lambda: not world.jobs("cancelled"))
    world.wait("nor a pipeline run", lambda: [one["state"] for one in world.pipeline_runs("cancelled")] == ["CANCELED"])


def test_a_suspended_run_starts_nothing(world: World) -> None:
    world.apply("suspended", suspend=True)
    world.wait_run("it says so", lambda run: is_true(run, "Suspended"), "suspended")
    assert not world.pipeline_runs("suspended")
    world.apply("suspended", suspend=False)
    world.wait_run("revision 1 serves", lambda run: serves(run, 1), "suspended")


def test_deletion_in_training_ends_everything(world: World) -> None:
    world.script({"run": "deleted", "pods": ENDLESS})
    world.apply("deleted")
    world.wait("it trains", lambda: world.jobs("deleted"))
    world.delete("deleted")
    world.wait("the object is gone", lambda: not world.run("deleted"))
    world.wait("and its job", lambda: not world.jobs("deleted"))
    world.wait("and its run", lambda: [one["state"] for one in world.pipeline_runs("deleted")] == ["CANCELED"])


def test_deletion_takes_the_service_along_or_leaves_it(world: World) -> None:
    world.apply("goes")
    world.apply("stays", deploy={"onDelete": "Keep"})
    for name in ("goes", "stays"):
        world.wait_run("it serves", lambda run: serves(run, 1), name)
        world.delete(name)
    world.wait("the objects are gone", lambda: not world.run("goes") and not world.run("stays"))
    world.wait("the one service is gone", lambda: world.service("goes") is None)
    kept = world.service("stays")
    assert kept is not None
    assert "ownerReferences" not in kept["metadata"]
    assert world.api.condition(kept, "Ready")["status"] == "True"
