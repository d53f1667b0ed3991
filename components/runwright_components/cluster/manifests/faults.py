"""Why a pod, or a training's job, failed or waits: one reason of the API's closed list, for people and for retries.

Reads whatever statuses and events say, as any JSON, and never raises.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from runwright_components.cluster.manifests.beside import has_helpers
from runwright_components.cluster.manifests.fault import (
    COLLECTIVE_TIMEOUT,
    CONTAINER_CONFIG,
    CURES,
    DEADLINE,
    EVICTED,
    IMAGE_PULL,
    KNOWN,
    LOG_LINES,
    LONGEST_LINE,
    NODE_LOST,
    NOT_ALLOWED,
    OOM,
    PREEMPTED,
    QUOTA,
    RETRIES_EXHAUSTED,
    UNSCHEDULABLE,
    USER_CODE,
    WAITING_FOR_QUOTA,
    Fault,
)
from runwright_components.cluster.manifests.fields import condition, dig, integer, items, mapping, moment, text
from runwright_components.cluster.manifests.job_states import failure_message, is_suspended, not_submitted
from runwright_components.contract.command import command_error
from runwright_components.contract.outcome import ExitCode, Reason

_FOREIGN_IMAGE = "start the code by train.code.command, or make train.image from Runwright's; see docs/own-code.md"
_NO_PROGRAM = "name a program of train.image there; without a slash it is looked for in the image's PATH"
COMMAND = "train.code.command"
_DISRUPTIONS = {  # reasons of the condition DisruptionTarget
    "PreemptionByScheduler": PREEMPTED,
    "EvictionByEvictionAPI": EVICTED,
    "TerminationByKubelet": EVICTED,
    "DeletionByTaintManager": NODE_LOST,
    "DeletionByPodGC": NODE_LOST,
}
_POD_REASONS = {  # status.reason of a pod
    "Evicted": EVICTED,
    "Preempting": PREEMPTED,
    "Preempted": PREEMPTED,
    "NodeLost": NODE_LOST,
    "NodeShutdown": NODE_LOST,
    "Shutdown": NODE_LOST,
    "Terminated": NODE_LOST,
    "NodeAffinity": NODE_LOST,
    "UnexpectedAdmissionError": NODE_LOST,
    "DeadlineExceeded": DEADLINE,
}
TAKEN_AWAY_EVENTS = {  # of events about a pod that is gone
    "Preempted": PREEMPTED,
    "Evicted": EVICTED,
    "TaintManagerEviction": NODE_LOST,
    "NodeNotReady": NODE_LOST,
}
_NOT_MADE = (  # events of a job that has no pods
    "FailedCreatePod",
    "FailedCreate",
    "TrainJobResourcesCreationFailed",
    "FailedToCreateRayCluster",
    "FailedToCreateHeadPod",
    "FailedToCreateWorkerPod",
)
_IMAGE = (
    "ImagePullBackOff",
    "ErrImagePull",
    "InvalidImageName",
    "ErrImageNeverPull",
    "ImageInspectError",
    "RegistryUnavailable",
    "SignatureValidationFailed",
)
_CONFIG = ("CreateContainerConfigError", "CreateContainerError", "RunContainerError", "PreCreateHookError")
_START_ERRORS = ("ContainerCannotRun", "StartError")
_COLLECTIVE = re.compile(
    r"(?i)watchdog caught collective operation timeout|collective(?:s| operation)? timed? ?out|"
    r"connection (?:closed by peer|reset by peer)|store.{0,40}timed out|wait timeout after"
)
_PROGRAM = re.compile(r"entrypoint command failed with exit code (-?\d+)")
_CONSEQUENCES = (COLLECTIVE_TIMEOUT, Reason.CANCELLED)  # of another rank's end
_SIGTERM = 143


def job_fault(job: Mapping[str, Any], pods: Iterable[Any], events: Iterable[Any] = ()) -> Fault:
    """Why a job failed: the first of its pods' own faults, for the others only lost their peer by it."""
    faults = [fault for pod in pods if (fault := pod_fault(mapping(pod))) is not None and not fault.waiting]
    first = min(faults, key=_precedence) if faults else None
    if first is not None and first.reason not in _CONSEQUENCES:
        return first
    known = _from_events(events) or first
    if known is not None:
        return known
    said = failure_message(job)
    if "longer than specified deadline" in said:
        return Fault(DEADLINE, said)
    if said.startswith("ValidationFailed"):  # KubeRay's word
        return Fault(str(Reason.INVALID_CONFIG), said)
    if (told := _of_program(said)) is not None:
        return told
    if (told := _of_submission(job, said)) is not None:
        return told
    return Fault(NODE_LOST, f"the pods of the job are gone and left no word: {said}".removesuffix(": "))


