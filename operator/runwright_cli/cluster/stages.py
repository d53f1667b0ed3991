"""What the status says of each stage, and how it all ended. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from runwright_api.reasons import ConditionType, Reason, Stage
from runwright_api.status import Condition, Progress, Revision, TrainingRunStatus
from runwright_cli.cluster.plan import LIVE, newest
from runwright_cli.cluster.reading import status_of
from runwright_cli.main import FAILED, REJECTED
from runwright_cli.view import State, duration

ORDER = tuple(stage for stage in Stage if stage is not Stage.TUNE)


@dataclass(frozen=True)
class StageRow:
    """One stage as a person sees it."""

    stage: Stage
    state: State
    text: str = ""
    percent: int | None = None


@dataclass(frozen=True)
class Outcome:
    """How it ended: the exit code, and why in a sentence."""

    code: int
    text: str


@dataclass(frozen=True)
class Wanted:
    """What is waited for: that the operator answers for this generation, or a revision newer than this one."""

    generation: int = 0
    after: int | None = None


def condition(status: TrainingRunStatus, kind: ConditionType) -> Condition | None:
    return next((item for item in status.conditions if item.type == kind), None)


def holds(status: TrainingRunStatus, kind: ConditionType) -> bool:
    found = condition(status, kind)
    return found is not None and found.status == "True"


def rows(status: TrainingRunStatus) -> tuple[StageRow, ...]:
    """Each stage of the revision that the spec asks for."""
    revision = newest(status)
    if revision is None:
        return tuple(StageRow(stage, "waiting") for stage in ORDER)
    if revision.state in ("Succeeded", "Rejected"):
        return _ended_well(status, revision)
    failure = revision.failure or status.failure
    at = failure.stage if failure and revision.state not in LIVE else status.progress.stage if status.progress else None
    return tuple(_row(stage, at, status, revision) for stage in ORDER)


def _row(stage: Stage, at: Stage | None, status: TrainingRunStatus, revision: Revision) -> StageRow:
    if at is None or at not in ORDER or ORDER.index(stage) > ORDER.index(at):
        return StageRow(stage, "skipped" if revision.state == "Cancelled" else "waiting")
    if stage is not at:
        return StageRow(stage, "done", _result(stage, revision))
    if revision.state == "Failed":
        failure = revision.failure or status.failure
        return StageRow(stage, "failed", str(failure.reason) if failure else "")
    if revision.state == "Cancelled":
        return StageRow(stage, "skipped", "cancelled")
    progress = status.progress
    return StageRow(stage, "running", figures(progress), progress.percent if progress else None)


def _ended_well(status: TrainingRunStatus, revision: Revision) -> tuple[StageRow, ...]:
    made = [StageRow(stage, "done", _result(stage, revision)) for stage in ORDER if stage is not Stage.DEPLOY]
    return (*made, _deploy_row(status, revision))


def _deploy_row(status: TrainingRunStatus, revision: Revision) -> StageRow:
    deployed = condition(status, ConditionType.DEPLOYED)
    if revision.state == "Rejected":
        return StageRow(Stage.DEPLOY, "skipped", "the gate rejected the model")
    if deployed is not None and deployed.reason is Reason.DEPLOYMENT_OFF:
        return StageRow(Stage.DEPLOY, "skipped", "deploy.mode is None")
    if deployed is not None and deployed.status == "True":
        return StageRow(Stage.DEPLOY, "done", status.serving.url if status.serving else "")
    if status.failure is not None and status.failure.stage is Stage.DEPLOY:
        return StageRow(Stage.DEPLOY, "failed", str(status.failure.reason))
    return StageRow(Stage.DEPLOY, "running", deployed.message if deployed else "")


def _result(stage: Stage, revision: Revision) -> str:
    if stage is Stage.EVALUATE and revision.verdict:
        return f"gate {revision.verdict}"
    if stage is Stage.REGISTER and revision.artifact and revision.artifact.version:
        return f"version {revision.artifact.version}"
    return ""


def figures(progress: Progress | None) -> str:
    """The progress in words: `epoch 3, loss 0.31, 1,234 samples/s, 2 min 5 s left`."""
    if progress is None:
        return ""
    parts = [
        None if progress.epoch is None else f"epoch {progress.epoch}",
        None if progress.step is None else f"step {progress.step:,}",
        None if progress.loss is None else f"loss {progress.loss:.4g}",
        None if progress.samples_per_second is None else f"{progress.samples_per_second:,.0f} samples/s",
        None if progress.seconds_left is None else f"{duration(progress.seconds_left)} left",
    ]
    return ", ".join(part for part in parts if part)


def outcome(content: Mapping[str, Any], wanted: Wanted) -> Outcome | None:
    """How the TrainingRun ended, or None while it goes on."""
    status = status_of(content)
    if status.observed_generation < wanted.generation:
        return None
    if holds(status, ConditionType.STALLED):
        return Outcome(FAILED, _why(status, ConditionType.STALLED))
    current = newest(status)
    if wanted.after is not None and (current is None or current.number <= wanted.after or current.state in LIVE):
        return _held(status)
    if holds(status, ConditionType.READY):
        return Outcome(0, _why(status, ConditionType.READY))
    if holds(status, ConditionType.RECONCILING):
        return None
    if current is not None and current.state in _ENDS:
        code, text = _ENDS[current.state]
        return Outcome(code, f"revision {current.number} {text}")
    return _held(status)


_ENDS = {
    "Failed": (FAILED, "failed"),
    "Cancelled": (FAILED, "was cancelled"),
    "Rejected": (REJECTED, "was rejected by the gate"),
}


def _held(status: TrainingRunStatus) -> Outcome | None:
    if holds(status, ConditionType.SUSPENDED) and not holds(status, ConditionType.RECONCILING):
        return Outcome(FAILED, "suspended: nothing starts before spec.suspend is false")
    return None


def _why(status: TrainingRunStatus, kind: ConditionType) -> str:
    found = condition(status, kind)
    return f"{found.reason}: {found.message}" if found and found.message else str(found.reason if found else kind)
