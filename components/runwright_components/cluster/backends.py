"""The kinds of jobs that train, by `train.backend`: what objects each makes, and where its pods and faults are."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from runwright_components.cluster.client import Kubernetes, Resource
from runwright_components.cluster.jobs import JobHandle, owned_by, uid_of
from runwright_components.cluster.manifests import (
    Manifest,
    pytorch_job,
    pytorchjob,
    ray_job,
    rayjob,
    train_job,
    training_runtime,
    trainjob,
)
from runwright_components.cluster.manifests.fields import dig, text
from runwright_components.contract.cluster import FIELD_MANAGER, Backend, ClusterRun
from runwright_components.contract.config import TrainConfig
from runwright_components.contract.outcome import StageError

JOB_SETS = Resource("jobset.x-k8s.io/v1alpha2", "jobsets")
RUNTIMES = Resource(trainjob.API_VERSION, trainjob.RUNTIME_PLURAL)
UNSEEN = "must be created before the TrainJob"  # Trainer's webhook, of a runtime that its cache has not heard of yet
MOST_UNSEEN = 30  # looks


class TrainingHandle(JobHandle):
    """A job that trains, as the train step handles it."""

    def __init__(
        self, kubernetes: Kubernetes, run: ClusterRun, run_id: str, *, config: TrainConfig, prepared_uri: str
    ) -> None:
        super().__init__(kubernetes, run, run_id)
        self._config = config
        self._prepared_uri = prepared_uri


class PyTorchJobHandle(TrainingHandle):
    """A PyTorchJob of the training operator."""

    resource = Resource(pytorchjob.API_VERSION, pytorchjob.PLURAL)
    kind = pytorchjob.KIND

    def manifest(self, *, resume: bool) -> Manifest:
        return pytorch_job(self._run, config=self._config, prepared_uri=self._prepared_uri, resume=resume)

    def pods(self, job: Mapping[str, Any]) -> list[Manifest]:
        return [pod for pod in self._listed(pytorchjob.LABEL_JOB, self._name) if owned_by(pod, uid_of(job))]

    def clean(self, job: Mapping[str, Any]) -> None:
        self._merge(job, {"spec": {"runPolicy": {"cleanPodPolicy": "All"}}})

    def refusals(self, job: Mapping[str, Any]) -> list[Manifest]:
        return self._events(f"involvedObject.uid={uid_of(job)}", job)

    def is_pod_name(self, name: str) -> bool:
        return name.startswith((f"{self._name}-master-", f"{self._name}-worker-"))


class TrainJobHandle(TrainingHandle):
    """A TrainJob of Kubeflow Trainer 2, which makes a JobSet, which makes one indexed Job of all nodes."""

    resource = Resource(trainjob.API_VERSION, trainjob.PLURAL)
    kind = trainjob.KIND

    _unseen = 0

    def manifest(self, *, resume: bool) -> Manifest:
        return train_job(self._run, config=self._config, prepared_uri=self._prepared_uri, resume=resume)

    def create(self, *, resume: bool = False) -> None:
        """The runtime, then the job. Trainer may not know the runtime yet: the next look tries again."""
        runtime = training_runtime(self._run, config=self._config, prepared_uri=self._prepared_uri, resume=resume)
        self._kubernetes.apply(RUNTIMES, runtime, manager=FIELD_MANAGER)
        try:
            super().create(resume=resume)
        except StageError as error:
            self._unseen += 1
            if UNSEEN not in error.message or self._unseen > MOST_UNSEEN:
                raise

    def pods(self, job: Mapping[str, Any]) -> list[Manifest]:
        job_set = self._job_set(job)
        return [] if job_set is None else self._listed(trainjob.LABEL_JOB_SET_UID, uid_of(job_set))

    def clean(self, job: Mapping[str, Any]) -> None:
        job_set = self._job_set(job)
        if job_set is not None:
            self._kubernetes.delete(JOB_SETS, self._run.namespace, self._name, uid=uid_of(job_set))

    def refusals(self, job: Mapping[str, Any]) -> list[Manifest]:
        """Trainer tells it of the TrainJob, JobSet of the JobSet of the same name, Kubernetes of the Job."""
        names = (self._name, f"{self._name}-{trainjob.NODE}-0")
        return [event for name in names for event in self._events(f"involvedObject.name={name}", job)]

    def is_pod_name(self, name: str) -> bool:
        return name.startswith(f"{self._name}-{trainjob.NODE}-0-")

    def _job_set(self, job: Mapping[str, Any]) -> Manifest | None:
        found = self._kubernetes.get(JOB_SETS, self._run.namespace, self._name)
        return found if found is not None and owned_by(found, uid_of(job)) else None


class OnRay(JobHandle):
    """A RayJob of KubeRay, which makes a RayCluster of its own name and some letters."""

    resource = Resource(rayjob.API_VERSION, rayjob.PLURAL)
    kind = rayjob.KIND

    def pods(self, job: Mapping[str, Any]) -> list[Manifest]:
        cluster = self._cluster(job)
        return self._listed(rayjob.LABEL_CLUSTER, cluster) if cluster else []

    def clean(self, job: Mapping[str, Any]) -> None:
        """KubeRay does it by itself: shutdownAfterJobFinishes."""

    def refusals(self, job: Mapping[str, Any]) -> list[Manifest]:
        names = filter(None, (self._name, self._cluster(job)))
        return [event for name in names for event in self._events(f"involvedObject.name={name}", job)]

    def removed(self, job: Mapping[str, Any]) -> list[Manifest]:
        told = self._events(f"reason={rayjob.REMOVED},involvedObject.name={self._cluster(job)}", job)
        return [head for event in told if (head := rayjob.removed_head(text(event.get("message")))) is not None]

    def needed(self, pods: Iterable[Manifest]) -> Iterable[Manifest]:
        """The head: Ray Train starts again on what is left and on the workers that KubeRay replaces."""
        return (pod for pod in pods if dig(pod, "metadata", "labels", rayjob.LABEL_NODE_TYPE) == rayjob.HEAD)

    def _cluster(self, job: Mapping[str, Any]) -> str:
        return text(dig(job, "status", "rayClusterName"))


class RayJobHandle(OnRay, TrainingHandle):
    """A RayJob that trains."""

    def manifest(self, *, resume: bool) -> Manifest:  # noqa: ARG002 (its program is ours, and looks itself)
        return ray_job(self._run, config=self._config, prepared_uri=self._prepared_uri)


_HANDLES: dict[Backend, type[TrainingHandle]] = {
    "pytorchjob": PyTorchJobHandle,
    "trainjob": TrainJobHandle,
    "rayjob": RayJobHandle,
}


def job_handle(
    kubernetes: Kubernetes, run: ClusterRun, run_id: str, *, config: TrainConfig, prepared_uri: str
) -> JobHandle:
    """The handle of the kind of job that `run` asks for."""
    return _HANDLES[run.job.backend](kubernetes, run, run_id, config=config, prepared_uri=prepared_uri)