def _of_submission(job: Mapping[str, Any], said: str) -> Fault | None:
    """Why the Spark operator could not start a SparkApplication, by the last words of spark-submit. None where its
    driver did start."""
    if not not_submitted(job):
        return None
    if (refused := _refusal(said)) is not None:
        return refused
    last = next((line for line in reversed(said.splitlines()) if "Exception" in line), said)
    return Fault(Reason.WORKER_FAILED, f"the Spark operator could not start the driver: {last.strip()}")


def _precedence(fault: Fault) -> tuple[int, datetime]:
    order = 2 if fault.reason in _CONSEQUENCES else 0 if fault.preemption else 1
    return order, fault.time or datetime.max.replace(tzinfo=UTC)


def waiting_fault(job: Mapping[str, Any], pods: Sequence[Any], events: Iterable[Any] = ()) -> Fault | None:
    """Why a job does not run yet; None when nothing tells."""
    if is_suspended(job):
        return Fault(WAITING_FOR_QUOTA, "the queue has not admitted the training yet", waiting=True)
    faults = [fault for pod in pods if (fault := pod_fault(mapping(pod))) is not None and fault.waiting]
    if faults:
        return next((fault for fault in faults if fault.reason != UNSCHEDULABLE), faults[0])
    return _refused(events)


def _refused(events: Iterable[Any]) -> Fault | None:
    """What the API server said when a controller could not make a pod."""
    for event in sorted((mapping(event) for event in events), key=event_time, reverse=True):
        if event.get("reason") not in _NOT_MADE:
            continue
        said = text(event.get("message"))
        if "already exists" in said or "being deleted" in said:
            continue
        if (refused := _refusal(said)) is not None:
            return replace(refused, waiting=True)
    return None


def _refusal(said: str) -> Fault | None:
    """What the API server has against a pod."""
    if "exceeded quota" in said:
        return Fault(QUOTA, said)
    if "forbidden" in said or "denied" in said or "PodSecurity" in said or "no PriorityClass" in said:
        return Fault(NOT_ALLOWED, said)
    return None


def has_ended_badly(pod: Mapping[str, Any]) -> bool:
    """Whether a pod has a fault of its own, not one that it waits with."""
    fault = pod_fault(pod)
    return fault is not None and not fault.waiting


def gone_fault(pod: Mapping[str, Any], events: Iterable[Any] = ()) -> Fault:
    """Why a pod vanished: `pod` as it was seen last, `events` about it."""
    name = text(dig(pod, "metadata", "name")) or None
    seen = _disruption(pod)
    if seen is not None:
        return seen
    uid = dig(pod, "metadata", "uid")
    about = [event for event in map(mapping, events) if uid in (None, dig(event, "involvedObject", "uid"))]
    found = _from_events(about)
    if found is not None:
        return replace(found, pod=name)
    return Fault(NODE_LOST, "the pod was deleted, or its node is gone", pod=name)


def _from_events(events: Iterable[Any]) -> Fault | None:
    for event in sorted(map(mapping, events), key=event_time, reverse=True):
        reason = TAKEN_AWAY_EVENTS.get(text(event.get("reason")))
        if reason is not None:
            pod = text(dig(event, "involvedObject", "name")) or None
            return Fault(reason, text(event.get("message")), pod=pod)
    return None


def event_time(event: Mapping[str, Any]) -> datetime:
    """When an event was told last."""
    times = (event.get("lastTimestamp"), event.get("eventTime"), dig(event, "metadata", "creationTimestamp"))
    return next((found for one in times if (found := moment(one)) is not None), datetime.min.replace(tzinfo=UTC))


