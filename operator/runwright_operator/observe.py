"""Look at a TrainingRun and at all that belongs to it: raw objects in, one frozen `Observed` out.

What the watch has not seen of a run at rest is not asked for: without children it costs no request at all.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from runwright_api import names
from runwright_api.status import PipelineRun, Revision, TrainingRunStatus
from runwright_components.cluster.manifests.inference_service import LABEL_SERVICE
from runwright_operator.adapters.kubernetes import Kubernetes
from runwright_operator.adapters.pipeline_runs import PipelineRunSeen, PipelineState
from runwright_operator.adapters.pipelines import PipelineNotFound, Pipelines, PipelinesError
from runwright_operator.brain.draft import ACTIVE, parse_time
from runwright_operator.brain.observed import JobSeen, Observed, PipelineSeen
from runwright_operator.brain.observed import PipelineState as Seen
from runwright_operator.index import Index
from runwright_operator.reading import (
    digest_of,
    read_annotations,
    read_history,
    read_records,
    read_run,
    read_status,
    service_is_kept,
)
from runwright_operator.resources import CONFIG_MAP, EVERY_JOB, INFERENCE_SERVICE, POD, Key

SETTLING = timedelta(minutes=2)
"""For so long after its start, a run is looked up by its name, to find a duplicate that a lost answer left."""

_JOB_KINDS = {resource.kind for resource in EVERY_JOB}
_STATES: Mapping[PipelineState, Seen] = {
    PipelineState.SUCCEEDED: "succeeded",
    PipelineState.SKIPPED: "succeeded",
    PipelineState.FAILED: "failed",
    PipelineState.CANCELED: "cancelled",
    PipelineState.RUNNING: "running",
    PipelineState.CANCELING: "cancelled",  # for ever, where its Workflow is gone
}


class Observer:
    """Reads the cluster and KFP."""

    def __init__(self, kubernetes: Kubernetes, pipelines: Pipelines, index: Index, *, has_storage: bool) -> None:
        self._kubernetes = kubernetes
        self._pipelines = pipelines
        self._index = index
        self._has_storage = has_storage

    async def observe(self, raw: Mapping[str, Any], *, started: PipelineSeen | None, refused: str) -> Observed:
        """What there is to see of the TrainingRun `raw`. `started` is the run that was just created, for which KFP need
        not be asked; `refused` why it was not."""
        metadata = raw["metadata"]
        key = Key(metadata["namespace"], metadata["name"])
        run, problems = read_run(raw, has_storage=self._has_storage, missing=self._index.missing)
        status = read_status(raw)
        children = self._index.children(key)
        kinds = {kind for kind, _ in children}
        # KFP first: a run that it calls ended has written all its records before they are read.
        found, error = ((started,), "") if started else await self._runs(key, status)
        records, service, pods = await asyncio.gather(
            self._records(key, "ConfigMap" in kinds or _is_under_way(status)),
            self._service(key, "InferenceService" in kinds or _has_model(status)),
            self._pods(key, "InferenceService" in kinds or _has_model(status)),
        )
        return Observed(
            key=key,
            uid=metadata["uid"],
            generation=metadata.get("generation", 0),
            status=status,
            run=run,
            recipe=digest_of(run) if run else "",
            problems=problems,
            annotations=read_annotations(raw),
            history=read_history(raw, key) if status.observed_generation == -1 else None,
            finalizers=tuple(metadata.get("finalizers") or ()),
            deleting=metadata.get("deletionTimestamp") is not None,
            keeps_service=service_is_kept(raw),
            records=read_records(records, metadata["uid"]),
            jobs=tuple(sorted(JobSeen(name, kind) for kind, name in children if kind in _JOB_KINDS)),
            service=service,
            service_pods=tuple(pods),
            pipelines=found,
            pipelines_error=error,
            submit_error=refused,
        )

    async def _records(self, key: Key, some: bool) -> list[dict[str, Any]]:
        if not some:
            return []
        listing = await self._kubernetes.list(CONFIG_MAP, key.namespace, labels=f"{names.LABEL_RUN}={key.name}")
        return listing.items

    async def _service(self, key: Key, some: bool) -> dict[str, Any] | None:
        if not some:
            return None
        return await self._kubernetes.get(INFERENCE_SERVICE, key.namespace, names.inference_service_name(key.name))

    async def _pods(self, key: Key, some: bool) -> list[dict[str, Any]]:
        if not some:
            return []
        listing = await self._kubernetes.list(
            POD, key.namespace, labels=f"{LABEL_SERVICE}={names.inference_service_name(key.name)}"
        )
        return listing.items

    async def _runs(self, key: Key, status: TrainingRunStatus) -> tuple[tuple[PipelineSeen, ...] | None, str]:
        """The KFP runs of the attempt that is under way."""
        current = next((one for one in status.revisions if one.number == status.revision), None)
        run = current.pipeline_run if current and current.state in ACTIVE else None
        if current is None or run is None:
            return None, ""
        try:
            if run.id and _settled(current):
                return await self._by_id(run), ""
            found = await self._pipelines.find(key.namespace, run.attempt)
            return tuple(self.seen(one) for one in found), ""
        except PipelinesError as error:
            return None, f"Kubeflow Pipelines: {error}"[:1000]

    async def _by_id(self, run: PipelineRun) -> tuple[PipelineSeen, ...]:
        try:
            return (self.seen(await self._pipelines.get(run.id)),)
        except PipelineNotFound:
            return ()

    def seen(self, run: PipelineRunSeen) -> PipelineSeen:
        """A KFP run as the brain knows it."""
        return PipelineSeen(
            id=run.id,
            state=_STATES.get(run.state, "pending"),
            created=run.created,
            error=run.error,
            url=self._pipelines.url(run.id),
        )


def _is_under_way(status: TrainingRunStatus) -> bool:
    """Whether a pipeline run writes records, be the watch that tells of them deaf or not."""
    runs = [revision.pipeline_run for revision in status.revisions if revision.state in ACTIVE]
    return any(run is not None and run.id for run in runs)


def _has_model(status: TrainingRunStatus) -> bool:
    return status.serving is not None or any(revision.artifact for revision in status.revisions)


def _settled(revision: Revision) -> bool:
    began = parse_time(revision.start_time)
    return began is not None and datetime.now(UTC) - began > SETTLING
