"""What goes wrong with pods: the right reason on the object, training goes on where it was, the model serves on."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.cluster.operator.runs import Manifest, condition, revision, states, status
from tests.cluster.tier.processes import Process
from tests.node import examples
from tests.node.team import Team, is_ending
from tests.node.tier.cluster import NodeTier

pytestmark = pytest.mark.slow

NAME = "birdstrikes"
SMALL = {"cpu": "200m", "memory": "1500Mi"}
LONG = {"epochs": 120, "earlyStopping": {"enabled": False}, "checkpoint": {"everySteps": 20, "keep": 2}}
"""Minutes of training, with many checkpoints on the way."""
S3_AWAY = 120.0


class Took:
    """Prints how long each part of a test took."""

    def __init__(self) -> None:
        self._began = time.monotonic()

    def __call__(self, what: str) -> None:
        now = time.monotonic()
        print(f"{what}: {now - self._began:.1f} s")
        self._began = now


def test_a_training_outlives_its_step_its_workers_the_operator_and_the_storage(
    team: Team, operator_pod: Callable[[], Manifest], processes: dict[str, Process]
) -> None:
    took = Took()
    team.apply(team.example(NAME, train={**LONG, "resources": {**SMALL, "nodes": 2}}))
    job = _progressed(team, more_than=0)
    took("from apply to the first steps")
    for lose in (_delete, Team.evict):
        _step_is_lost(team, lose)
        assert _uid(team) == job, "the retry adopted the PyTorchJob that runs"
        took("until a lost step is retried")

    operator = operator_pod()["metadata"]["name"]
    team.api.delete("v1", "Pod", operator, "runwright-system")
    team.wait("another operator works", lambda: operator_pod().get("metadata", {}).get("name", operator) != operator)
    took("until another operator works")

    step_before = _steps(team)
    (_, worker) = team.training_pods(NAME)
    team.evict(worker["metadata"]["name"])
    record = _counted(team, preemptions=1)
    assert record["failures"] == 0, "a preemption is no failure"
    _progressed(team, more_than=step_before)
    took("until training goes on after an eviction")

    step_before = _steps(team)
    (master, _) = team.training_pods(NAME)
    kill(team, master, signal.SIGKILL)
    record = _counted(team, failures=1)
    assert record["preemptions"] == 1
    _progressed(team, more_than=step_before)
    took("until training goes on after a worker was killed")

    s3 = processes["s3"]
    s3.pause()
    time.sleep(S3_AWAY)
    s3.resume()
    took("without storage")
    run = team.serving(NAME, 1)
    took("from its return until the model serves")
    assert states(run) == {1: "Succeeded"}
    assert revision(run, 1)["failures"] == 1
    assert revision(run, 1)["preemptions"] == 1


def test_each_way_to_fail_has_its_reason_its_pod_and_its_last_words(team: Team) -> None:
    raising = examples.code("raising", 'print("reading ages")\nages = {}["age"]\n', team.node.s3)
    once = {"retries": {"failures": 0, "preemptions": 0}}
    cases: dict[str, dict[str, Any]] = {
        "memory": {"train": {**once, "resources": {"cpu": "200m", "memory": "200Mi"}}},
        "target": {"prepare": {"target": "no such column"}},
        "raising": {"train": {"model": None, "code": {"path": raising}, "resources": SMALL}},
        "gpus": {"train": {"resources": {**SMALL, "gpusPerNode": 4}}},
        "image": {"train": {"resources": SMALL}},
    }
    _image_missing(team, "image")
    for name, changes in cases.items():
        team.apply(team.example("penguins", name, **changes))

    run = _failed(team, "memory")
    failure = status(run)["failure"]
    assert (failure["stage"], failure["reason"], failure["exitCode"]) == ("train", "OOMKilled", 137)
    assert failure["pod"] == "memory-r1-master-0"
    assert "memory" in failure["message"]

    failure = status(_failed(team, "target"))["failure"]
    assert failure["stage"] == "prepare"
    assert "no such column" in failure["message"]
    assert failure["exitCode"] == 10
    assert failure["pod"]

    run = _failed(team, "raising")
    failure = status(run)["failure"]
    assert (failure["stage"], failure["reason"], failure["exitCode"]) == ("train", "UserCodeError", 10)
    assert failure["pod"] == "raising-r1-master-0"
    assert "KeyError: 'age'" in failure["message"]
    assert "raising.py" in failure["message"]
    assert revision(run, 1)["failures"] == 0, "the same code would raise again"

    told = team.wait_run("gpus waits", "gpus", lambda run: condition(run, "Trained").get("reason") == "Unschedulable")
    assert "nvidia.com/gpu" in condition(told, "Trained")["message"]
    told = team.wait_run(
        "image waits", "image", lambda run: condition(run, "Trained").get("reason") == "ImagePullBackOff"
    )
    assert "no-such-image" in condition(told, "Trained")["message"]
    for name in ("gpus", "image"):
        assert condition(team.run(name), "Stalled")["status"] == "False", "it may yet become well"
        team.api.delete("runwright.dev/v1alpha1", "TrainingRun", name, team.namespace)


def test_a_deploy_step_is_lost_and_a_model_that_does_not_come_up_is_taken_back(team: Team) -> None:
    quick = {"epochs": 5, "resources": SMALL}
    team.apply(team.example("penguins", train=quick, evaluate={"gate": None}))
    run = team.wait_run("it is being deployed", "penguins", lambda run: _runs(run) and _at(run) == "deploy")
    _delete(team, team.step_pod(run, "model")["metadata"]["name"])
    assert states(team.serving("penguins", 1)) == {1: "Succeeded"}, "the operator, or the step's next pod, ended it"
    rows = examples.rows("penguins", 2)
    before = team.ask("penguins", rows)
    with team.asking("penguins", rows) as client:
        starved = {"resources": {"cpu": "100m", "memory": "24Mi"}, "timeout": "1m"}
        team.apply(team.example("penguins", train={**quick, "epochs": 6}, evaluate={"gate": None}, deploy=starved))
        run = team.wait_run("revision 2 failed", "penguins", lambda run: states(run).get(2) == "Failed")
        failure = revision(run, 2)["failure"]
        assert failure["stage"] == "deploy"
        assert failure["reason"] in ("OOMKilled", "ServiceNotReady")
        assert failure["pod"].startswith("penguins-predictor")
        assert status(run)["serving"]["revision"] == 1
        assert team.ask("penguins", rows) == before
    assert not client["failures"], client["failures"]


@pytest.fixture
def operator_pod(team: Team) -> Callable[[], Manifest]:
    """The operator's pod that is ready; {} while none is."""

    def find() -> Manifest:
        labels = "app.kubernetes.io/component=operator"
        for pod in team.api.list("v1", "Pod", "runwright-system", labels=labels):
            if not is_ending(pod) and team.api.condition(pod, "Ready").get("status") == "True":
                return pod
        return {}

    return find


