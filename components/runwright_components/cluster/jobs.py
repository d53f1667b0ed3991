"""The job of a revision in the API: whose it is, what its pods do, and how to start it and stop it.

What every kind of job has in common; `backends` has the kinds.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar, Literal

from runwright_components.cluster.client import Kubernetes, Resource
from runwright_components.cluster.manifests.fault import Fault
from runwright_components.cluster.manifests.faults import TAKEN_AWAY_EVENTS, event_time
from runwright_components.cluster.manifests.fields import dig, items, mapping, moment, text
from runwright_components.cluster.manifests.job_states import job_state
from runwright_components.cluster.manifests.pods import LABEL_MANAGED_BY, MANAGED_BY, Manifest
from runwright_components.cluster.manifests.training_pod import ANNOTATION_PIPELINE_RUN, job_metadata
from runwright_components.contract.cluster import (
    ANNOTATION_RECIPE,
    LABEL_REVISION,
    LABEL_RUN,
    LABEL_RUN_UID,
    ClusterRun,
)
from runwright_components.contract.outcome import Reason, StageError

PODS = Resource("v1", "pods")
EVENTS = Resource("v1", "events")

Ownership = Literal["ours", "adoptable", "stale", "foreign"]


def ownership(job: Mapping[str, Any], run: ClusterRun, run_id: str) -> Ownership:
    """Whose job it is: this KFP run's; of this very revision, to be followed; an older one of this TrainingRun's name,
    or of an attempt that failed, to be replaced; or somebody else's, not to be touched."""
    labels = mapping(dig(job, "metadata", "labels"))
    marked = labels.get(LABEL_MANAGED_BY) == MANAGED_BY and labels.get(LABEL_RUN) == run.name
    if not marked and (labels.get(LABEL_RUN, run.name) != run.name or not owned_by(job, run.uid)):
        return "foreign"
    recipe = dig(job, "metadata", "annotations", ANNOTATION_RECIPE)
    same = (labels.get(LABEL_RUN_UID), labels.get(LABEL_REVISION), recipe) == (run.uid, str(run.revision), run.recipe)
    if not same:
        return "stale"
    if dig(job, "metadata", "annotations", ANNOTATION_PIPELINE_RUN) == run_id:
        return "ours" if marked else "adoptable"  # somebody took its labels away
    return "stale" if job_state(job) == "failed" else "adoptable"


def uid_of(value: Mapping[str, Any]) -> str:
    return text(dig(value, "metadata", "uid"))


def phase_of(pod: Mapping[str, Any]) -> str:
    return text(dig(pod, "status", "phase"))


def owned_by(value: Mapping[str, Any], uid: str) -> bool:
    owners = map(mapping, items(dig(value, "metadata", "ownerReferences")))
    return any(owner.get("uid") == uid for owner in owners)


