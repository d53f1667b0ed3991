"""A TrainingRun whose model a TrainJob trains: the operator with the real Kubeflow Trainer 2 and JobSet."""

from __future__ import annotations

from tests.cluster.operator.runs import Manifest, condition, revision, serves, states, status
from tests.cluster.operator.world import World

TRAIN_JOB = ("trainer.kubeflow.org/v1alpha1", "TrainJob")
RUNTIME = ("trainer.kubeflow.org/v1alpha1", "TrainingRuntime")
ENDLESS = [{"run_ms": None}]


def jobs(world: World, name: str) -> list[Manifest]:
    return world.api.list(*TRAIN_JOB, world.namespace, labels=f"runwright.dev/run={name}")


def test_it_serves_what_a_train_job_trained(trainer: None, world: World) -> None:
    world.apply("modern", train={"backend": "trainjob", "resources": {"nodes": 2}})
    run = world.wait_run("it serves", lambda run: serves(run, 1), "modern")
    assert revision(run, 1)["failures"] == 0
    (job,) = jobs(world, "modern")
    assert job["metadata"]["name"] == "modern-r1"
    assert world.jobs("modern") == set(), "no PyTorchJob beside it"


def test_its_failure_reaches_the_object(trainer: None, world: World) -> None:
    world.script({"run": "greedy", "pods": [{"run_ms": 300, "exit_code": 137, "reason": "OOMKilled"}]})
    world.apply("greedy", train={"backend": "trainjob", "retries": {"failures": 1}})
    run = world.wait_run("it failed", lambda run: states(run) == {1: "Failed"}, "greedy")
    failure = status(run)["failure"]
    assert failure["exitCode"] == 137
    assert "OOMKilled after 1 restarts" in failure["message"]
    assert revision(run, 1)["failures"] == 1
    world.wait("no job is left", lambda: not jobs(world, "greedy"))


def test_it_is_cancelled_by_request(trainer: None, world: World) -> None:
    world.script({"run": "cancelled", "pods": ENDLESS})
    world.apply("cancelled", train={"backend": "trainjob"})
    world.wait("it trains", lambda: jobs(world, "cancelled"))
    world.annotate("cancelled", cancel="1")
    run = world.wait_run("it is cancelled", lambda run: states(run) == {1: "Cancelled"}, "cancelled")
    assert condition(run, "Stalled")["reason"] == "Cancelled"
    world.wait("no job is left", lambda: not jobs(world, "cancelled"))


def test_deletion_in_training_ends_everything(trainer: None, world: World) -> None:
    world.script({"run": "deleted", "pods": ENDLESS})
    world.apply("deleted", train={"backend": "trainjob"})
    world.wait("it trains", lambda: jobs(world, "deleted"))
    world.delete("deleted")
    world.wait("the object is gone", lambda: not world.run("deleted"))
    world.wait("and its job", lambda: not jobs(world, "deleted"))
    world.wait("and its runtime", lambda: not world.api.find(*RUNTIME, "deleted-r1", world.namespace))