def pod_fault(pod: Mapping[str, Any], *, serving: bool = False) -> Fault | None:
    """Why a pod failed or waits; None while all is well.

    With `serving`, a container that ended once is no fault yet, one that ends again and again is.
    """
    name = text(dig(pod, "metadata", "name")) or None
    found = _disruption(pod) or _of_containers(pod, serving) or _scheduling(pod)
    if found is None and dig(pod, "status", "phase") == "Failed":
        said = text(dig(pod, "status", "message")) or "the pod failed and its containers say nothing"
        found = Fault(Reason.WORKER_FAILED, said)
    return None if found is None else replace(found, pod=name)


def _disruption(pod: Mapping[str, Any]) -> Fault | None:
    target = condition(pod, "DisruptionTarget")
    name = text(dig(pod, "metadata", "name")) or None
    if target.get("status") == "True":
        reason = _DISRUPTIONS.get(text(target.get("reason")), EVICTED)
        return Fault(reason, text(target.get("message")), pod=name, time=moment(target.get("lastTransitionTime")))
    said = text(dig(pod, "status", "reason"))
    reason = _POD_REASONS.get(said, NODE_LOST if said.startswith(("OutOf", "Outof")) else "")
    return Fault(reason, text(dig(pod, "status", "message")) or said, pod=name) if reason else None


def _scheduling(pod: Mapping[str, Any]) -> Fault | None:
    scheduled = condition(pod, "PodScheduled")
    if scheduled.get("status") != "False" or dig(pod, "status", "phase") in ("Succeeded", "Failed"):
        return None
    said = text(scheduled.get("message"))
    if scheduled.get("reason") == "SchedulingGated":
        return Fault(WAITING_FOR_QUOTA, said or "the queue has not admitted the pod yet", waiting=True)
    return Fault(UNSCHEDULABLE, said or "no node fits the pod", waiting=True)


def _of_containers(pod: Mapping[str, Any], serving: bool) -> Fault | None:
    status = mapping(pod.get("status"))
    users = has_helpers(pod)
    before = _faults(items(status.get("initContainerStatuses")), serving=serving)
    main = _faults(items(status.get("containerStatuses")), serving=serving, users=users)
    ended = [fault for fault in main if not fault.waiting] or [fault for fault in before if not fault.waiting]
    if ended and not (users and not main and dig(pod, "metadata", "deletionTimestamp")):
        return min(ended, key=_precedence)
    return next((fault for fault in (*before, *main) if fault.waiting), None)


def _faults(statuses: Iterable[Any], *, serving: bool, users: bool = False) -> list[Fault]:
    return [fault for one in statuses if (fault := _of_container(mapping(one), serving, users)) is not None]


def _of_container(status: Mapping[str, Any], serving: bool, users: bool) -> Fault | None:
    name = text(status.get("name")) or None
    restarts = integer(status.get("restartCount")) or 0
    state = mapping(status.get("state"))
    waiting = mapping(state.get("waiting"))
    why = text(waiting.get("reason"))
    said = text(waiting.get("message"))
    if why in _IMAGE:
        return Fault(IMAGE_PULL, said or why, container=name, waiting=True)
    if why in _CONFIG:
        return Fault(CONTAINER_CONFIG, said or why, container=name, waiting=True)
    ended = mapping(state.get("terminated"))
    if why == "CrashLoopBackOff" or (serving and restarts > 1 and not ended):
        ended = mapping(dig(status, "lastState", "terminated"))
    elif serving:
        return None
    code = integer(ended.get("exitCode"))
    if not ended or (code == 0 and ended.get("reason") != "OOMKilled"):
        return None
    return replace(
        _of_end(ended, code, users=users), container=name, restarts=restarts, time=moment(ended.get("finishedAt"))
    )


