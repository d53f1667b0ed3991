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
    """What is waited for: the end of this generation; more than that, of a revision newer than `after`, or that
    revision `serving` serves."""

    generation: int = 0
    after: int | None = None
    serving: int | None = None


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
    if revision.state in LIVE:
        at = status.progress.stage if status.progress else None
    else:
        at = failure.stage if failure else None
    done = max(_done_by_conditions(status, revision), ORDER.index(at) if at in ORDER else 0)
    return tuple(_row(stage, index < done, stage is at, status, revision) for index, stage in enumerate(ORDER))


def _done_by_conditions(status: TrainingRunStatus, revision: Revision) -> int:
    """How many stages are over for sure; between two stages no progress tells it."""
    if holds(status, ConditionType.PACKAGED):
        return ORDER.index(Stage.DEPLOY)
    if revision.verdict is not None:
        return ORDER.index(Stage.PACKAGE)
    return ORDER.index(Stage.EVALUATE) if holds(status, ConditionType.TRAINED) else 0


def _row(stage: Stage, done: bool, here: bool, status: TrainingRunStatus, revision: Revision) -> StageRow:
    if here and revision.state == "Failed":
        failure = revision.failure or status.failure
        return StageRow(stage, "failed", str(failure.reason) if failure else "")
    if here and status.progress and revision.state in LIVE:
        return StageRow(stage, "running", figures(status.progress), status.progress.percent)
    if done:
        return StageRow(stage, "done", _result(stage, revision))
    if revision.state == "Cancelled":
        return StageRow(stage, "skipped", "cancelled" if here else "")
    return StageRow(stage, "waiting")


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
        pinned = deployed.reason is Reason.ROLLED_BACK
        url = status.serving.url if status.serving else ""
        return StageRow(Stage.DEPLOY, "done", deployed.message if pinned else url)
    if status.failure is not None and status.failure.stage is Stage.DEPLOY:
        return StageRow(Stage.DEPLOY, "failed", str(status.failure.reason))
    return StageRow(Stage.DEPLOY, "running", deployed.message if deployed else "")


def _result(stage: Stage, revision: Revision) -> str:
    if stage is Stage.EVALUATE and revision.verdict:
        return f"gate {revision.verdict}"
    if stage is Stage.REGISTER and revision.artifact and revision.artifact.version:
        return f"version {revision.artifact.version}"
    return ""


def figures(progress: Progress) -> str:
    """The progress in words: `epoch 3, loss 0.31, 1,234 samples/s, 2 min 5 s left`; without figures `runs`, `waits`."""
    parts = [
        None if progress.epoch is None else f"epoch {progress.epoch}",
        None if progress.step is None else f"step {progress.step:,}",
        None if progress.loss is None else f"loss {progress.loss:.4g}",
        None if progress.samples_per_second is None else f"{progress.samples_per_second:,.0f} samples/s",
        None if progress.seconds_left is None else f"{_left(progress.seconds_left)} left",
    ]
    told = ", ".join(part for part in parts if part)
    if told or progress.percent is not None:
        return told
    return progress.summary.removeprefix(progress.stage).strip() or "runs"


def _left(seconds: int) -> str:
    """An estimate has no tenths."""
    return f"{seconds} s" if seconds < 60 else duration(seconds)


def outcome(content: Mapping[str, Any], wanted: Wanted) -> Outcome | None:
    """How the TrainingRun ended, or None while it goes on."""
    status = status_of(content)
    if status.observed_generation < wanted.generation:
        return None
    refused = _refused(status)
    if refused is not None:
        return refused
    if wanted.serving is not None:
        serves = status.serving is not None and status.serving.revision == wanted.serving
        return Outcome(0, f"revision {wanted.serving} serves") if serves else None
    current = newest(status)
    begun = current is not None and (wanted.after is None or current.number > wanted.after)
    if not begun or (wanted.after is not None and current is not None and current.state in LIVE):
        return _held(status)
    if holds(status, ConditionType.READY):
        return Outcome(0, _why(status, ConditionType.READY))
    if holds(status, ConditionType.STALLED):
        return _stalled(status, current)
    return _held(status)


_REFUSALS = (Reason.INVALID_SPEC, Reason.COMPILE_FAILED, Reason.NOT_ALLOWED)


def _refused(status: TrainingRunStatus) -> Outcome | None:
    """The operator cannot do what the spec says."""
    stalled = condition(status, ConditionType.STALLED)
    if stalled is None or stalled.status != "True" or stalled.reason not in _REFUSALS:
        return None
    return Outcome(FAILED, _why(status, ConditionType.STALLED))


def _stalled(status: TrainingRunStatus, current: Revision | None) -> Outcome:
    if current is not None and current.state == "Rejected":
        return Outcome(REJECTED, _why(status, ConditionType.STALLED))
    ends = {"Failed": "failed", "Cancelled": "was cancelled"}
    if current is not None and current.state in ends:  # the failure itself is told apart
        return Outcome(FAILED, f"revision {current.number} {ends[current.state]}")
    return Outcome(FAILED, _why(status, ConditionType.STALLED))


def _held(status: TrainingRunStatus) -> Outcome | None:
    if holds(status, ConditionType.SUSPENDED) and not holds(status, ConditionType.RECONCILING):
        return Outcome(FAILED, "suspended: nothing starts before spec.suspend is false")
    return None


def _why(status: TrainingRunStatus, kind: ConditionType) -> str:
    found = condition(status, kind)
    return f"{found.reason}: {found.message}" if found and found.message else str(found.reason if found else kind)
