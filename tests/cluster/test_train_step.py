"""The train step with the real training operator, scheduler and RBAC; the nodes are simulated."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Callable
from typing import Any

import pytest

from runwright_components.cluster.manifests import pytorch_job
from runwright_components.contract.cluster import JobConfig, StorageConfig, Toleration
from runwright_components.contract.config import CodeConfig, ModelConfig
from runwright_components.contract.outcome import ExitCode
from tests.cluster.step_cases import CONFIG, JOB, Case
from tests.cluster.waiting import eventually

Simulate = Callable[..., None]


def _waits_for(churn: Case, reason: str) -> None:
    def told() -> bool:
        record = churn.record("train")
        return record is not None and record.waiting is not None and record.waiting.reason == reason

    eventually(told)


def _alive(churn: Case) -> dict[str, Any]:
    """The job, if it is not being deleted."""
    live = churn.job() or {}
    return {} if "deletionTimestamp" in live.get("metadata", {}) else live


def _pods(churn: Case) -> list[dict[str, Any]]:
    return churn.api.list("v1", "Pod", churn.namespace, labels="training.kubeflow.org/job-name=churn-r1")


@pytest.mark.parametrize("nodes", [1, 3])
def test_it_trains_and_brings_the_model(churn: Case, simulate: Simulate, nodes: int) -> None:
    churn.with_job(nodes=nodes)
    simulate(churn.namespace, "training", run_ms=4000)
    churn.keep_model()
    step = churn.train()
    eventually(lambda: len(_pods(churn)) == nodes and all(pod["spec"].get("nodeName") for pod in _pods(churn)))
    assert step.wait() == 0, step.said()
    record = churn.record("train")
    assert record is not None
    assert (record.state, record.failures, record.preemptions) == ("succeeded", 0, 0)
    assert record.gpu_seconds is not None
    assert record.gpu_seconds >= nodes
    assert (churn.folder / "model" / "weights.safetensors").read_bytes() == b"weights"
    assert (churn.folder / "curves.html").is_file()
    eventually(lambda: _pods(churn) == [] or None, 15)
    job = churn.job()
    assert job is not None, "the job itself stays, with its word"
    assert job["metadata"]["ownerReferences"][0]["uid"] == churn.run.uid


def test_a_pod_that_fits_nowhere_is_told_and_goes_when_the_run_is_ended(churn: Case) -> None:
    churn.with_job(gpus_per_node=16)
    step = churn.train()
    _waits_for(churn, "Unschedulable")
    record = churn.record("train")
    assert record is not None
    assert record.waiting is not None
    assert "Insufficient nvidia.com/gpu" in record.waiting.message
    assert record.waiting.pod == "churn-r1-master-0"
    churn.name_run(churn.run_id, state="Cancelled")
    step.process.send_signal(signal.SIGTERM)
    assert step.wait() == ExitCode.CANCELLED, step.said()
    eventually(lambda: churn.job() is None or None)


def test_a_missing_image_is_told(churn: Case, simulate: Simulate) -> None:
    simulate(churn.namespace, "training", waiting="ImagePullBackOff", message="no such tag")
    churn.train()
    _waits_for(churn, "ImagePullBackOff")


def test_a_quota_is_told(churn: Case) -> None:
    quota = {"hard": {"requests.nvidia.com/gpu": "0"}}
    metadata = {"name": "gpus", "namespace": churn.namespace}
    churn.api.create({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": metadata, "spec": quota})
    churn.train()
    _waits_for(churn, "QuotaExceeded")


def test_a_persons_error_ends_it_at_once(churn: Case, simulate: Simulate) -> None:
    words = json.dumps({"reason": "DataInvalid", "message": "too few rows", "cure": "collect more"})
    simulate(churn.namespace, "training", run_ms=500, exit_code=10, message=words)
    step = churn.train()
    assert step.wait() == ExitCode.USER, step.said()
    record = churn.record("train")
    assert record is not None
    assert record.fault is not None
    assert (record.fault.reason, record.fault.exit_code) == ("DataInvalid", 10)
    assert (record.fault.pod, record.fault.container) == ("churn-r1-master-0", "pytorch")
    assert record.failures == 0


@pytest.mark.parametrize(
    ("how", "reason"),
    [
        ({"exit_code": 137, "reason": "OOMKilled"}, "OOMKilled"),
        ({"exit_code": 139, "message": "Segmentation fault"}, "WorkerFailed"),
        ({"exit_code": 134, "message": "Watchdog caught collective operation timeout"}, "CollectiveTimeout"),
    ],
)
def test_failures_have_their_budget(churn: Case, simulate: Simulate, how: dict[str, Any], reason: str) -> None:
    churn.with_job(failures=0)
    simulate(churn.namespace, "training", run_ms=500, **how)
    step = churn.train()
    assert step.wait() == ExitCode.USER, step.said()
    record = churn.record("train")
    assert record is not None
    assert record.fault is not None
    assert (record.fault.reason, record.fault.exit_code) == (reason, how["exit_code"])


def test_preemptions_are_counted_apart_and_it_starts_again(churn: Case, simulate: Simulate) -> None:
    churn.with_job(failures=0, preemptions=1)
    churn.keep_model()
    simulate(churn.namespace, "training", run_ms=500, exit_code=143, disruption="PreemptionByScheduler")
    step = churn.train()
    eventually(lambda: (record := churn.record("train")) is not None and record.preemptions == 1)
    simulate(churn.namespace, "training", run_ms=1000, exit_code=None, disruption=None)
    code = step.wait()
    record = churn.record("train")
    assert record is not None
    if code == ExitCode.USER:  # the second start was preempted before the simulation was told otherwise
        assert record.fault is not None
        assert record.fault.reason == "RetriesExhausted"
        pytest.fail("the simulation was too fast for the test")
    assert (code, record.failures, record.preemptions) == (0, 0, 1)


def test_a_real_preemption_by_a_higher_priority(churn: Case, simulate: Simulate) -> None:
    name = f"high-{churn.namespace}"
    group = "scheduling.k8s.io/v1"
    churn.api.create({"apiVersion": group, "kind": "PriorityClass", "metadata": {"name": name}, "value": 1000})
    node = "gpu-7"
    churn.with_job(gpus_per_node=8, node_selector={"kubernetes.io/hostname": node})
    step = churn.train()
    eventually(lambda: [pod for pod in _pods(churn) if pod.get("status", {}).get("phase") == "Running"], 30)
    churn.keep_model()
    important = pytorch_job(
        churn.run.model_copy(
            update={"name": "urgent", "job": churn.run.job.model_copy(update={"priority_class": name})}
        ),
        config=CONFIG,
        prepared_uri="x",
    )
    important["metadata"].pop("ownerReferences")
    churn.api.create(important)
    try:
        eventually(lambda: (record := churn.record("train")) is not None and record.preemptions == 1, 30)
        record = churn.record("train")
        assert record is not None
        assert record.waiting is not None
        assert record.waiting.reason in ("Preempted", "Unschedulable")
    finally:
        churn.api.delete(*JOB, "urgent-r1", churn.namespace)
        churn.api.delete(group, "PriorityClass", name)
    simulate(churn.namespace, "training", run_ms=500)
    step.process.send_signal(signal.SIGTERM)
    step.wait(30)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM], ids=["killed", "evicted"])
def test_a_step_whose_pod_is_lost_and_started_again_adopts_its_job(
    churn: Case, simulate: Simulate, how: signal.Signals
) -> None:
    simulate(churn.namespace, "training", run_ms=12_000)
    churn.keep_model()
    first = churn.train()
    job = eventually(churn.job)
    first.process.send_signal(how)
    first.wait()
    second = churn.train()
    assert second.wait() == 0, second.said()
    after = churn.job()
    assert after is not None
    assert after["metadata"]["uid"] == job["metadata"]["uid"]


def test_a_pod_and_a_job_that_a_hand_deletes_come_back(churn: Case, simulate: Simulate) -> None:
    churn.keep_model()
    step = churn.train()
    eventually(lambda: [pod for pod in _pods(churn) if pod.get("status", {}).get("phase") == "Running"])
    time.sleep(2)
    churn.api.delete("v1", "Pod", "churn-r1-master-0", churn.namespace)
    eventually(lambda: (record := churn.record("train")) is not None and record.preemptions == 1)
    job = eventually(lambda: _alive(churn))
    time.sleep(2)
    churn.api.delete(*JOB, "churn-r1", churn.namespace)
    eventually(lambda: (record := churn.record("train")) is not None and record.preemptions == 2)
    simulate(churn.namespace, "training", run_ms=500)
    again = eventually(lambda: _alive(churn))
    assert again["metadata"]["uid"] != job["metadata"]["uid"]
    step.process.send_signal(signal.SIGTERM)
    step.wait(30)


def test_a_run_that_the_status_does_not_name_does_nothing(churn: Case) -> None:
    step = churn.train(run_id="a-second-run-of-a-lost-answer")
    assert step.wait() == ExitCode.CANCELLED, step.said()
    assert churn.job() is None
    assert churn.record("train") is None


def test_a_run_whose_turn_passes_leaves_the_job_to_the_next(churn: Case) -> None:
    step = churn.train()
    job = eventually(churn.job)
    churn.name_run("the-next-run")
    following = churn.train(run_id="the-next-run")
    assert step.wait(30) == ExitCode.CANCELLED, step.said()
    live = churn.job()
    assert live is not None
    assert live["metadata"]["uid"] == job["metadata"]["uid"], f"{step.said()}\n{following.said()}"
    assert live["metadata"]["annotations"]["runwright.dev/pipeline-run"] == "the-next-run"
    eventually(lambda: (record := churn.record("train")) is not None and record.run_id == "the-next-run")
    record = churn.record("train")
    assert record is not None
    assert record.state == "running"
    following.stop()


@pytest.mark.parametrize("queue", [None, "research"])
def test_every_option_is_admitted_in_a_restricted_namespace(churn: Case, queue: str | None) -> None:
    job = JobConfig(
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
    manifest = pytorch_job(run, config=CONFIG, prepared_uri="s3://b/p")
    admitted = churn.api.create(manifest, dry_run=True)
    assert admitted["spec"]["runPolicy"].get("suspend", False) == (queue is not None)
    template = manifest["spec"]["pytorchReplicaSpecs"]["Worker"]["template"]
    pod = {"apiVersion": "v1", "kind": "Pod", **template}
    pod["metadata"] = {**pod["metadata"], "name": "one", "namespace": churn.namespace}
    churn.api.create(pod, dry_run=True)


def test_containers_beside_the_users_are_admitted(churn: Case) -> None:
    """Pod Security is `restricted`; the training operator must leave the sidecar one."""
    job = JobConfig(image="registry.example/churn:1", helper_image="registry.example/train:1", nodes=2)
    run = churn.run.model_copy(update={"job": job})
    code = CodeConfig(command=("torchrun", "/app/train.py"))
    config = CONFIG.model_copy(update={"model": ModelConfig(name="code"), "code": code})
    churn.api.create(pytorch_job(run, config=config, prepared_uri="s3://b/p"))
    pods = eventually(lambda: found if len(found := _pods(churn)) == 2 else None, 40)
    for pod in pods:
        ours = {one["name"]: one for one in pod["spec"]["initContainers"] if one["name"].startswith("runwright")}
        assert set(ours) == {"runwright-data", "runwright"}
        assert ours["runwright"]["restartPolicy"] == "Always"
        assert ours["runwright"]["startupProbe"]["exec"]["command"][0] == "python"
        (user,) = pod["spec"]["containers"]
        assert user["command"] == ["torchrun", "/app/train.py"]
        assert {"RANK", "WORLD_SIZE", "MASTER_ADDR"} <= {one["name"] for one in user["env"]}
    roles = {pod["metadata"]["labels"]["training.kubeflow.org/replica-type"] for pod in pods}
    assert roles == {"master", "worker"}
