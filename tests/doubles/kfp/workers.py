"""The pods of a training. On a node that only says that it runs them, annotations decide how each ends.

Each attempt is a job of its own (the owner's uid tells). Its pods get the annotations that the cluster tier's kwok
Stages read: sim/run-ms, sim/exit-code, sim/reason, sim/message. The model is put into storage just before its
training ends well, as the real workers do.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from runwright_components.cluster.manifests.training_pod import TRAIN_ENV
from runwright_components.cluster.storage import MODEL, PROGRESS, place, store_folder
from runwright_components.contract.cluster import CLUSTER_ENV, LABEL_RUN, LABEL_STAGE, ClusterRun
from runwright_components.contract.config import TrainConfig
from runwright_components.contract.outcome import StageError
from runwright_components.contract.progress import Event
from tests.doubles.kfp import canned
from tests.doubles.kfp.cluster import JSON_PATCHES, Cluster, ClusterError
from tests.doubles.kfp.scripts import SCRIPTS, Pods, Scripts
from tests.doubles.kfp.store import Store

RUN_MS, EXIT_CODE, REASON, MESSAGE = "sim/run-ms", "sim/exit-code", "sim/reason", "sim/message"
ATTEMPT = "sim/attempt"
_INDEX = "batch.kubernetes.io/job-completion-index"
_SELECTOR = f"{LABEL_RUN},{LABEL_STAGE}=train"


class Workers:
    """Annotates every training pod of the runs in `store`, once. Others may share the cluster."""

    def __init__(self, cluster: Cluster, store: Store) -> None:
        self._cluster = cluster
        self._store = store
        self._scripts = store.folder / SCRIPTS
        self._jobs: dict[str, list[str]] = {}  # namespace/name -> uids of the jobs of that name, in order
        self._seen: set[str] = set()
        self._under_way: set[asyncio.Task[None]] = set()

    async def work(self) -> None:
        """For ever."""
        async for pod in self._cluster.watch("/api/v1/pods", labels=_SELECTOR):
            metadata = pod["metadata"]
            if (
                metadata["uid"] in self._seen
                or metadata.get("deletionTimestamp")
                or not metadata.get("ownerReferences")
            ):
                continue
            self._seen.add(metadata["uid"])
            attempt = self._attempt(metadata)
            if ATTEMPT not in metadata.get("annotations", {}):
                task = asyncio.create_task(self._direct(pod, attempt))
                self._under_way.add(task)
                task.add_done_callback(self._under_way.discard)

    def _attempt(self, metadata: Mapping[str, Any]) -> int:
        """How many jobs of this name came before. An annotation from before a restart of the double counts."""
        owner = metadata["ownerReferences"][0]
        uids = self._jobs.setdefault(f"{metadata['namespace']}/{owner['name']}", [])
        if owner["uid"] not in uids:
            said = int(metadata.get("annotations", {}).get(ATTEMPT, len(uids)))
            uids += [""] * (said - len(uids))
            uids.append(owner["uid"])
        return uids.index(owner["uid"])

    async def _direct(self, pod: Mapping[str, Any], attempt: int) -> None:
        environment = _environment(pod)
        try:
            run = ClusterRun.model_validate_json(environment[CLUSTER_ENV])
            config = TrainConfig.model_validate_json(environment[TRAIN_ENV])
        except (KeyError, ValueError):
            return  # not a pod of ours
        if not self._started(run):
            return  # another double works on this cluster as well
        script = Scripts.read(self._scripts).of(run, config)
        pods = script.pods_of(attempt)
        first = _is_first(pod["metadata"])
        if first and pods.run_ms is not None and pods.exit_code == 0:
            await asyncio.to_thread(_train, run, config, script.salt)
        try:
            await self._annotate(pod, attempt, pods)
            if first and pods.preempt_after_ms is not None:
                await asyncio.sleep(pods.preempt_after_ms / 1000)
                await self._preempt(pod)
        except ClusterError as error:
            print(f"workers: {pod['metadata']['name']}: {error}", flush=True)

    def _started(self, run: ClusterRun) -> bool:
        """Whether a pipeline run of ours is about this revision."""
        told = [one.parameters.get("cluster") for one in self._store.runs.values()]
        found = [ClusterRun.model_validate_json(text) for text in told if isinstance(text, str) and run.uid in text]
        return any((one.uid, one.revision) == (run.uid, run.revision) for one in found)

    async def _annotate(self, pod: Mapping[str, Any], attempt: int, pods: Pods) -> None:
        found = {ATTEMPT: str(attempt), EXIT_CODE: str(pods.exit_code), REASON: pods.reason, MESSAGE: pods.message}
        found |= pods.annotations
        if pods.run_ms is not None:
            found[RUN_MS] = str(pods.run_ms)
        patch = {"metadata": {"annotations": {name: text for name, text in found.items() if text}}}
        await self._cluster.ask("PATCH", _path(pod), body=patch, content_type=JSON_PATCHES)

    async def _preempt(self, pod: Mapping[str, Any]) -> None:
        """As the scheduler does: the condition that says why, then the end by way of an eviction."""
        condition = {
            "type": "DisruptionTarget",
            "status": "True",
            "reason": "PreemptionByScheduler",
            "message": "default-scheduler: preempting to accommodate a higher priority pod",
        }
        patch = {"status": {"conditions": [condition]}}
        path = _path(pod)
        kind = "application/strategic-merge-patch+json"
        await self._cluster.ask("PATCH", f"{path}/status", body=patch, content_type=kind)
        metadata = {"name": pod["metadata"]["name"], "namespace": pod["metadata"]["namespace"]}
        eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": metadata}
        await self._cluster.ask("POST", f"{path}/eviction", body=eviction)


def _is_first(metadata: Mapping[str, Any]) -> bool:
    """Whether the pod is node 0: the Master of a PyTorchJob, the first of an indexed Job."""
    return metadata["name"].endswith("-master-0") or metadata["labels"].get(_INDEX) == "0"


def _train(run: ClusterRun, config: TrainConfig, salt: str) -> None:
    """What the workers leave in storage: how far they are, and the model."""
    there = place(run.storage)
    done = Event(
        time=0, stage="train", kind="progress", done=20, total=30, unit="steps", values={"epoch": 2, "loss": 0.5}
    )
    try:
        there.write(PROGRESS, done.model_dump_json(exclude_defaults=True).encode())
        with tempfile.TemporaryDirectory() as folder:
            canned.model(config, Path(folder), salt=salt)
            store_folder(Path(folder), there.under(MODEL))
    except StageError as error:
        print(f"workers: {run.namespace}/{run.name}: {error}", flush=True)


def _environment(pod: Mapping[str, Any]) -> dict[str, str]:
    return {
        entry["name"]: entry.get("value", "")
        for container in pod["spec"]["containers"]
        for entry in container.get("env", ())
    }


def _path(pod: Mapping[str, Any]) -> str:
    return f"/api/v1/namespaces/{pod['metadata']['namespace']}/pods/{pod['metadata']['name']}"