class JobHandle(ABC):
    """The job of one revision, as the step of the KFP run `run_id` that makes it handles it."""

    resource: ClassVar[Resource]
    kind: ClassVar[str]

    def __init__(self, kubernetes: Kubernetes, run: ClusterRun, run_id: str) -> None:
        self._kubernetes = kubernetes
        self._run = run
        self._run_id = run_id
        self._name = run.job_name

    @property
    def done(self) -> str:
        """What the record's result has once the job has succeeded."""
        return "trained"

    @abstractmethod
    def manifest(self, *, resume: bool) -> Manifest:
        """The job to be made. `resume` is for the user's own code that runs without us: there are checkpoints."""

    @abstractmethod
    def pods(self, job: Mapping[str, Any]) -> list[Manifest]:
        """The job's own pods, not those of a namesake before it."""

    @abstractmethod
    def clean(self, job: Mapping[str, Any]) -> None:
        """Have the pods of a job that succeeded removed; its own word and our record remain."""

    @abstractmethod
    def refusals(self, job: Mapping[str, Any]) -> list[Manifest]:
        """Events of the objects whose controllers say there why they could not make a pod."""

    def is_pod_name(self, name: str) -> bool:
        """Whether a pod of the revision's job may have this name."""
        return name.startswith(f"{self._name}-")

    def needed(self, pods: Iterable[Manifest]) -> Iterable[Manifest]:
        """Those of its pods without which the job cannot go on, be they replaced or not."""
        return pods

    def at_work(self, pods: Sequence[Manifest]) -> bool:
        """Whether the pods of a job that runs do what they are there for."""
        return len(pods) == self._run.job.nodes and all(phase_of(pod) == "Running" for pod in pods)

    def blamed(self, pods: Sequence[Manifest]) -> Sequence[Manifest]:
        """Those of its pods, of a job that failed, in which the cause is to be looked for."""
        return pods

    def explained(self, fault: Fault) -> Fault:
        """The fault with the cure that fits this kind of job."""
        return fault

    def removed(self, job: Mapping[str, Any]) -> list[Manifest]:  # noqa: ARG002 (kinds that tell need it)
        """Pods that ended and that the controller removed at once, as far as it tells of them."""
        return []

    def get(self) -> Manifest | None:
        live = self._kubernetes.get(self.resource, self._run.namespace, self._name)
        return None if live is None else {"kind": self.kind, **live}

    def ownership(self, job: Mapping[str, Any]) -> Ownership:
        return ownership(job, self._run, self._run_id)

    def create(self, *, resume: bool = False) -> None:
        """Create the job; one that is there by now (a lost answer, another writer) is met at the next look."""
        manifest = self.manifest(resume=resume)
        annotations = {**manifest["metadata"]["annotations"], ANNOTATION_PIPELINE_RUN: self._run_id}
        metadata = {**manifest["metadata"], "annotations": annotations}
        self._kubernetes.create(self.resource, {**manifest, "metadata": metadata})

    def adopt(self, job: Mapping[str, Any]) -> None:
        """Make the job this KFP run's, found by our labels."""
        annotations = {ANNOTATION_PIPELINE_RUN: self._run_id}
        self._merge(job, {"metadata": {"labels": job_metadata(self._run)["labels"], "annotations": annotations}})

    def delete(self, job: Mapping[str, Any]) -> None:
        self._kubernetes.delete(self.resource, self._run.namespace, self._name, uid=uid_of(job))

    def give_up(self) -> None:
        """Delete the job if it is this KFP run's, without the patience that a step which is being ended has not."""
        kubernetes = self._kubernetes.patient(10.0)
        job = kubernetes.get(self.resource, self._run.namespace, self._name)
        if job is None:
            return
        job = {"kind": self.kind, **job}
        if self.ownership(job) == "ours" and job_state(job) not in ("succeeded", "failed"):
            kubernetes.delete(self.resource, self._run.namespace, self._name, uid=uid_of(job))

    def disruptions(self, job: Mapping[str, Any]) -> list[Manifest]:
        """What took the job's pods away, by events of their names: the pods may have gone before anybody saw them."""
        found = []
        for reason in TAKEN_AWAY_EVENTS:
            told = self._events(f"reason={reason}", job)
            found += [event for event in told if self.is_pod_name(text(dig(event, "involvedObject", "name")))]
        return found

    def foreign(self, job: Mapping[str, Any]) -> StageError:
        owner = text(dig(job, "metadata", "labels", LABEL_RUN)) or "somebody else"
        return StageError(
            Reason.INVALID_CONFIG,
            f"there is a {self.kind} {self._name} already, of {owner}",
            where=f"{self._run.namespace}/{self._name}",
            cure="delete or rename it, or give the TrainingRun another name",
        )

    def _events(self, fields: str, job: Mapping[str, Any]) -> list[Manifest]:
        """Events since the job was made; namesakes of its parts may have had others before."""
        since = moment(dig(job, "metadata", "creationTimestamp"))
        told = self._kubernetes.list(EVENTS, self._run.namespace, fields=fields)
        return [event for event in told if not since or event_time(event) >= since]

    def _listed(self, label: str, value: str) -> list[Manifest]:
        return self._kubernetes.list(PODS, self._run.namespace, labels=f"{label}={value}")

    def _merge(self, job: Mapping[str, Any], patch: Manifest) -> None:
        metadata = {**patch.get("metadata", {}), "uid": uid_of(job)}  # a namesake made meanwhile answers 409
        self._kubernetes.merge(self.resource, self._run.namespace, self._name, {**patch, "metadata": metadata})
