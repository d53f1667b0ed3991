"""The prepare step in a cluster, where an engine other than local does its work: it starts the revision's
SparkApplication or RayJob, or adopts it, and follows it to its end, as the train step does with what trains.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from runwright_components.cluster.backends import OnRay
from runwright_components.cluster.client import Kubernetes, Resource
from runwright_components.cluster.fence import Fence
from runwright_components.cluster.jobs import JobHandle, Ownership, phase_of
from runwright_components.cluster.manifests import Manifest, sparkapplication
from runwright_components.cluster.manifests.data_job import ANNOTATION_INPUT, data_job
from runwright_components.cluster.manifests.fault import (
    CONTAINER_CONFIG,
    IMAGE_PULL,
    NOT_ALLOWED,
    OOM,
    PREEMPTED,
    QUOTA,
    UNSCHEDULABLE,
    Fault,
)
from runwright_components.cluster.manifests.faults import pod_fault
from runwright_components.cluster.manifests.fields import dig, text
from runwright_components.cluster.records import RecordWriter
from runwright_components.cluster.storage import FORMER, PREPARED, RAW, Place, fetch_folder, place, store_folder
from runwright_components.cluster.training import Follower, Pace, follow_to_its_end
from runwright_components.contract.artifacts import PreparedManifest, RawManifest
from runwright_components.contract.cluster import ClusterRun
from runwright_components.contract.config import PrepareConfig
from runwright_components.contract.files import files_digest, folder_files
from runwright_components.contract.progress import Progress

_IMAGE = "see that data.cluster.image is there, and that it holds Runwright and the engine; docs/data/engines.md"
_ROOM = "ask for less (data.cluster), or make room in the cluster or in the namespace's quota"
_CURES = {
    IMAGE_PULL: _IMAGE,
    CONTAINER_CONFIG: f"{_IMAGE}; check the Secret that storage names",
    OOM: "raise the memory of data.cluster.driver and data.cluster.executor, or take more executors",
    UNSCHEDULABLE: _ROOM,
    QUOTA: _ROOM,
    NOT_ALLOWED: "have the administrator allow it (run.spark of the chart); docs/data/engines.md says what",
    PREEMPTED: "it starts again by itself",
}


@dataclass(frozen=True)
class Given:
    """What is to be prepared: raw data, and what the revision before left, if anything."""

    config: PrepareConfig
    raw: Path
    former: Path | None = None

    def digest(self) -> str:
        """Of all that decides the prepared data."""
        before = "" if self.former is None else files_digest(folder_files(self.former))
        decisive = (self.config.digest(), RawManifest.read(self.raw).digest, before)
        return "sha256:" + hashlib.sha256(" ".join(decisive).encode()).hexdigest()

    def store(self, there: Place) -> None:
        """Bring the folders to where the job's program looks for them. Raises StageError."""
        store_folder(self.raw, there.under(RAW))
        if self.former is not None:
            store_folder(self.former, there.under(FORMER))
        else:
            there.under(FORMER).remove()


class DataJobHandle(JobHandle):
    """A job that prepares the data of a revision. `given` is the digest of what it is given."""

    def __init__(
        self, kubernetes: Kubernetes, run: ClusterRun, run_id: str, *, config: PrepareConfig, out_uri: str, given: str
    ) -> None:
        super().__init__(kubernetes, run, run_id)
        self._config = config
        self._out_uri = out_uri
        self._given = given

    @property
    def done(self) -> str:
        return f"prepared {self._given}"

    def manifest(self, *, resume: bool) -> Manifest:  # noqa: ARG002 (a preparation begins anew)
        return data_job(self._run, config=self._config, out_uri=self._out_uri, given=self._given)

    def ownership(self, job: Mapping[str, Any]) -> Ownership:
        """As of any job; but one that was given other data, or told otherwise, is to be replaced."""
        found = super().ownership(job)
        same = dig(job, "metadata", "annotations", ANNOTATION_INPUT) == self._given
        return found if same or found == "foreign" else "stale"

    def explained(self, fault: Fault) -> Fault:
        return replace(fault, cure=_CURES[fault.reason]) if fault.reason in _CURES else fault


class SparkHandle(DataJobHandle):
    """A SparkApplication of the Spark operator, whose driver makes the executors."""

    resource = Resource(sparkapplication.API_VERSION, sparkapplication.PLURAL)
    kind = sparkapplication.KIND

    def pods(self, job: Mapping[str, Any]) -> list[Manifest]:
        """Those made since the application was: a namesake before it had the same label."""
        made = dig(job, "metadata", "creationTimestamp") or ""
        found = self._listed(sparkapplication.LABEL_APP, self._name)
        return [pod for pod in found if (dig(pod, "metadata", "creationTimestamp") or made) >= made]

    def clean(self, job: Mapping[str, Any]) -> None:
        """Spark does it by itself: executors go with the end of a driver that succeeded."""

    def refusals(self, job: Mapping[str, Any]) -> list[Manifest]:
        return self._events(f"involvedObject.name={self._name}", job)

    def needed(self, pods: Iterable[Manifest]) -> Iterable[Manifest]:
        """The driver: it makes a new executor for one that is lost."""
        return (pod for pod in pods if _is_driver(pod))

    def at_work(self, pods: Sequence[Manifest]) -> bool:
        """The driver alone at first and at the end; in between it needs an executor."""
        driver = any(_is_driver(pod) and phase_of(pod) == "Running" for pod in pods)
        executors = [phase_of(pod) for pod in pods if not _is_driver(pod)]
        return driver and ("Running" in executors or "Pending" not in executors)

    def blamed(self, pods: Sequence[Manifest]) -> list[Manifest]:
        """The driver, where it knows what was wrong: an executor that was lost before was replaced. Else all."""
        for pod in pods:
            fault = pod_fault(pod) if _is_driver(pod) else None
            if fault is not None and not fault.retryable:
                return [pod]
        return list(pods)


class RayHandle(OnRay, DataJobHandle):
    """A RayJob that prepares data."""


def _is_driver(pod: Mapping[str, Any]) -> bool:
    return text(dig(pod, "metadata", "labels", sparkapplication.LABEL_ROLE)) == "driver"


def prepare_in_cluster(
    kubernetes: Kubernetes,
    run: ClusterRun,
    run_id: str,
    given: Given,
    *,
    out: Path,
    record: RecordWriter,
    progress: Progress,
    pace: Pace = Pace(),
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> PreparedManifest:
    """Prepare what is given by a job of `run.data`, and bring the prepared data to `out`.

    Raises StageError, as `train_in_cluster` does.
    """
    assert run.data is not None
    fence = Fence(kubernetes, run, run_id)
    fence.enter()
    there, its = place(run.storage).under(PREPARED), run.preparing()
    given.store(place(its.storage))
    handle = SparkHandle if run.data.engine == "spark" else RayHandle
    job = handle(kubernetes, its, run_id, config=given.config, out_uri=there.uri, given=given.digest())
    follower = Follower(job, its, record=record, fence=fence, progress=progress, pace=pace, clock=clock, sleep=sleep)
    follow_to_its_end(follower, job, fence)
    progress.note("fetching the prepared data")
    fetch_folder(there, out)
    return PreparedManifest.read(out)
