"""Events for people, one a transition: what changed between two statuses."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from runwright_api.reasons import ConditionType, Reason
from runwright_api.status import Condition, GateCheck, Revision, TrainingRunStatus
from runwright_operator.brain.draft import ACTIVE


@dataclass(frozen=True)
class Happening:
    """One Event in the making. `revision` tells repeats of different revisions apart."""

    type: Literal["Normal", "Warning"]
    reason: str
    message: str
    revision: int | None = None


def happenings(before: TrainingRunStatus, after: TrainingRunStatus) -> Iterator[Happening]:
    """What to tell of the step from one status to the next, in order."""
    known = known_before(before, after)
    restored = [number for number in known if number not in {one.number for one in before.revisions}]
    if restored:
        numbers = ", ".join(map(str, sorted(restored)))
        yield Happening("Normal", "Restored", f"the status was lost and is read back: revision {numbers}")
    for revision in after.revisions:
        yield from _of_revision(known.get(revision.number), revision)
    yield from _of_serving(before, after)
    yield from _of_conditions(before, after)


def known_before(before: TrainingRunStatus, after: TrainingRunStatus) -> dict[int, Revision]:
    """The revisions by number as they were: those of a status that was lost and is read back count as known."""
    if before.observed_generation == -1 and not before.revisions:
        return {one.number: one for one in after.revisions if one.state not in ACTIVE}
    return {one.number: one for one in before.revisions}


def _of_revision(before: Revision | None, after: Revision) -> Iterator[Happening]:
    number = after.number
    if before is None:
        yield Happening("Normal", "RevisionCreated", f"revision {number}, because of: {after.trigger}", number)
    old_run = before.pipeline_run if before else None
    run = after.pipeline_run
    if run is not None and run.id and (old_run is None or old_run.id != run.id):
        yield Happening("Normal", "PipelineStarted", f"revision {number}: {run.url or run.id}", number)
    if after.verdict is not None and (before is None or before.verdict != after.verdict):
        told = "; ".join(told_check(check) for check in after.checks[:6]) or "no bounds are set"
        kind: Literal["Normal", "Warning"] = "Normal" if after.verdict == "passed" else "Warning"
        reason = "GatePassed" if after.verdict == "passed" else str(Reason.GATE_REJECTED)
        yield Happening(kind, reason, f"revision {number}: {told}", number)
    state = before.state if before else "Pending"
    if after.state != state:
        yield from _of_state(after)
    elif after.failures > (before.failures if before else 0) and after.failure is not None:
        yield Happening("Warning", "Retrying", f"revision {number}: {after.failure.message}", number)


def told_check(check: GateCheck) -> str:
    """One bound in words: accuracy 0.9, at least 0.8."""
    limits = [f"at least {check.min:.4g}"] if check.min is not None else []
    limits += [f"at most {check.max:.4g}"] if check.max is not None else []
    place = f" on {check.slice}" if check.slice else ""
    value = "unknown" if check.value is None else f"{check.value:.4g}"
    return f"{check.metric}{place} {value}, wanted {' and '.join(limits)}"


def _of_state(revision: Revision) -> Iterator[Happening]:
    number, failure = revision.number, revision.failure
    if revision.state == "Failed":
        reason = str(failure.reason) if failure else str(Reason.INTERNAL_ERROR)
        yield Happening("Warning", reason, f"revision {number}: {failure.message if failure else ''}", number)
    elif revision.state == "Cancelled":
        reason = str(failure.reason if failure else Reason.CANCELLED)
        yield Happening("Normal", reason, f"revision {number}: {failure.message if failure else ''}", number)
    elif revision.state == "Succeeded" and revision.artifact is not None:
        yield Happening("Normal", "RevisionSucceeded", f"revision {number}: {revision.artifact.uri}", number)
    elif revision.state == "Pending" and failure is not None:
        yield Happening("Warning", "Retrying", f"revision {number}: {failure.message}", number)


def _of_serving(before: TrainingRunStatus, after: TrainingRunStatus) -> Iterator[Happening]:
    old, new = before.serving, after.serving
    if new is not None and (old is None or old.revision != new.revision):
        instead = f" instead of revision {old.revision}" if old else ""
        yield Happening(
            "Normal", str(Reason.SERVING), f"revision {new.revision} serves{instead}: {new.url}", new.revision
        )


_TOLD = {ConditionType.ACCEPTED, ConditionType.COMPILED, ConditionType.SUSPENDED, ConditionType.RECONCILING}
_WORTH_TELLING = {
    Reason.PIPELINES_UNAVAILABLE,
    Reason.UNSCHEDULABLE,
    Reason.WAITING_FOR_QUOTA,
    Reason.IMAGE_PULL_BACK_OFF,
    Reason.CONTAINER_CONFIG_ERROR,
    Reason.QUOTA_EXCEEDED,
    Reason.SUSPENDED_BY_USER,
    Reason.INVALID_SPEC,
    Reason.COMPILE_FAILED,
}


def _of_conditions(before: TrainingRunStatus, after: TrainingRunStatus) -> Iterator[Happening]:
    known: dict[ConditionType, Condition] = {condition.type: condition for condition in before.conditions}
    for condition in after.conditions:
        old = known.get(condition.type)
        if condition.type not in _TOLD or (old is not None and old.reason == condition.reason):
            continue
        if condition.reason in _WORTH_TELLING:
            kind: Literal["Normal", "Warning"] = (
                "Normal" if condition.reason in (Reason.SUSPENDED_BY_USER, Reason.WAITING_FOR_QUOTA) else "Warning"
            )
            yield Happening(kind, str(condition.reason), condition.message, after.revision)
