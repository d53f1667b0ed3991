"""What a task makes of a TrainingRun: whether to ask for a training, how it ended, what it gives to others. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from runwright_api.reasons import ConditionType
from runwright_api.status import TrainingRunStatus
from runwright_cli.cluster.plan import LIVE, newest
from runwright_cli.cluster.reading import status_of
from runwright_cli.cluster.stages import Wanted, condition, outcome
from runwright_cli.cluster.telling import failure_lines
from runwright_cli.main import REJECTED

LONGEST_TOKEN = 200
_UNSUCCESSFUL = ("Failed", "Cancelled")


@dataclass(frozen=True)
class End:
    """How it ended. `lasting`: another try without a change would end the same way. `timed_out`: it goes on."""

    ready: bool
    message: str
    lasting: bool = False
    timed_out: bool = False
    result: dict[str, Any] = field(default_factory=dict)

    def event(self) -> dict[str, Any]:
        """For the event of a trigger; `End(**event)` is the way back."""
        return asdict(self)


def end_of(content: Mapping[str, Any], wanted: Wanted) -> End | None:
    """How the TrainingRun ended, or None while it goes on. Raises ClusterError where its status is not understood."""
    found = outcome(content, wanted)
    if found is None:
        return None
    if found.code == 0:
        return End(True, found.text, result=result_of(content))
    status = status_of(content)
    current = newest(status)
    failure = status.failure or (current.failure if current else None)
    ran = current is not None and current.state in _UNSUCCESSFUL
    lines = [found.text, *(failure_lines(failure) if failure and ran else ())]
    lasting = found.code == REJECTED or not ran
    return End(False, "\n".join(lines), lasting, result=result_of(content))


def result_of(content: Mapping[str, Any]) -> dict[str, Any]:
    """What other tasks may use, as plain JSON; None where there is none of it."""
    status = status_of(content)
    current = newest(status)
    artifact = current.artifact if current else None
    serving = status.serving
    ready = condition(status, ConditionType.READY)
    return {
        "name": content["metadata"]["name"],
        "namespace": content["metadata"].get("namespace"),
        "revision": current.number if current else None,
        "state": current.state if current else None,
        "reason": str(ready.reason) if ready else None,
        "metrics": dict(current.metrics) if current else {},
        "verdict": current.verdict if current else None,
        "model_uri": artifact.uri if artifact else None,
        "model_digest": artifact.model_digest if artifact else None,
        "model_version": artifact.version if artifact else None,
        "serving_revision": serving.revision if serving else None,
        "serving_url": serving.url or None if serving else None,
        "pipeline_url": current.pipeline_run.url if current and current.pipeline_run else None,
    }


def token_of(*parts: str) -> str:
    """A value for the annotation that asks for a training: the same parts, the same token."""
    token = "/".join(("airflow", *parts))
    return token if len(token) <= LONGEST_TOKEN else f"airflow/{hashlib.sha256(token.encode()).hexdigest()}"


def request(status: TrainingRunStatus, *, token: str, retrain: bool, attempt: int) -> str | None:
    """The token to ask for one more training with, or None where none is due.

    `attempt` counts from 1. A later one waits for the revision that still runs, asks anew for one that failed, and
    takes one that the same token has made: a worker that was lost costs no second training.
    """
    current = newest(status)
    if current is None:
        return None  # the first revision starts by itself
    if attempt > 1 and current.state in LIVE:
        return None
    if attempt > 1 and current.state in _UNSUCCESSFUL:
        return f"{token}#{attempt}"
    ours = (current.request or "").split("#")[0] == token
    return token if retrain and not ours else None


def to_cancel(content: Mapping[str, Any], wanted: Wanted) -> int | None:
    """The revision to stop when nobody waits for it any more."""
    current = newest(status_of(content))
    if current is None or current.state not in LIVE or (wanted.after is not None and current.number <= wanted.after):
        return None
    return current.number
