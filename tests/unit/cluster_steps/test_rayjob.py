"""The RayJob that a configuration makes, and what KubeRay tells of heads that it removed."""

from typing import Any

import pytest

from runwright_components.cluster.manifests import ray_job
from runwright_components.cluster.manifests.faults import pod_fault
from runwright_components.cluster.manifests.rayjob import removed_head
from runwright_components.cluster.worker import as_ray_program
from runwright_components.contract.cluster import ClusterRun, JobConfig
from runwright_components.contract.config import CodeConfig, ModelConfig, TrainConfig
from runwright_components.contract.outcome import Reason, StageError

CONFIG = TrainConfig(
    task="classification",
    modality="tabular",
    model=ModelConfig(name="code"),
    code=CodeConfig(command=("python", "train.py"), ray_workers=2),
)


def asking(run: ClusterRun, **changes: Any) -> ClusterRun:
    return run.model_copy(update={"job": JobConfig(backend="rayjob", image="registry.example/ray:1", **changes)})


def job_of(run: ClusterRun, **changes: Any) -> dict[str, Any]:
    return ray_job(asking(run, **changes), config=CONFIG, prepared_uri="s3://bucket/prepared")


def test_one_node_is_a_head_that_runs_our_worker(run: ClusterRun) -> None:
    job = job_of(run)
    assert (job["apiVersion"], job["kind"]) == ("ray.io/v1", "RayJob")
    assert job["metadata"]["name"] == "churn-r3"
    spec = job["spec"]
    assert spec["entrypoint"] == "python -m runwright_components.cluster.worker"
    assert (spec["submissionMode"], spec["backoffLimit"]) == ("HTTPMode", 0)
    assert spec["shutdownAfterJobFinishes"] is True
    cluster = spec["rayClusterSpec"]
    assert cluster["authOptions"] == {"mode": "token"}
    assert "workerGroupSpecs" not in cluster
    assert "suspend" not in spec


def test_further_nodes_are_workers_like_the_head(run: ClusterRun) -> None:
    cluster = job_of(run, nodes=4, gpus_per_node=8, memory="64Gi")["spec"]["rayClusterSpec"]
    (group,) = cluster["workerGroupSpecs"]
    assert (group["replicas"], group["minReplicas"], group["maxReplicas"]) == (3, 3, 3)
    assert group["template"] == cluster["headGroupSpec"]["template"]
    pod = group["template"]["spec"]
    assert pod["restartPolicy"] == "Never"
    assert pod["containers"][0]["resources"]["limits"] == {"memory": "64Gi", "nvidia.com/gpu": "8"}
    assert "command" not in pod["containers"][0], "KubeRay starts Ray in it"
    assert {"name": "shared-memory", "emptyDir": {"medium": "Memory"}} in pod["volumes"]


def test_a_queue_starts_it(run: ClusterRun) -> None:
    job = job_of(run, queue="research")
    assert job["spec"]["suspend"] is True
    assert job["metadata"]["labels"]["kueue.x-k8s.io/queue-name"] == "research"


def test_the_program_has_ray_start_the_workers_of_all_nodes(run: ClusterRun) -> None:
    code = as_ray_program(CONFIG, asking(run, nodes=3, processes_per_node=2)).code
    assert code is not None
    assert (code.ray_workers, code.ray_storage) == (6, f"{run.storage.uri}/ray")
    alone = as_ray_program(CONFIG, asking(run, processes_per_node=2)).code
    assert alone is not None
    assert (alone.ray_workers, alone.ray_storage) == (2, None)


def test_without_code_there_is_nothing_to_run(run: ClusterRun) -> None:
    with pytest.raises(StageError, match="a RayJob runs the user's own code") as caught:
        as_ray_program(CONFIG.model_copy(update={"code": None}), asking(run))
    assert (caught.value.reason, caught.value.where) == (Reason.INVALID_CONFIG, "train.backend")


def test_a_head_that_ended_is_read_from_the_event_of_its_removal() -> None:
    head = removed_head(
        "Deleted head Pod team/churn-r3-x7k2p-head-l9v4t; Pod status: Failed; Pod restart policy: Never; Ray container "
        "terminated status: &ContainerStateTerminated{ExitCode:137,Signal:0,Reason:OOMKilled,Message:raylet, or so,"
        "StartedAt:2026-11-21 20:00:00 +0000 UTC,FinishedAt:2026-11-21 20:01:00 +0000 UTC,ContainerID:,}"
    )
    assert head is not None
    fault = pod_fault(head)
    assert fault is not None
    assert (fault.reason, fault.exit_code, fault.container) == ("OOMKilled", 137, "ray")
    assert fault.pod == "churn-r3-x7k2p-head-l9v4t"


@pytest.mark.parametrize("message", ["", "Deleted head Pod team/a-head; Pod status: Running; terminated status: nil"])
def test_a_head_that_had_not_ended_says_nothing(message: str) -> None:
    assert removed_head(message) is None
