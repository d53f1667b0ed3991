"""TrainJobs and RayJobs as the train step handles them, against a small API where the test plays their controllers."""

from collections.abc import Callable
from typing import Any

import pytest

from runwright_components.cluster.backends import RayJobHandle, TrainJobHandle, job_handle
from runwright_components.cluster.client import Kubernetes
from runwright_components.cluster.ending import ClusterError
from runwright_components.cluster.fence import Fence
from runwright_components.cluster.jobs import JobHandle
from runwright_components.cluster.records import RecordWriter
from runwright_components.cluster.training import Follower, Pace
from runwright_components.contract.cluster import Backend, ClusterRun
from runwright_components.contract.config import ModelConfig, TrainConfig
from runwright_components.contract.progress import silent
from tests.doubles.kubernetes_api import KubernetesApi

from .conftest import RUN_ID, FakeTime

CONFIG = TrainConfig(task="classification", modality="tabular", model=ModelConfig(name="mlp"))
TEAM = "namespaces/team"
TRAIN_JOB = f"/apis/trainer.kubeflow.org/v1alpha1/{TEAM}/trainjobs/churn-r3"
RUNTIME = f"/apis/trainer.kubeflow.org/v1alpha1/{TEAM}/trainingruntimes/churn-r3"
JOB_SET = f"/apis/jobset.x-k8s.io/v1alpha2/{TEAM}/jobsets/churn-r3"
RAY_JOB = f"/apis/ray.io/v1/{TEAM}/rayjobs/churn-r3"
PODS = f"/api/v1/{TEAM}/pods"
EVENTS = f"/api/v1/{TEAM}/events"


def asking(run: ClusterRun, backend: Backend, **job: Any) -> ClusterRun:
    return run.model_copy(update={"job": run.job.model_copy(update={"backend": backend, **job})})


def handle_of(kubernetes: Kubernetes, run: ClusterRun) -> JobHandle:
    return job_handle(kubernetes, run, RUN_ID, config=CONFIG, prepared_uri="x")


class Nodes:
    """The pods of a job, by the label that its controller finds them by."""

    def __init__(self, api: KubernetesApi, label: str, value: str) -> None:
        self.api, self.labels = api, {label: value}

    def run(self, name: str, **labels: str) -> None:
        metadata = {"labels": {**self.labels, **labels}, "uid": f"uid-of-{name}"}
        self.api.put(f"{PODS}/{name}", {"metadata": metadata, "status": {"phase": "Running"}})

    def fail(self, name: str, code: int, message: str = "") -> None:
        pod = self.api.objects[f"{PODS}/{name}"]
        ended = {"exitCode": code, "reason": "Error", "message": message}
        status = {"phase": "Failed", "containerStatuses": [{"name": "node", "state": {"terminated": ended}}]}
        self.api.put(f"{PODS}/{name}", {**pod, "status": status})

    def vanish(self, name: str) -> None:
        del self.api.objects[f"{PODS}/{name}"]


def failure(kubernetes: Kubernetes, run: ClusterRun, clock: FakeTime, script: list[Callable[[], None]]) -> str:
    """Follow the job while each pause plays the next scene; the reason of its failure, which is no preemption."""
    record = RecordWriter(kubernetes, run, run_id=RUN_ID, stage="train", clock=clock)

    def sleep(seconds: float) -> None:
        clock.sleep(seconds)
        assert script, "the step waits for more than the script plays"
        script.pop(0)()

    follower = Follower(
        handle_of(kubernetes, run),
        run,
        record=record,
        fence=Fence(kubernetes, run, RUN_ID),
        progress=silent(),
        pace=Pace(restart=2.0),
        clock=clock,
        sleep=sleep,
    )
    with pytest.raises(ClusterError) as caught:
        follower.follow()
    assert record.record.preemptions == 0
    return caught.value.fault.reason


def nothing() -> None:
    """Nothing happens."""


