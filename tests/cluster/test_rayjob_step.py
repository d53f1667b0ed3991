"""The train step with RayJobs: the real KubeRay makes the Ray cluster's pods; the nodes are simulated, so that no Ray
answers and the test says how a program ended."""

from __future__ import annotations

import signal
from collections.abc import Callable
from typing import Any

import pytest

from runwright_components.cluster.manifests import ray_job
from runwright_components.contract.cluster import JobConfig, StageRecord, StorageConfig, Toleration
from runwright_components.contract.outcome import ExitCode
from tests.cluster.step_cases import CONFIG, RAY_JOB, Case
from tests.cluster.waiting import eventually

Simulate = Callable[..., None]


@pytest.fixture
def churn(kuberay: None, churn: Case) -> Case:
    return churn.with_job(backend="rayjob", nodes=2)


def _pods(churn: Case) -> list[dict[str, Any]]:
    return churn.api.list("v1", "Pod", churn.namespace, labels="ray.io/cluster")


def _running(churn: Case) -> list[dict[str, Any]]:
    return [pod for pod in _pods(churn) if pod.get("status", {}).get("phase") == "Running"]


def _record(churn: Case) -> StageRecord:
    found = churn.record("train")
    assert found is not None
    return found


def test_a_cluster_of_a_head_and_workers_starts_in_a_restricted_namespace(churn: Case) -> None:
    step = churn.train()
    pods = eventually(lambda: found if len(found := _running(churn)) == 2 else None, 60)
    by_type = {pod["metadata"]["labels"]["ray.io/node-type"]: pod["spec"] for pod in pods}
    assert set(by_type) == {"head", "worker"}
    for spec in by_type.values():
        assert spec["containers"][0]["resources"]["limits"]["nvidia.com/gpu"] == "1"
        assert spec["containers"][0]["securityContext"]["readOnlyRootFilesystem"] is True
        names = {one["name"] for one in spec["containers"][0]["env"]}
        assert {"RUNWRIGHT_CLUSTER", "RUNWRIGHT_TRAIN", "RUNWRIGHT_PREPARED", "RAY_AUTH_TOKEN"} <= names
    job = churn.job()
    assert job is not None
    assert job["spec"]["entrypoint"] == "python -m runwright_components.cluster.worker"
    assert job["metadata"]["ownerReferences"][0]["uid"] == churn.run.uid
    step.process.send_signal(signal.SIGKILL)


def test_a_missing_image_is_told(churn: Case, simulate: Simulate) -> None:
    simulate(churn.namespace, "training", waiting="ImagePullBackOff", message="no such tag")
    churn.train()
    eventually(lambda: ((record := churn.record("train")) is not None and record.waiting is not None) or None, 60)
    waiting = _record(churn).waiting
    assert waiting is not None
    assert (waiting.reason, waiting.container) == ("ImagePullBackOff", "ray")


def test_a_head_that_fails_is_the_jobs_failure(churn: Case, simulate: Simulate) -> None:
    churn.with_job(failures=0)
    simulate(churn.namespace, "training-head-0", run_ms=3000, exit_code=137, reason="OOMKilled")
    step = churn.train()
    assert step.wait(90) == ExitCode.USER, step.said()
    fault = _record(churn).fault
    assert fault is not None
    assert (fault.reason, fault.exit_code) == ("OOMKilled", 137)


def test_everything_goes_with_the_training_run(churn: Case) -> None:
    step = churn.train()
    eventually(lambda: _running(churn), 60)
    churn.api.delete("runwright.dev/v1alpha1", "TrainingRun", "churn", churn.namespace)
    assert step.wait(40) == ExitCode.CANCELLED, step.said()
    for kind in (RAY_JOB, ("ray.io/v1", "RayCluster"), ("v1", "Pod"), ("v1", "Service")):
        eventually(lambda kind=kind: churn.api.list(*kind, churn.namespace) == [] or None, 60)


@pytest.mark.parametrize("queue", [None, "research"])
def test_every_option_is_admitted(churn: Case, queue: str | None) -> None:
    job = JobConfig(
        backend="rayjob",
        image="registry.example/ray@sha256:" + "b" * 64,
        nodes=3,
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
    churn.api.create(ray_job(run, config=CONFIG, prepared_uri="s3://b/p"))

    def deployment() -> str:
        return str((churn.job() or {}).get("status", {}).get("jobDeploymentStatus", ""))

    if queue is None:
        pods = eventually(lambda: found if len(found := _pods(churn)) == 3 else None, 60)
        assert all(pod["spec"]["nodeSelector"] == {"gpu": "h100"} for pod in pods)
        assert deployment() == "Initializing"
    else:
        eventually(lambda: deployment() == "Suspended" or None, 60)
        assert _pods(churn) == []
