"""The news of a TrainingRun as lines, from one status to the next. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from runwright_api.reasons import ConditionType, Reason
from runwright_api.status import Failure, TrainingRunStatus
from runwright_cli.cluster.plan import newest
from runwright_cli.cluster.stages import condition, figures, holds

TOLD = (
    ConditionType.SUBMITTED,
    ConditionType.TRAINED,
    ConditionType.EVALUATION_PASSED,
    ConditionType.PACKAGED,
    ConditionType.DEPLOYED,
    ConditionType.SUSPENDED,
    ConditionType.DRIFTED,
    ConditionType.STALLED,
    ConditionType.READY,
)
ABNORMAL = (ConditionType.STALLED, ConditionType.DRIFTED, ConditionType.SUSPENDED)
ORDINARY = (Reason.PENDING, Reason.IN_PROGRESS, Reason.WAITING_FOR_STAGE)


def news(old: TrainingRunStatus | None, new: TrainingRunStatus) -> Iterator[str]:
    """What a person is told when a status changes; of the very first, what holds now."""
    before = old or TrainingRunStatus()
    revision = newest(new)
    was = newest(before)
    if revision and (was is None or was.number != revision.number):
        yield f"revision {revision.number} ({revision.trigger}): {revision.state}"
    elif revision and was and was.state != revision.state:
        yield f"revision {revision.number}: {revision.state}"
    url = revision.pipeline_run.url if revision and revision.pipeline_run else None
    if url and (was is None or was.pipeline_run is None or was.pipeline_run.url != url):
        yield f"pipeline: {url}"
    for kind in TOLD:
        yield from _condition(before, new, kind)
    if new.serving and new.serving != before.serving:
        yield f"revision {new.serving.revision} serves at {new.serving.url}"


def _condition(before: TrainingRunStatus, new: TrainingRunStatus, kind: ConditionType) -> Iterator[str]:
    found, was = condition(new, kind), condition(before, kind)
    if found is None or (was and (was.status, was.reason) == (found.status, found.reason)):
        return
    if found.status != "True" and kind in ABNORMAL:
        return  # as it should be
    if found.status != "True" and (found.reason in ORDINARY or _told_by_stalled(new, kind)):
        return
    reason = "" if found.reason is Reason.SUCCEEDED else f" {found.reason}"
    message = f": {found.message}" if found.message else ""
    yield f"{kind}={found.status}{reason}{message}"


def _told_by_stalled(status: TrainingRunStatus, kind: ConditionType) -> bool:
    stalled, found = condition(status, ConditionType.STALLED), condition(status, kind)
    if stalled is None or found is None or kind is ConditionType.STALLED:
        return False
    return stalled.status == "True" and stalled.reason == found.reason


def progress_line(status: TrainingRunStatus) -> str:
    """The stage that runs and how far it is, or nothing."""
    progress = status.progress
    if progress is None:
        return ""
    percent = "" if progress.percent is None else f"{progress.percent}%"
    told = ", ".join(part for part in (percent, figures(progress)) if part)
    return f"{progress.stage:<9} {told}"


def failure_lines(failure: Failure) -> Iterator[str]:
    """What failed and where, the last lines of its log, and where the rest is."""
    place = f"{failure.stage} failed" if failure.stage else "failed"
    yield f"{place}: {failure.reason}"
    yield from (f"  {line}" for line in failure.message.splitlines())
    where = [
        f"pod {failure.pod}" if failure.pod else "",
        f"container {failure.container}" if failure.container else "",
        f"exit code {failure.exit_code}" if failure.exit_code is not None else "",
    ]
    if any(where):
        yield "  " + ", ".join(part for part in where if part)
    yield from (f"  | {line}" for line in failure.log)
    if failure.log_uri:
        yield f"  whole log: {failure.log_uri}"


def attention(status: TrainingRunStatus) -> Iterator[str]:
    """The conditions that a person should see beside the stages."""
    for kind in ABNORMAL:
        found = condition(status, kind)
        if found and found.status == "True":
            yield f"{kind}: {found.reason}" + (f": {found.message}" if found.message else "")
    ready = condition(status, ConditionType.READY)
    if holds(status, ConditionType.STALLED) or holds(status, ConditionType.SUSPENDED):
        return
    if ready and ready.status != "True" and ready.reason not in ORDINARY:
        yield f"{ready.reason}: {ready.message}"
