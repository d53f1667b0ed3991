"""What fails reaches the object: stage, reason, pod, exit code, last log lines, and what serves keeps serving."""

from __future__ import annotations

import json
from typing import Any

from runwright_components.cluster.ending import fault_of, message
from runwright_components.train.code.failing import Ending, failure_of
from tests.cluster.operator.runs import condition, revision, serves, states, status
from tests.cluster.operator.world import World
from tests.doubles.proxy.faults import Away


def pods(**first: Any) -> list[dict[str, Any]]:
    return [{"run_ms": 300, **first}]


def annotate_namespace(world: World, **annotations: str) -> None:
    """How simulated pods of this namespace behave from now on; see the README of the tier."""
    world.api.merge("v1", "Namespace", world.namespace, {"metadata": {"annotations": annotations}})


def test_a_users_error_ends_the_training_at_once(world: World) -> None:
    fault = {"reason": "TrainingDiverged", "message": "the loss is NaN", "cure": "lower train.learningRate"}
    world.script({"run": "diverged", "pods": pods(exit_code=10, message=json.dumps(fault))})
    world.apply("diverged")
    run = world.wait_run("it failed", lambda run: states(run) == {1: "Failed"}, "diverged")
    failure = status(run)["failure"]
    assert (failure["stage"], failure["reason"], failure["exitCode"]) == ("train", "TrainingDiverged", 10)
    assert failure["pod"].startswith("diverged-r1-master-")
    assert "lower train.learningRate" in failure["message"]
    assert revision(run, 1)["failures"] == 0, "a retry cannot help"
    assert condition(run, "Stalled")["reason"] == "TrainingDiverged"
    assert condition(run, "Trained")["status"] == "False"


def test_user_code_that_raises_is_told_with_its_traceback(world: World) -> None:
    trace = ("Traceback (most recent call last):", '  File "train.py", line 3, in <module>', "KeyError: 'age'")
    ending = Ending(rank=0, time=0.0, kind="KeyError", message="'age'", trace=trace)
    error = failure_of(1, [ending], [], oom=False)
    assert error is not None
    left = message(fault_of(error)).decode()
    world.script({"run": "raising", "pods": pods(exit_code=10, message=left)})
    code = {"path": "s3://models/code", "entrypoint": "churn.train:main"}
    world.apply("raising", train={"code": code, "image": "ghcr.io/acme/train:1.2"})
    world.wait("the pod has the user's image", lambda: "ghcr.io/acme/train:1.2" in _images(world, "raising"))
    run = world.wait_run("it failed", lambda run: states(run) == {1: "Failed"}, "raising")
    failure = status(run)["failure"]
    assert (failure["stage"], failure["reason"], failure["exitCode"]) == ("train", "UserCodeError", 10)
    assert failure["message"].startswith("train.code: KeyError: 'age'")
    assert "line 3" in failure["message"]
    assert "mend the code" in failure["message"]
    assert revision(run, 1)["failures"] == 0, "the same code would raise again"
    assert condition(run, "Stalled")["reason"] == "UserCodeError"


def _images(world: World, name: str) -> set[str]:
    jobs = world.api.list("kubeflow.org/v1", "PyTorchJob", world.namespace, labels=f"runwright.dev/run={name}")
    replicas = [job["spec"]["pytorchReplicaSpecs"]["Master"] for job in jobs]
    return {one["template"]["spec"]["containers"][0]["image"] for one in replicas}


def test_code_on_the_users_own_machine_is_refused(world: World) -> None:
    world.apply("local", train={"code": {"path": "train.py"}})
    run = world.wait_run("it is refused", lambda run: condition(run, "Accepted").get("status") == "False", "local")
    assert "spec.train.code.path: a pod cannot read a path of your machine" in condition(run, "Accepted")["message"]
    world.delete("local")


def test_out_of_memory_spends_the_budget_and_says_so(world: World) -> None:
    world.script({"run": "greedy", "pods": pods(exit_code=137, reason="OOMKilled", message="loading\nallocating")})
    world.apply("greedy", train={"retries": {"failures": 1}})
    run = world.wait_run("it failed", lambda run: states(run) == {1: "Failed"}, "greedy")
    failure = status(run)["failure"]
    assert failure["exitCode"] == 137
    assert "OOMKilled" in failure["message"]
    assert failure["log"][-1] == "allocating"
    assert revision(run, 1)["failures"] == 1
    assert revision(run, 1)["preemptions"] == 0


