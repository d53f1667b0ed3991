"""Conditions, phase and progress, from what the gates wrote: the story of the run in the words of KEP-1623."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from runwright_api.reasons import ConditionType, Phase, Reason, Stage
from runwright_api.status import Condition, Progress, Revision, TrainingRunStatus
from runwright_components.contract.cluster import StageRecord
from runwright_operator.brain.draft import ACTIVE, Draft, Note
from runwright_operator.brain.transitions import told_check

Truth = Literal["True", "False", "Unknown"]
LONGEST_MESSAGE = 1024


def conclude(draft: Draft) -> TrainingRunStatus:
    """The next status."""
    current = draft.current
    seen = draft.seen
    newest = sorted(draft.revisions.values(), key=lambda one: one.number)
    status = TrainingRunStatus(
        observed_generation=seen.generation,
        revision=draft.wanted,
        revisions=tuple(newest),
        serving=draft.serving,
        retrain=draft.retrain,
        failure=current.failure if current and current.state in ("Failed", "Cancelled") else None,
        progress=_progress(draft, current),
        metric=_metric(draft, current),
    )
    conditions = tuple(_condition(draft, *found) for found in _conditions(draft, current))
    return status.model_copy(update={"conditions": conditions, "phase": _phase(draft, current)})


def _conditions(draft: Draft, current: Revision | None) -> Iterator[tuple[ConditionType, Truth, Note]]:
    """Every condition but Drifted, which monitoring will own."""
    stalled = _stalled(draft, current)
    yield ConditionType.READY, *_ready(draft, current, stalled)
    yield ConditionType.ACCEPTED, *_accepted(draft)
    if current is not None:
        yield ConditionType.COMPILED, *_compiled(draft, current)
        yield ConditionType.SUBMITTED, *_submitted(draft, current)
        yield ConditionType.TRAINED, *_stage(draft, current, Stage.TRAIN)
        yield ConditionType.EVALUATION_PASSED, *_evaluated(current)
        yield ConditionType.PACKAGED, *_stage(draft, current, Stage.REGISTER)
        yield ConditionType.DEPLOYED, *_deployed(draft, current)
    work = _work(draft, current)
    if stalled is None and work is not None:
        yield ConditionType.RECONCILING, "True", work
    else:
        yield ConditionType.RECONCILING, "False", Note(Reason.SUCCEEDED)
    yield ConditionType.STALLED, *(("True", stalled) if stalled else ("False", Note(Reason.SUCCEEDED)))
    suspended = Note(Reason.SUSPENDED_BY_USER, "spec.suspend: nothing new is started")
    yield ConditionType.SUSPENDED, *(("True", suspended) if draft.suspended else ("False", Note(Reason.NOT_SUSPENDED)))


def _accepted(draft: Draft) -> tuple[Truth, Note]:
    if draft.seen.run is None:
        return "False", Note(Reason.INVALID_SPEC, "; ".join(draft.seen.problems))
    return "True", Note(Reason.SUCCEEDED)


def _stalled(draft: Draft, current: Revision | None) -> Note | None:
    """What needs a person; None when nothing does."""
    if draft.seen.run is None:
        return Note(Reason.INVALID_SPEC, "; ".join(draft.seen.problems))
    if draft.compile_error:
        return Note(Reason.COMPILE_FAILED, draft.compile_error)
    if current is not None and current.state in ("Failed", "Cancelled"):
        failure = current.failure
        return Note(failure.reason if failure else Reason.CANCELLED, _failure_message(current))
    if current is not None and current.state == "Rejected":
        return Note(Reason.GATE_REJECTED, _rejection(current))
    if draft.pin_problem:
        return Note(Reason.INVALID_SPEC, draft.pin_problem)
    if draft.service is not None and draft.service.reason == Reason.NOT_ALLOWED:
        return draft.service
    return None


def _work(draft: Draft, current: Revision | None) -> Note | None:
    """What is under way; None when nothing is."""
    if draft.seen.pipelines_error and current is not None and current.state in ACTIVE:
        return Note(Reason.PIPELINES_UNAVAILABLE, draft.seen.pipelines_error)
    if current is not None and current.state in ACTIVE:
        waiting = _waiting(draft, current)
        if waiting is not None:
            return waiting
        if current.state == "Pending" and draft.suspended and current.pipeline_run is None:
            return None
        reason = Reason.PENDING if current.state == "Pending" else Reason.IN_PROGRESS
        return Note(reason, f"revision {current.number} is being made")
    if draft.service is not None and not draft.service_ready:
        return draft.service
    return None


def _ready(draft: Draft, current: Revision | None, stalled: Note | None) -> tuple[Truth, Note]:
    serves = f"; revision {draft.serving.revision} keeps serving" if draft.serving else ""
    if stalled is not None:
        return "False", Note(stalled.reason, stalled.message + serves)
    if draft.spec is not None and draft.spec.deploy.mode == "None" and current and current.state == "Succeeded":
        return "True", Note(Reason.DEPLOYMENT_OFF, "the model is packaged; deploy.mode is None")
    pinned = draft.spec is not None and draft.spec.deploy.revision is not None
    wanted = draft.target if pinned else draft.wanted
    over = pinned or (current is not None and current.state not in ACTIVE)
    if draft.service_ready and draft.serving is not None and draft.serving.revision == wanted and over:
        return "True", Note(Reason.SERVING, f"revision {draft.serving.revision} serves")
    work = _work(draft, current)
    if work is None and draft.suspended:
        return "False", Note(Reason.SUSPENDED_BY_USER, f"nothing new is started{serves}")
    note = work or Note(Reason.PENDING)
    return "False", Note(note.reason, note.message + serves)


def _compiled(draft: Draft, current: Revision) -> tuple[Truth, Note]:
    if draft.compile_error:
        return "False", Note(Reason.COMPILE_FAILED, draft.compile_error)
    if current.pipeline_run is not None:
        return "True", Note(Reason.SUCCEEDED)
    return "False", Note(Reason.PENDING)


def _submitted(draft: Draft, current: Revision) -> tuple[Truth, Note]:
    run = current.pipeline_run
    if run is not None and run.id:
        return "True", Note(Reason.SUCCEEDED, run.url or run.id)
    if draft.seen.pipelines_error:
        return "False", Note(Reason.PIPELINES_UNAVAILABLE, draft.seen.pipelines_error)
    return "False", Note(Reason.PENDING)


def _stage(draft: Draft, current: Revision, stage: Stage) -> tuple[Truth, Note]:
    """Trained and Packaged: done once the package is there."""
    if current.artifact is not None:
        return "True", Note(Reason.SUCCEEDED)
    record = draft.records(current).get(stage)
    if record is not None and record.state == "succeeded":
        return "True", Note(Reason.SUCCEEDED)
    if current.state in ("Failed", "Cancelled"):
        failure = current.failure
        return "False", Note(failure.reason if failure else Reason.CANCELLED, _failure_message(current))
    if record is not None and record.waiting is not None:
        return "False", _note_of(record)
    if record is not None and record.state == "running":
        return "False", Note(Reason.IN_PROGRESS, _percent(record))
    return "False", Note(Reason.WAITING_FOR_STAGE)


def _evaluated(current: Revision) -> tuple[Truth, Note]:
    if current.verdict == "passed":
        return "True", Note(Reason.SUCCEEDED)
    if current.verdict == "rejected":
        return "False", Note(Reason.GATE_REJECTED, _rejection(current))
    return "False", Note(Reason.WAITING_FOR_STAGE)


def _deployed(draft: Draft, current: Revision) -> tuple[Truth, Note]:
    if draft.spec is not None and draft.spec.deploy.mode == "None":
        return "False", Note(Reason.DEPLOYMENT_OFF)
    if draft.pin_problem:
        return "False", Note(Reason.INVALID_SPEC, draft.pin_problem)
    if draft.service is not None:
        return "False", draft.service
    held = draft.serving
    if held is not None and draft.service_ready and held.revision == current.number:
        return "True", Note(Reason.SERVING, held.url)
    if held is not None and draft.service_ready and draft.target == held.revision:
        pinned = draft.spec is not None and draft.spec.deploy.revision == held.revision
        if pinned:
            return "True", Note(Reason.ROLLED_BACK, f"revision {held.revision} is pinned")
    return "False", Note(Reason.WAITING_FOR_STAGE, f"revision {held.revision} serves" if held else "")


def _phase(draft: Draft, current: Revision | None) -> Phase:
    if draft.seen.run is None and draft.serving is None:
        return Phase.FAILED
    if current is None:
        return Phase.SUSPENDED if draft.suspended else Phase.PENDING
    if draft.compile_error or current.state in ("Failed", "Cancelled"):
        return Phase.FAILED
    if current.state == "Rejected":
        return Phase.REJECTED
    if current.state == "Pending":
        return Phase.SUSPENDED if draft.suspended and current.pipeline_run is None else Phase.PENDING
    if current.state == "Running":
        waiting = _waiting(draft, current)
        queued = waiting is not None and waiting.reason == Reason.WAITING_FOR_QUOTA
        return Phase.QUEUED if queued else Phase.DEPLOYING if current.artifact is not None else Phase.RUNNING
    if draft.spec is not None and draft.spec.deploy.mode == "None":
        return Phase.COMPLETED
    return Phase.SERVING if draft.service_ready else Phase.DEPLOYING


def _running(draft: Draft, current: Revision) -> tuple[Stage, StageRecord] | None:
    """The last stage of those that run."""
    records = draft.records(current)
    running = [(stage, records[stage]) for stage in Stage if stage in records and records[stage].state == "running"]
    return running[-1] if running else None


def _waiting(draft: Draft, current: Revision) -> Note | None:
    found = _running(draft, current)
    return _note_of(found[1]) if found and found[1].waiting else None


def _note_of(record: StageRecord) -> Note:
    fault = record.waiting
    assert fault is not None
    reason = Reason(fault.reason) if fault.reason in set(Reason) else Reason.IN_PROGRESS
    return Note(reason, "; ".join(part for part in (fault.message, fault.cure) if part))


def _progress(draft: Draft, current: Revision | None) -> Progress | None:
    if current is None or current.state != "Running":
        return None
    found = _running(draft, current)
    if found is None:
        return None
    stage, record = found
    told = record.progress
    waits = record.waiting is not None
    summary = f"{stage} waits" if waits else f"{stage} {_percent(record)}".strip()
    return Progress(
        stage=stage,
        percent=told.percent if told else None,
        epoch=told.epoch if told else None,
        step=told.step if told else None,
        loss=told.loss if told else None,
        samples_per_second=told.samples_per_second if told else None,
        seconds_left=told.seconds_left if told else None,
        updated=record.time[:64] or None,
        summary=summary,
    )


def _percent(record: StageRecord) -> str:
    told = record.progress
    return f"{told.percent}%" if told is not None and told.percent is not None else ""


def _metric(draft: Draft, current: Revision | None) -> str:
    """The gate's first metric, else the usual one."""
    if current is None:
        return ""
    bounds = [bound.metric for bound in draft.spec.evaluate.gate] if draft.spec else []
    for name in (*bounds, "accuracy", "r2"):
        if name in current.metrics:
            return f"{name} {current.metrics[name]:.4g}"
    return ""


def _failure_message(revision: Revision) -> str:
    failure = revision.failure
    if failure is None:
        return f"revision {revision.number} was superseded"
    place = f"{failure.stage}: " if failure.stage else ""
    return f"revision {revision.number} failed: {place}{failure.message}"


def _rejection(revision: Revision) -> str:
    broken = [check for check in revision.checks if not check.passed]
    return f"revision {revision.number} was rejected: {'; '.join(map(told_check, broken[:4]))}"


def _condition(draft: Draft, kind: ConditionType, truth: Truth, note: Note) -> Condition:
    before = next((one for one in draft.status.conditions if one.type == kind), None)
    kept = before is not None and before.status == truth
    return Condition(
        type=kind,
        status=truth,
        reason=note.reason,
        message=note.message[:LONGEST_MESSAGE],
        observed_generation=draft.seen.generation,
        last_transition_time=before.last_transition_time if before is not None and kept else draft.time,
    )
