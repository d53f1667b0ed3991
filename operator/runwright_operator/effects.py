"""Do what was decided. Each action may be repeated without harm; each raises what the adapters raise."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from runwright_api import names
from runwright_components.contract.cluster import record_name
from runwright_operator.adapters.kubernetes import Kubernetes
from runwright_operator.adapters.pipelines import PipelineRunSeen, Pipelines
from runwright_operator.brain.decision import (
    Action,
    AddFinalizer,
    ApplyService,
    ArchivePipeline,
    DeleteJob,
    DeleteRecord,
    DeleteService,
    Remember,
    RemoveFinalizer,
    StartPipeline,
    StopAttempt,
    StopPipeline,
)
from runwright_operator.resources import CONFIG_MAP, EVERY_JOB, INFERENCE_SERVICE, TRAINING_RUN, Key
from runwright_pipelines.compiling import CLUSTER, RUN_NAME

Raw = Mapping[str, Any]


class Effects:
    """Writes to the cluster and to KFP."""

    def __init__(self, kubernetes: Kubernetes, pipelines: Pipelines, *, service_account: str) -> None:
        self._kubernetes = kubernetes
        self._pipelines = pipelines
        self._service_account = service_account

    async def perform(self, action: Action, raw: Raw) -> Raw:
        """Do one action for the TrainingRun `raw`; returns the TrainingRun as it is afterwards.

        Raises ApiError, PipelinesError.
        """
        key = Key(raw["metadata"]["namespace"], raw["metadata"]["name"])
        match action:
            case AddFinalizer():
                return await self._finalizers(key, raw, {*_finalizers(raw), names.FINALIZER})
            case RemoveFinalizer():
                return await self._finalizers(key, raw, set(_finalizers(raw)) - {names.FINALIZER})
            case Remember(history):
                return await self._annotate(key, raw, {names.ANNOTATION_HISTORY: history})
            case StopAttempt(attempt, run_id):
                await self._stop(key, attempt, run_id)
            case StopPipeline(run_id):
                await self._pipelines.terminate(run_id)
            case ArchivePipeline(run_id):
                await self._pipelines.archive(run_id)
            case DeleteJob(name, kind):
                resource = next(one for one in EVERY_JOB if one.kind == kind)
                await self._kubernetes.delete(resource, key.namespace, name)
            case DeleteRecord(revision):
                await self._kubernetes.delete(CONFIG_MAP, key.namespace, record_name(key.name, revision))
            case ApplyService(manifest):
                await self._apply(key, manifest)
            case DeleteService(uid):
                name = names.inference_service_name(key.name)
                await self._kubernetes.delete(INFERENCE_SERVICE, key.namespace, name, uid=uid or None)
            case StartPipeline():
                raise TypeError("a pipeline is started by `start`, which says what came of it")
        return raw

    async def start(self, action: StartPipeline, key: Key) -> PipelineRunSeen:
        """Create the KFP run of an attempt that status names and that no run has yet."""
        return await self._pipelines.create(
            key.namespace,
            name=action.attempt,
            experiment=key.name,
            spec=action.pipeline,
            parameters={RUN_NAME: key.name, CLUSTER: action.cluster},
            service_account=self._service_account,
            description=f"Revision {action.revision} of the TrainingRun {key}",
        )

    async def _stop(self, key: Key, attempt: str, run_id: str) -> None:
        """Every run of the attempt: an answer may have been lost before its id was known."""
        if run_id:
            await self._pipelines.terminate(run_id)
        for run in await self._pipelines.find(key.namespace, attempt):
            if run.id != run_id and not run.state.ended:
                await self._pipelines.terminate(run.id)

    async def _apply(self, key: Key, manifest: Raw) -> None:
        name = names.inference_service_name(key.name)
        await self._kubernetes.apply(INFERENCE_SERVICE, key.namespace, name, dict(manifest), manager=names.MANAGED_BY)

    async def _finalizers(self, key: Key, raw: Raw, wanted: set[str]) -> Raw:
        given = _finalizers(raw)
        if set(given) == wanted:
            return raw
        listed = [one for one in given if one in wanted] + sorted(wanted - set(given))
        return await self._merge(key, raw, {"finalizers": listed})

    async def _annotate(self, key: Key, raw: Raw, annotations: Mapping[str, str]) -> Raw:
        return await self._merge(key, raw, {"annotations": dict(annotations)})

    async def _merge(self, key: Key, raw: Raw, metadata: Mapping[str, Any]) -> Raw:
        """Change the metadata of the TrainingRun, if it is still as it was seen."""
        return await self._kubernetes.merge(
            TRAINING_RUN,
            key.namespace,
            key.name,
            {"metadata": dict(metadata)},
            resource_version=raw["metadata"]["resourceVersion"],
        )


def _finalizers(raw: Raw) -> list[str]:
    return list(raw["metadata"].get("finalizers") or ())