def kill(team: Team, pod: Manifest, number: signal.Signals) -> None:
    """A signal to the container's program, sent from the node."""
    assert isinstance(team.node, NodeTier)
    container = pod["status"]["containerStatuses"][0]["containerID"].removeprefix("containerd://")
    team.node.ctr("tasks", "kill", "--signal", number.name, container)


def _image_missing(team: Team, name: str) -> None:
    """From now on the training pods of one run name an image that the registry does not have."""
    group = "admissionregistration.k8s.io/v1beta1"
    policy = f"{team.namespace}-image"
    image = f"{team.node.registry}/no-such-image:1"
    container = f'Object.spec.containers{{name: "pytorch", image: "{image}"}}'
    expression = f"Object{{spec: Object.spec{{containers: [{container}]}}}}"
    matches = {
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": team.namespace}},
        "objectSelector": {"matchLabels": {"training.kubeflow.org/job-name": f"{name}-r1"}},
        "resourceRules": [{"apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"], "operations": ["CREATE"]}],
    }
    spec = {
        "matchConstraints": matches,
        "mutations": [{"patchType": "ApplyConfiguration", "applyConfiguration": {"expression": expression}}],
        "reinvocationPolicy": "Never",
        "failurePolicy": "Fail",
    }
    kind = "MutatingAdmissionPolicy"
    team.api.create({"apiVersion": group, "kind": kind, "metadata": {"name": policy}, "spec": spec})
    binding = {
        "apiVersion": group,
        "kind": f"{kind}Binding",
        "metadata": {"name": policy},
        "spec": {"policyName": policy},
    }
    team.api.create(binding)


def _failed(team: Team, name: str) -> Manifest:
    return team.wait_run(f"{name} failed", name, lambda run: states(run) == {1: "Failed"})


def _delete(team: Team, pod: str) -> None:
    team.api.delete("v1", "Pod", pod, team.namespace)


def _runs(run: Manifest) -> bool:
    """Whether its newest revision has a pipeline run."""
    revisions = status(run).get("revisions") or [{}]
    return bool(revisions[-1].get("pipelineRun", {}).get("id"))


def _at(run: Manifest) -> str:
    """The stage that runs."""
    return str(status(run).get("progress", {}).get("stage", ""))


def _uid(team: Team) -> str:
    return str(team.job(NAME).get("metadata", {}).get("uid", ""))


def _steps(team: Team) -> int:
    """Optimizer steps that the training has told of."""
    return int((team.record(NAME, "train").get("progress") or {}).get("step") or 0)


def _progressed(team: Team, *, more_than: int) -> str:
    """Waits until training is past that step; gives the uid of its job."""
    team.wait(f"training is past step {more_than}", lambda: _steps(team) > more_than)
    return _uid(team)


def _counted(team: Team, **counts: int) -> Manifest:
    """Waits until the train step's record has these counts."""

    def holds() -> Manifest | None:
        record = team.record(NAME, "train")
        return record if all(record.get(name) == count for name, count in counts.items()) else None

    return dict(team.wait(f"the record counts {counts}", holds))


def _step_is_lost(team: Team, lose: Callable[[Team, str], None]) -> None:
    """Takes the train step's pod away, and waits for the one that KFP starts in its place."""
    run = team.run(NAME)
    before = team.step_pod(run, "model")["metadata"]["name"]
    lose(team, before)

    def another() -> bool:
        pod = team.step_pod(run, "model")
        return bool(pod) and pod["metadata"]["name"] != before and pod["status"]["phase"] == "Running"

    team.wait("the step is retried", another)
