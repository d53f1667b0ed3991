"""Gate: what became of the pipeline run of the wanted revision, by KFP's word and by its steps' records."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from runwright_api.reasons import Reason, Stage
from runwright_api.status import Artifact, Cost, Failure, Revision
from runwright_api.text import seconds
from runwright_components.contract.cluster import StageFault, StageRecord
from runwright_operator.brain.decision import StopAttempt, StopPipeline
from runwright_operator.brain.draft import Draft, older_than
from runwright_operator.brain.launching import again

LOG_LINES = 20
LOG_WIDTH = 512

# What another attempt may mend: the outside world, not the spec.
PASSING = {
    Reason.SOURCE_UNAVAILABLE,
    Reason.STORAGE_FULL,
    Reason.PREEMPTED,
    Reason.EVICTED,
    Reason.NODE_LOST,
    Reason.INTERNAL_ERROR,
    Reason.PIPELINES_UNAVAILABLE,
}


def follow(draft: Draft) -> None:
    """Take over figures and the model; at the end of the pipeline run, decide what the revision came to."""
    current = draft.current
    if current is None or current.state != "Running" or current.pipeline_run is None:
        return
    records = draft.records(current)
    current = draft.update(current.number, **figures(records, current))
    if draft.seen.pipelines is None:
        draft.look_again(draft.rules.retry_seconds)
        return
    mine = draft.pipeline(current)
    for other in draft.seen.pipelines:
        if other is not mine and not other.ended:
            draft.before.append(StopPipeline(other.id))
    if mine is None:
        lost = Failure(reason=Reason.CANCELLED, message="its pipeline run was deleted from Kubeflow", time=draft.time)
        _lost(draft, current, lost)
    elif mine.state == "succeeded":
        _succeeded(draft, current)
    elif mine.state == "failed":
        _failed(draft, current, _failure(draft, records, mine.error))
    elif mine.state == "cancelled":
        fault = _fault_of(draft, records)
        message = "its pipeline run was terminated in Kubeflow; ask for a retraining to start again"
        end(draft, current, "Cancelled", fault or Failure(reason=Reason.CANCELLED, message=message, time=draft.time))
    elif (fault := _fault_of(draft, records)) is not None:  # KFP goes on retrying what the step will not do again
        _failed(draft, current, fault)
    else:
        _overdue(draft, current)
        draft.look_again(draft.rules.poll_seconds)


def end(draft: Draft, revision: Revision, state: str, failure: Failure | None) -> None:
    """The revision is over; no training job is left behind."""
    draft.update(revision.number, state=state, failure=failure, completion_time=draft.time)
    if state != "Succeeded":
        draft.delete_jobs(revision.number)


def _succeeded(draft: Draft, revision: Revision) -> None:
    if revision.artifact is None:
        message = "the pipeline run ended without a packaged model"
        _lost(draft, revision, Failure(reason=Reason.INTERNAL_ERROR, message=message, time=draft.time))
        return
    end(draft, revision, "Rejected" if revision.verdict == "rejected" else "Succeeded", None)


def _failed(draft: Draft, revision: Revision, failure: Failure) -> None:
    if failure.reason in PASSING and failure.stage != Stage.DEPLOY:
        _lost(draft, revision, failure)
    else:
        end(draft, revision, "Failed", failure)


def _lost(draft: Draft, revision: Revision, failure: Failure) -> None:
    """An attempt was lost to what another one may mend: try again, as often as the budget allows. A registered model
    needs no other attempt: what is left of its pipeline run the operator does as well."""
    if revision.artifact is not None:
        _succeeded(draft, revision)
        return
    spec = draft.spec
    budget = spec.train.retries.failures if spec else 0
    spent = revision.failures
    if spec is None or spent >= budget:
        end(draft, revision, "Failed", failure)
        return
    again(draft, draft.update(revision.number, failures=spent + 1, failure=failure))


def _overdue(draft: Draft, revision: Revision) -> None:
    """Enforce train.timeout where the train step itself cannot any more."""
    limit = draft.spec.train.timeout if draft.spec else None
    train = draft.records(revision).get(Stage.TRAIN)
    if limit is None or train is None or train.state != "running":
        return
    patience = seconds(limit) + draft.rules.lost_run_seconds
    if older_than(revision.start_time, draft.now, patience) and older_than(train.time, draft.now, patience):
        assert revision.pipeline_run is not None
        draft.before.append(StopAttempt(revision.pipeline_run.attempt, revision.pipeline_run.id))
        failure = Failure(
            stage=Stage.TRAIN,
            reason=Reason.DEADLINE_EXCEEDED,
            message=f"training took longer than train.timeout ({limit}), and its step no longer answers",
            time=draft.time,
        )
        end(draft, revision, "Failed", failure)


def figures(records: Mapping[str, StageRecord], revision: Revision) -> dict[str, Any]:
    """What the records say of the revision, as fields of it."""
    fields: dict[str, Any] = {}
    train = records.get(Stage.TRAIN)
    if train is not None:
        fields["failures"] = max(revision.failures, train.failures)
        fields["preemptions"] = max(revision.preemptions, train.preemptions)
        fields["gpu_seconds"] = train.gpu_seconds if train.gpu_seconds is not None else revision.gpu_seconds
        fields["cost"] = _cost(train) or revision.cost
    judged = records.get(Stage.EVALUATE)
    if judged is not None and judged.state == "succeeded":
        fields["metrics"] = finite_metrics(judged.result.get("metrics"))
    artifact = _artifact(records)
    if artifact is not None:
        fields["artifact"] = artifact
    return fields


def _cost(train: StageRecord) -> Cost | None:
    """What the training took; none that cannot be read."""
    with contextlib.suppress(ValidationError):
        return Cost.model_validate(train.result["cost"]) if "cost" in train.result else None
    return None


def finite_metrics(value: Any) -> dict[str, float]:
    """The numbers among metrics that a step wrote; status has no room for more than 64."""
    if not isinstance(value, Mapping):
        return {}
    numbers = {
        str(name): float(number)
        for name, number in value.items()
        if isinstance(number, int | float) and not isinstance(number, bool) and math.isfinite(number)
    }
    return {name: numbers[name] for name in sorted(numbers)[:64] if len(name) <= 64}


def _artifact(records: Mapping[str, StageRecord]) -> Artifact | None:
    """The registered package; only one that holds the very model which was judged."""
    registered, judged = records.get(Stage.REGISTER), records.get(Stage.EVALUATE)
    if registered is None or judged is None or registered.state != "succeeded" or judged.state != "succeeded":
        return None
    result = registered.result
    if result.get("model_digest") != judged.result.get("model_digest"):
        return None
    with contextlib.suppress(ValidationError):
        return Artifact.model_validate(
            {
                "uri": result.get("uri"),
                "digest": result.get("digest"),
                "model_digest": result.get("model_digest"),
                "version": result.get("version"),
            }
        )
    return None


def _failure(draft: Draft, records: Mapping[str, StageRecord], error: str) -> Failure:
    """Why the pipeline run failed: a step's own word, else KFP's."""
    found = _fault_of(draft, records)
    if found is not None:
        return found
    return Failure(
        reason=Reason.OOM_KILLED if Reason.OOM_KILLED in error else Reason.INTERNAL_ERROR,
        message=error[:4000] or "the pipeline run failed, and no step could say why; see its page in Kubeflow",
        time=draft.time,
    )


def _fault_of(draft: Draft, records: Mapping[str, StageRecord]) -> Failure | None:
    for stage in Stage:
        record = records.get(stage)
        if record is not None and record.state == "failed" and record.fault is not None:
            return failure_from(record.fault, stage, record.time or draft.time)
    return None


def failure_from(fault: StageFault, stage: Stage, time: str) -> Failure:
    """A step's fault as status shows it."""
    reason = Reason(fault.reason) if fault.reason in set(Reason) else Reason.INTERNAL_ERROR
    parts = (f"{fault.where}: {fault.message}" if fault.where else fault.message, fault.cure)
    return Failure(
        stage=stage,
        reason=reason,
        message="; ".join(part for part in parts if part)[:4000],
        pod=fault.pod[:256] if fault.pod else None,
        container=fault.container[:256] if fault.container else None,
        exit_code=fault.exit_code if fault.exit_code is not None and -1 <= fault.exit_code <= 255 else None,
        log=tuple(line[:LOG_WIDTH] for line in fault.log[-LOG_LINES:]),
        time=time[:64],
    )
