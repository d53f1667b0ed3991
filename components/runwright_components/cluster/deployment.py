"""The deploy step in a cluster: it applies the InferenceService and waits until the model serves.

It never takes a model back: what to do when the new one does not come up is the operator's to decide.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from runwright_components.cluster.client import Kubernetes, Resource
from runwright_components.cluster.ending import ClusterError
from runwright_components.cluster.fence import Fence
from runwright_components.cluster.jobs import PODS
from runwright_components.cluster.manifests import Readiness, inference_service, readiness, wanted_equals
from runwright_components.cluster.manifests.fault import Fault
from runwright_components.cluster.manifests.fields import dig, mapping, text
from runwright_components.cluster.manifests.inference_service import API_VERSION, LABEL_SERVICE, PLURAL
from runwright_components.cluster.manifests.pods import LABEL_MANAGED_BY, MANAGED_BY
from runwright_components.cluster.manifests.serving import SERVICE_NOT_READY
from runwright_components.cluster.records import RecordWriter
from runwright_components.cluster.storage import place
from runwright_components.contract.artifacts import MANIFEST, Deployment, PackageManifest, Registration
from runwright_components.contract.cluster import FIELD_MANAGER, LABEL_RUN, ClusterRun, ServiceConfig
from runwright_components.contract.outcome import Reason, StageError
from runwright_components.contract.progress import Progress

SERVICES = Resource(API_VERSION, PLURAL)
POLL_SECONDS = 1.0
FENCE_SECONDS = 10.0


def deploy_in_cluster(
    kubernetes: Kubernetes,
    run: ClusterRun,
    run_id: str,
    service: ServiceConfig,
    *,
    registration: Registration,
    record: RecordWriter,
    progress: Progress,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Deployment:
    """Serve the registered version as the InferenceService of the TrainingRun's name.

    Raises StageError: Cancelled when fenced off, InvalidConfig when the name is taken; ClusterError (ServiceNotReady)
    with the pods' story when it is not ready in time, or cannot become so.
    """
    fence = Fence(kubernetes, run, run_id)
    fence.enter()
    package = _package(run, registration)
    wanted = inference_service(
        service,
        namespace=run.namespace,
        name=run.name,
        uid=run.uid,
        revision=run.revision,
        recipe=run.recipe,
        package_uri=registration.uri,
        package_digest=registration.digest,
        model_digest=package.model_digest,
        storage=run.storage,
    )
    live = kubernetes.get(SERVICES, run.namespace, run.name)
    if live is not None and not _is_ours(live, run):
        raise _foreign(run)
    if (live is None or not wanted_equals(live, wanted)) and not fence.is_closed():
        kubernetes.apply(SERVICES, wanted, manager=FIELD_MANAGER)
    progress.note(f"waiting for {run.name} to serve revision {run.revision}")
    waiting = _Waiting(kubernetes, run, service, package.model_digest, fence, record, clock)
    while (found := waiting.look()) is None:
        sleep(POLL_SECONDS)
    return Deployment(
        name=run.name,
        mode=service.mode,
        uri=registration.uri,
        model_digest=package.model_digest,
        url=found.url,
        extra={"version": registration.version},
    )


class _Waiting:
    """Waits for the service, telling why it waits."""

    def __init__(
        self,
        kubernetes: Kubernetes,
        run: ClusterRun,
        service: ServiceConfig,
        digest: str,
        fence: Fence,
        record: RecordWriter,
        clock: Callable[[], float],
    ) -> None:
        self._kubernetes = kubernetes
        self._run = run
        self._limit = service.timeout_seconds
        self._digest = digest
        self._fence = fence
        self._record = record
        self._clock = clock
        self._began = clock()
        self._fenced = clock() + FENCE_SECONDS

    def look(self) -> Readiness | None:
        """The service's readiness once it serves, or once that is the operator's alone to decide; None before."""
        run = self._run
        closed = False
        if self._clock() >= self._fenced:
            self._fenced = self._clock() + FENCE_SECONDS
            closed = self._fence.is_closed()
        live = self._kubernetes.get(SERVICES, run.namespace, run.name)
        pods = self._kubernetes.list(PODS, run.namespace, labels=f"{LABEL_SERVICE}={run.name}")
        found = readiness(live, self._digest, pods, revision=run.revision)
        if found.state == "ready" or closed:
            return found
        waited = self._clock() - self._began
        if found.state == "failed" or waited > self._limit:
            raise ClusterError(_not_ready(found, waited).record())
        fault = found.fault or Fault(SERVICE_NOT_READY, found.message, waiting=True)
        known = self._record.record.waiting
        if known is None or known.reason != fault.reason:
            self._record.note(waiting=fault.record())
        return None


def _not_ready(found: Readiness, waited: float) -> Fault:
    told = f"the model does not serve after {waited:.0f} s: {found.message}"
    reason = found.reason if found.fault else SERVICE_NOT_READY
    return replace(found.fault or Fault(SERVICE_NOT_READY), reason=reason, message=told)


def _package(run: ClusterRun, registration: Registration) -> PackageManifest:
    there = place(run.storage, registration.uri)
    content = there.read(MANIFEST)
    try:
        manifest = PackageManifest.model_validate_json(content or b"")
    except ValueError as error:
        raise StageError(
            Reason.DATA_UNREADABLE,
            "there is no whole package in the registry",
            where=there.uri,
            cure="register the package again",
        ) from error
    if manifest.digest != registration.digest:
        raise StageError(
            Reason.DIGEST_MISMATCH,
            f"it holds {manifest.digest}, registered was {registration.digest}",
            where=there.uri,
            cure="register the package again for a new version",
        )
    return manifest


def _is_ours(live: Mapping[str, Any], run: ClusterRun) -> bool:
    labels = mapping(dig(live, "metadata", "labels"))
    return labels.get(LABEL_MANAGED_BY) == MANAGED_BY and text(labels.get(LABEL_RUN)) == run.name


def _foreign(run: ClusterRun) -> StageError:
    return StageError(
        Reason.INVALID_CONFIG,
        f"there is an InferenceService {run.name} already that Runwright did not make",
        where=f"{run.namespace}/{run.name}",
        cure="delete or rename it, or give the TrainingRun another name",
    )