def _of_end(ended: Mapping[str, Any], code: int | None, *, users: bool = False) -> Fault:
    """`users`: what ended is the user's own command, in an image without us."""
    why, said = text(ended.get("reason")), text(ended.get("message"))
    log = tuple(line[:LONGEST_LINE] for line in said.splitlines()[-LOG_LINES:])
    exit_code = code if code is not None and -1 <= code <= 255 else None
    if why == "OOMKilled":
        told = "the container used more memory than its limit and the kernel ended it"
        return Fault(OOM, told, exit_code=exit_code, log=log)
    if why in _START_ERRORS or code in (126, 127):
        if users:
            told = f"train.image cannot start the command: {said or why}"
            return Fault(str(Reason.INVALID_CONFIG), told, _NO_PROGRAM, COMMAND, exit_code=exit_code)
        return Fault(CONTAINER_CONFIG, said or f"the container could not start ({why})", exit_code=exit_code)
    if why == "ContainerStatusUnknown":
        return Fault(NODE_LOST, said or "the node forgot the container", exit_code=exit_code)
    if why == "DeadlineExceeded":
        return Fault(DEADLINE, said, exit_code=exit_code)
    if users and code is not None and code not in (ExitCode.CANCELLED, _SIGTERM):
        error = command_error(code, log)
        return Fault(str(error.reason), error.message, error.cure, error.where, exit_code=exit_code, log=log)
    told_fault = _told(said)
    if told_fault is not None:
        return replace(told_fault, exit_code=exit_code)
    if "No module named 'runwright_components'" in said:
        return Fault(CONTAINER_CONFIG, "the image does not hold Runwright", _FOREIGN_IMAGE, exit_code=exit_code)
    reason, message = _of_code(code)
    if reason != USER_CODE and lost_peer(said):
        reason = COLLECTIVE_TIMEOUT
    last = next((line for line in reversed(log) if line.strip()), "")
    return Fault(reason, f"{message}: {last}" if last else message, exit_code=exit_code, log=log)


def lost_peer(words: str) -> bool:
    """Whether a rank ended because others did not answer, so that the cause lies with them."""
    return _COLLECTIVE.search(words) is not None


def _told(message: str) -> Fault | None:
    """The StageFault that a worker left as its termination message."""
    if not message.startswith("{"):
        return None
    try:
        given = mapping(json.loads(message))
    except (ValueError, RecursionError):
        return None
    reason = text(given.get("reason"))
    if reason not in KNOWN:
        return None
    lines = tuple(text(line)[:LONGEST_LINE] for line in items(given.get("log"))[-LOG_LINES:])
    message, cure, where = (text(given.get(name)) for name in ("message", "cure", "where"))
    return Fault(reason, message, cure, where, log=lines)


def _of_program(message: str) -> Fault | None:
    """How Ray says that a job's program ended: its exit code and its last lines, the StageFault among them if it left
    one. None when that is not what the message says."""
    ended = _PROGRAM.search(message)
    if ended is None:
        return None
    code = int(ended[1])
    told = next((found for line in reversed(message.splitlines()) if (found := _told(line.strip()))), None)
    return replace(told, exit_code=code) if told else _of_end({"message": message}, 128 - code if code < 0 else code)


def _of_code(code: int | None) -> tuple[str, str]:
    if code is None:
        return str(Reason.WORKER_FAILED), "the container ended"
    if code == ExitCode.USER:
        return USER_CODE, "the container ended with exit code 10 (configuration, data or user code)"
    if code == ExitCode.TRANSIENT:
        return str(Reason.WORKER_FAILED), "the container ended with exit code 20 (the outside world failed)"
    if code in (ExitCode.CANCELLED, _SIGTERM):
        return str(Reason.CANCELLED), "the container was asked to stop"
    if code > 128:
        return str(Reason.WORKER_FAILED), f"the container was ended by signal {code - 128}"
    return str(Reason.WORKER_FAILED), f"the container ended with exit code {code}"


def exhausted(fault: Fault, *, spent: int, what: str) -> Fault:
    """The last fault of a job that may not start again; `spent` restarts went before it, because of `what`."""
    if not spent:
        return fault
    return replace(
        fault,
        reason=RETRIES_EXHAUSTED,
        message=f"{fault.reason} after {spent} restarts because of {what}: {fault.message}",
        cure=f"{fault.cure or CURES.get(fault.reason, '')}; or raise train.retries.{what}".removeprefix("; or "),
    )
