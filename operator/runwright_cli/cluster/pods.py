"""Which pods belong to a revision, which stage each works at, and which containers have something to say. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from runwright_api import names
from runwright_api.reasons import Stage
from runwright_api.status import Revision

PIPELINE_RUN = "pipeline/runid"  # the label that Kubeflow Pipelines puts on the pods of a run
SERVICE = "serving.kserve.io/inferenceservice"
_FRAME = ("wait", "queue-proxy", "istio-proxy", "agent")  # containers of Argo, Knative, Istio and KServe
_FUNCTION = "--function_to_execute"
_TASKS: Mapping[str, tuple[Stage, ...]] = {  # tasks of the compact layout that carry several stages
    "data": (Stage.COLLECT, Stage.PREPARE),
    "model": (Stage.TRAIN, Stage.EVALUATE, Stage.PACKAGE, Stage.REGISTER, Stage.DEPLOY),
}


@dataclass(frozen=True)
class Stream:
    """A container with a log. `restarts` tells its instances apart, `running` whether more may come."""

    uid: str
    pod: str
    container: str
    stages: tuple[Stage, ...]
    restarts: int
    running: bool
    started: bool
    waiting: str = ""  # why it has not started

    @property
    def key(self) -> tuple[str, str, int]:
        return self.uid, self.container, self.restarts


def selectors(name: str, revision: Revision | None) -> tuple[str, ...]:
    """Label selectors of the pods of a revision; of a run without one, of all its pods."""
    own = f"{names.LABEL_RUN}={name}"
    if revision is None:
        return (own,)
    found = [f"{own},{names.LABEL_REVISION}={revision.number}"]
    if revision.pipeline_run and revision.pipeline_run.id:
        found.append(f"{PIPELINE_RUN}={revision.pipeline_run.id}")
    return tuple(found)


def streams(pods: Iterable[Mapping[str, Any]], stage: Stage | None = None) -> Iterator[Stream]:
    """The containers worth reading: those of our images, and any that failed."""
    for pod in pods:
        stages = _stages(pod)
        if stage is not None and stage not in stages:
            continue
        status = pod.get("status") or {}
        first = [*(status.get("initContainerStatuses") or ())]
        main = [item for item in status.get("containerStatuses") or () if item.get("name") not in _FRAME]
        for container in first:
            if _failed(container) or (stages and container.get("name") == "model"):
                yield _stream(pod, container, stages)
        for container in main:
            if stages or _failed(container):  # Argo's drivers say nothing that a person wants, unless they fail
                yield _stream(pod, container, stages)
        if not main and stages:
            yield _unstarted(pod, stages)


def _stages(pod: Mapping[str, Any]) -> tuple[Stage, ...]:
    labels = pod["metadata"].get("labels") or {}
    if labels.get(names.LABEL_STAGE) in list(Stage):
        return (Stage(labels[names.LABEL_STAGE]),)
    if SERVICE in labels:
        return (Stage.DEPLOY,)
    for container in (pod.get("spec") or {}).get("containers") or ():
        words = [str(word) for word in (*(container.get("command") or ()), *(container.get("args") or ()))]
        if _FUNCTION in words[:-1]:
            task = words[words.index(_FUNCTION) + 1]
            return _TASKS.get(task) or ((Stage(task),) if task in list(Stage) else ())
    return ()


def _failed(container: Mapping[str, Any]) -> bool:
    state = container.get("state") or {}
    ended = state.get("terminated") or (container.get("lastState") or {}).get("terminated") or {}
    return bool(ended.get("exitCode", 0))


def _stream(pod: Mapping[str, Any], container: Mapping[str, Any], stages: tuple[Stage, ...]) -> Stream:
    state = container.get("state") or {}
    waiting = state.get("waiting") or {}
    return Stream(
        uid=str(pod["metadata"].get("uid", "")),
        pod=str(pod["metadata"]["name"]),
        container=str(container.get("name", "")),
        stages=stages,
        restarts=int(container.get("restartCount", 0)),
        running="running" in state,
        started="running" in state or "terminated" in state or bool(container.get("lastState")),
        waiting=": ".join(str(waiting[key]) for key in ("reason", "message") if waiting.get(key)),
    )


def _unstarted(pod: Mapping[str, Any], stages: tuple[Stage, ...]) -> Stream:
    conditions = (pod.get("status") or {}).get("conditions") or ()
    why: Mapping[str, Any] = next((item for item in conditions if item.get("status") == "False"), {})
    waiting = ": ".join(str(why[key]) for key in ("reason", "message") if why.get(key)) or "Pending"
    return Stream(
        uid=str(pod["metadata"].get("uid", "")),
        pod=str(pod["metadata"]["name"]),
        container="",
        stages=stages,
        restarts=0,
        running=False,
        started=False,
        waiting=waiting,
    )
