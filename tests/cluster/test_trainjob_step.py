"""The train step with TrainJobs: the real Kubeflow Trainer 2 and JobSet; the nodes are simulated."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from typing import Any

import pytest

from runwright_components.cluster.manifests import train_job, training_runtime
from runwright_components.contract.cluster import JobConfig, StageRecord, StorageConfig, Toleration
from runwright_components.contract.outcome import ExitCode
from tests.cluster.step_cases import CONFIG, TRAIN_JOB, Case
from tests.cluster.tier.api import Api
from tests.cluster.waiting import eventually

Simulate = Callable[..., None]
RUNTIME = ("trainer.kubeflow.org/v1alpha1", "TrainingRuntime")
JOB_SET = ("jobset.x-k8s.io/v1alpha2", "JobSet")


@pytest.fixture
def churn(trainer: None, churn: Case) -> Case:
    return churn.with_job(backend="trainjob")


def _pods(churn: Case) -> list[dict[str, Any]]:
    return churn.api.list("v1", "Pod", churn.namespace, labels="jobset.sigs.k8s.io/jobset-name=churn-r1")


def _running(churn: Case) -> list[dict[str, Any]]:
    return [pod for pod in _pods(churn) if pod.get("status", {}).get("phase") == "Running"]


def _record(churn: Case) -> StageRecord:
    found = churn.record("train")
    assert found is not None
    return found


def _waits_for(churn: Case, reason: str) -> StageRecord:
    def told() -> bool:
        record = churn.record("train")
        return record is not None and record.waiting is not None and record.waiting.reason == reason

    eventually(told, 40)
    return _record(churn)


@pytest.mark.parametrize("nodes", [1, 3])
def test_it_trains_and_brings_the_model(churn: Case, simulate: Simulate, nodes: int) -> None:
    churn.with_job(nodes=nodes)
    simulate(churn.namespace, "training", run_ms=4000)
    churn.keep_model()
    step = churn.train()
    pods = eventually(lambda: found if len(found := _pods(churn)) == nodes else None, 40)
    assert step.wait() == 0, step.said()
    record = _record(churn)
    assert (record.state, record.failures, record.preemptions) == ("succeeded", 0, 0)
    assert record.gpu_seconds is not None
    assert record.gpu_seconds >= nodes
    assert (churn.folder / "model" / "weights.safetensors").read_bytes() == b"weights"
    environment = {one["name"]: one for one in pods[0]["spec"]["containers"][0]["env"]}
    assert environment["PET_NNODES"]["value"] == str(nodes)
    assert environment["PET_MASTER_ADDR"]["value"] == "churn-r1-node-0-0.churn-r1"
    assert "fieldRef" in environment["PET_NODE_RANK"]["valueFrom"]
    assert pods[0]["spec"]["containers"][0]["resources"]["limits"]["nvidia.com/gpu"] == "1"
    eventually(lambda: _pods(churn) == [] or None, 30)
    job = churn.job()
    assert job is not None, "the job itself stays, with its word"
    assert job["metadata"]["ownerReferences"][0]["uid"] == churn.run.uid


def test_a_pod_that_fits_nowhere_is_told_and_goes_when_the_run_is_ended(churn: Case) -> None:
    churn.with_job(gpus_per_node=16)
    step = churn.train()
    waiting = _waits_for(churn, "Unschedulable").waiting
    assert waiting is not None
    assert "Insufficient nvidia.com/gpu" in waiting.message
    assert (waiting.pod or "").startswith("churn-r1-node-0-0-")
    churn.name_run(churn.run_id, state="Cancelled")
    step.process.send_signal(signal.SIGTERM)
    assert step.wait() == ExitCode.CANCELLED, step.said()
    eventually(lambda: churn.job() is None or None, 30)
    eventually(lambda: _pods(churn) == [] or None, 30)


def test_a_missing_image_is_told(churn: Case, simulate: Simulate) -> None:
    simulate(churn.namespace, "training", waiting="ImagePullBackOff", message="no such tag")
    churn.train()
    waiting = _waits_for(churn, "ImagePullBackOff").waiting
    assert waiting is not None
    assert waiting.container == "node"


def test_a_quota_is_told(churn: Case) -> None:
    quota = {"hard": {"requests.nvidia.com/gpu": "0"}}
    metadata = {"name": "gpus", "namespace": churn.namespace}
    churn.api.create({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": metadata, "spec": quota})
    churn.train()
    _waits_for(churn, "QuotaExceeded")


@pytest.mark.parametrize(
    ("how", "reason"),
    [
        ({"exit_code": 10, "message": json.dumps({"reason": "DataInvalid", "message": "too few rows"})}, "DataInvalid"),
        ({"exit_code": 137, "reason": "OOMKilled"}, "OOMKilled"),
        ({"exit_code": 139, "message": "Segmentation fault"}, "WorkerFailed"),
    ],
)
def test_one_nodes_failure_is_the_jobs(churn: Case, simulate: Simulate, how: dict[str, Any], reason: str) -> None:
    churn.with_job(failures=0, nodes=2)
    simulate(churn.namespace, "training-node-1", run_ms=1500, **how)
    step = churn.train()
    assert step.wait() == ExitCode.USER, step.said()
    fault = _record(churn).fault
    assert fault is not None
    assert (fault.reason, fault.exit_code) == (reason, how["exit_code"])
    assert (fault.pod or "").startswith("churn-r1-node-0-1-"), "the other one was only ended with it"


def test_a_preemption_is_counted_apart_and_it_starts_again(churn: Case, simulate: Simulate) -> None:
    churn.with_job(failures=0, preemptions=1, nodes=2)
    churn.keep_model()
    step = churn.train()
    eventually(lambda: len(_running(churn)) == 2 or None, 40)
    taken = _running(churn)[0]["metadata"]["name"]
    condition = {"type": "DisruptionTarget", "status": "True", "reason": "PreemptionByScheduler", "message": "urgent"}
    churn.api.merge("v1", "Pod", taken, {"status": {"conditions": [condition]}}, churn.namespace, subresource="status")
    simulate(churn.namespace, "training", run_ms=1500)
    churn.api.delete("v1", "Pod", taken, churn.namespace)
    eventually(lambda: _record(churn).preemptions == 1 or None, 40)
    assert step.wait() == 0, step.said()
    record = _record(churn)
    assert (record.failures, record.preemptions) == (0, 1)


def test_a_step_that_was_killed_finds_its_job(churn: Case, simulate: Simulate) -> None:
    simulate(churn.namespace, "training", run_ms=12_000)
    churn.keep_model()
    first = churn.train()
    job = eventually(churn.job, 40)
    first.process.send_signal(signal.SIGKILL)
    first.wait()
    second = churn.train()
    assert second.wait() == 0, second.said()
    after = churn.job()
    assert after is not None
    assert after["metadata"]["uid"] == job["metadata"]["uid"]


def test_everything_goes_with_the_training_run(churn: Case) -> None:
    step = churn.train()
    eventually(lambda: _running(churn), 40)
    churn.api.delete("runwright.dev/v1alpha1", "TrainingRun", "churn", churn.namespace)
    assert step.wait(40) == ExitCode.CANCELLED, step.said()
    for kind in (TRAIN_JOB, RUNTIME, JOB_SET, ("batch/v1", "Job"), ("v1", "Pod")):
        eventually(lambda kind=kind: churn.api.list(*kind, churn.namespace) == [] or None, 60)


@pytest.mark.parametrize("queue", [None, "research"])
def test_every_option_is_admitted_in_a_restricted_namespace(churn: Case, queue: str | None) -> None:
    job = JobConfig(
        backend="trainjob",
        image="registry.example/train@sha256:" + "b" * 64,
        nodes=4,
        gpus_per_node=8,
        processes_per_node=8,
        cpu="32",
        memory="256Gi",
        queue=queue,
        node_selector={"gpu": "h100"},
        tolerations=(Toleration(key="gpu", operator="Exists", effect="NoExecute", toleration_seconds=60),),
    )
    storage = StorageConfig(uri="s3://b/{{x}}/$(HOME)", endpoint="http://store", region="r", secret="storage-access")
    run = churn.run.model_copy(update={"job": job, "storage": storage})
    runtime = churn.api.create(training_runtime(run, config=CONFIG, prepared_uri="s3://b/p"))
    manifest = train_job(run, config=CONFIG, prepared_uri="s3://b/p")
    admitted = eventually(lambda: _admitted(churn.api, manifest))
    assert admitted["spec"].get("suspend", False) == (queue is not None)
    if queue is None:
        pods = eventually(lambda: found if len(found := _pods(churn)) == 4 else None, 40)
        (container,) = pods[0]["spec"]["containers"]
        assert container["envFrom"] == [{"secretRef": {"name": "storage-access"}}]
        assert container["securityContext"]["readOnlyRootFilesystem"] is True
        assert pods[0]["spec"]["nodeSelector"] == {"gpu": "h100"}
    else:
        eventually(lambda: churn.api.condition(churn.job() or {}, "Suspended").get("status") == "True" or None, 40)
        assert _pods(churn) == []
    assert runtime["spec"]["template"]["spec"]["replicatedJobs"][0]["name"] == "node"


def _admitted(api: Api, manifest: dict[str, Any]) -> dict[str, Any] | None:
    """The job as it was created; None while Trainer has not heard of its runtime."""
    try:
        return api.create(manifest)
    except Exception as error:
        if "must be created before" in str(error):
            return None
        raise