def test_a_preemption_does_not_spend_the_budget_of_failures(world: World) -> None:
    world.script({"run": "preempted", "pods": [{"run_ms": None, "preempt_after_ms": 300}, {"run_ms": 300}]})
    world.apply("preempted", train={"retries": {"failures": 0}})
    run = world.wait_run("it serves all the same", lambda run: serves(run, 1), "preempted")
    assert revision(run, 1)["failures"] == 0
    assert revision(run, 1)["preemptions"] == 1


def test_too_many_gpus_are_told_within_a_minute_and_are_no_failure(world: World) -> None:
    world.apply("wide", train={"resources": {"gpusPerNode": 9}})
    run = world.wait_run(
        "it says Unschedulable",
        lambda run: condition(run, "Trained").get("reason") == "Unschedulable",
        "wide",
    )
    assert condition(run, "Reconciling")["status"] == "True"
    assert condition(run, "Stalled")["status"] == "False"
    assert "gpu" in condition(run, "Trained")["message"]
    events = world.api.list("v1", "Event", world.namespace, fields="involvedObject.name=wide")
    assert "Unschedulable" in {event["reason"] for event in events}
    world.delete("wide")


def test_a_time_limit_ends_a_training(world: World) -> None:
    world.script({"run": "slow", "pods": [{"run_ms": None}]})
    world.apply("slow", train={"timeout": "5s"})
    run = world.wait_run("it is over", lambda run: states(run) == {1: "Failed"}, "slow")
    assert status(run)["failure"]["reason"] == "DeadlineExceeded"
    world.wait("no job is left", lambda: not world.jobs("slow"))


def test_a_failing_compute_stage_names_the_field(world: World) -> None:
    fault = {"reason": "DataInvalid", "message": "there is no column species", "where": "prepare.target"}
    world.script({"run": "column", "failing": {"prepare": {"fault": fault, "exit_code": 10}}})
    world.apply("column")
    run = world.wait_run("it failed", lambda run: states(run) == {1: "Failed"}, "column")
    failure = status(run)["failure"]
    assert (failure["stage"], failure["reason"]) == ("prepare", "DataInvalid")
    assert failure["message"].startswith("prepare.target: there is no column species")
    assert not world.jobs("column")


def test_a_server_that_cannot_start_gives_its_place_back(make_world: Any) -> None:
    world: World = make_world()
    world.add_operator()
    world.apply("served")
    world.wait_run("revision 1 serves", lambda run: serves(run, 1), "served")
    annotate_namespace(world, **{"sim.serving/waiting": "ImagePullBackOff"})
    world.apply("served", train={"epochs": 7}, deploy={"timeout": "10s"})
    run = world.wait_run("revision 2 failed", lambda run: states(run).get(2) == "Failed", "served")
    failure = status(run)["failure"]
    assert (failure["stage"], failure["reason"]) == ("deploy", "ImagePullBackOff"), failure
    assert status(run)["serving"]["revision"] == 1

    def given_back() -> bool:
        service = world.service("served") or {"metadata": {"labels": {}}}
        return service["metadata"]["labels"].get("runwright.dev/revision") == "1"

    world.wait("the service carries revision 1 again", given_back)
    annotate_namespace(world, **{"sim.serving/waiting": ""})


def test_paths_of_a_machine_are_refused_with_the_field(world: World) -> None:
    world.apply("local", data={"sources": [{"path": "data/penguins.csv"}]})
    run = world.wait_run("it is refused", lambda run: condition(run, "Accepted").get("status") == "False", "local")
    assert condition(run, "Accepted")["reason"] == "InvalidSpec"
    assert condition(run, "Accepted")["message"].startswith("spec.data.sources[0].path")
    assert not world.pipeline_runs("local")


def test_kfp_away_is_a_condition_and_no_failure(make_world: Any) -> None:
    world: World = make_world(pipelines_timeout_seconds="1")
    operator = world.add_operator()
    away = Away()
    operator.pipelines.add(away)
    world.apply("early")
    world.wait_run(
        "it says so",
        lambda run: condition(run, "Submitted").get("reason") == "PipelinesUnavailable",
        "early",
    )
    assert condition(world.run("early"), "Stalled")["status"] == "False"
    operator.pipelines.heal(away)
    world.wait_run("it serves", lambda run: serves(run, 1), "early")