def test_a_train_job_is_made_with_its_runtime(api: KubernetesApi, kubernetes: Kubernetes, run: ClusterRun) -> None:
    handle = handle_of(kubernetes, asking(run, "trainjob"))
    assert isinstance(handle, TrainJobHandle)
    handle.create()
    assert api.objects[RUNTIME]["spec"]["mlPolicy"] == {"numNodes": 1, "torch": {}}
    live = handle.get()
    assert live is not None
    assert (live["kind"], handle.ownership(live)) == ("TrainJob", "ours")
    assert handle.pods(live) == [], "there is no JobSet yet"


def test_pods_of_a_namesakes_job_set_are_not_taken_for_its_own(
    api: KubernetesApi, kubernetes: Kubernetes, run: ClusterRun
) -> None:
    handle = handle_of(kubernetes, asking(run, "trainjob"))
    handle.create()
    live = handle.get()
    assert live is not None
    api.put(JOB_SET, {"metadata": {"uid": "old", "ownerReferences": [{"uid": "another TrainJob"}]}})
    Nodes(api, "jobset.sigs.k8s.io/jobset-uid", "old").run("churn-r3-node-0-0-abcde")
    assert handle.pods(live) == []
    api.put(JOB_SET, {"metadata": {"uid": "new", "ownerReferences": [{"uid": live["metadata"]["uid"]}]}})
    Nodes(api, "jobset.sigs.k8s.io/jobset-uid", "new").run("churn-r3-node-0-0-fghij")
    assert [pod["metadata"]["name"] for pod in handle.pods(live)] == ["churn-r3-node-0-0-fghij"]
    handle.clean(live)
    assert JOB_SET not in api.objects


def test_a_pod_that_is_ended_with_a_failed_one_is_no_preemption(
    api: KubernetesApi, kubernetes: Kubernetes, run: ClusterRun, clock: FakeTime
) -> None:
    nodes = Nodes(api, "jobset.sigs.k8s.io/jobset-uid", "set")

    def start() -> None:
        owner = {"uid": api.objects[TRAIN_JOB]["metadata"]["uid"]}
        api.put(JOB_SET, {"metadata": {"uid": "set", "ownerReferences": [owner]}})
        nodes.run("churn-r3-node-0-0-abcde")
        nodes.run("churn-r3-node-0-1-fghij")

    def end() -> None:
        nodes.fail("churn-r3-node-0-1-fghij", 10, '{"reason":"DataInvalid","message":"too few rows"}')
        nodes.vanish("churn-r3-node-0-0-abcde")

    given = asking(run, "trainjob", nodes=2)
    assert failure(kubernetes, given, clock, [start, nothing, end]) == "DataInvalid"


def test_a_lost_worker_is_rays_to_replace_and_a_lost_head_ends_the_attempt(
    api: KubernetesApi, kubernetes: Kubernetes, run: ClusterRun, clock: FakeTime
) -> None:
    nodes = Nodes(api, "ray.io/cluster", "churn-r3-x7k2p")

    def start() -> None:
        api.put(RAY_JOB, {**api.objects[RAY_JOB], "status": {"rayClusterName": "churn-r3-x7k2p"}})
        nodes.run("churn-r3-x7k2p-head", **{"ray.io/node-type": "head"})
        nodes.run("churn-r3-x7k2p-worker", **{"ray.io/node-type": "worker"})

    def replace_worker() -> None:
        nodes.vanish("churn-r3-x7k2p-worker")
        nodes.run("churn-r3-x7k2p-second", **{"ray.io/node-type": "worker"})

    def remove_head() -> None:
        nodes.vanish("churn-r3-x7k2p-head")
        told = (
            "Deleted head Pod team/churn-r3-x7k2p-head; Pod status: Failed; Pod restart policy: Never; Ray container "
            "terminated status: &ContainerStateTerminated{ExitCode:10,Signal:0,Reason:Error,Message:,StartedAt:x,}"
        )
        involved = {"kind": "RayCluster", "name": "churn-r3-x7k2p"}
        api.put(f"{EVENTS}/one", {"involvedObject": involved, "reason": "DeletedHeadPod", "message": told})

    given = asking(run, "rayjob", nodes=2)
    assert isinstance(handle_of(kubernetes, given), RayJobHandle)
    scenes = [start, nothing, replace_worker, nothing, nothing, remove_head]
    assert failure(kubernetes, given, clock, scenes) == "UserCodeError"
