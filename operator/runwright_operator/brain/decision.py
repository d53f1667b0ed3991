"""What came of thinking: the next status, and what to do outside."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from runwright_api.status import TrainingRunStatus


@dataclass(frozen=True)
class AddFinalizer:
    """Before anything exists outside of Kubernetes that deletion must end."""


@dataclass(frozen=True)
class RemoveFinalizer:
    """Let the object go."""


@dataclass(frozen=True)
class Remember:
    """Write the history onto the object itself, where backups find it."""

    history: str


@dataclass(frozen=True)
class StartPipeline:
    """Create the KFP run of an attempt that status already names."""

    revision: int
    attempt: str
    pipeline: Mapping[str, Any]
    cluster: str


@dataclass(frozen=True)
class StopAttempt:
    """Terminate every KFP run of an attempt, known by id or not."""

    attempt: str
    id: str


@dataclass(frozen=True)
class StopPipeline:
    """Terminate one KFP run: a duplicate."""

    id: str


@dataclass(frozen=True)
class ArchivePipeline:
    """Put a KFP run out of sight; it fell out of the history."""

    id: str


@dataclass(frozen=True)
class DeleteJob:
    """Delete a job that nobody follows any more."""

    name: str
    kind: str = "PyTorchJob"


@dataclass(frozen=True)
class DeleteRecord:
    """Delete the records of a revision that fell out of the history."""

    revision: int


@dataclass(frozen=True)
class ApplyService:
    """Server-side apply the InferenceService."""

    manifest: Mapping[str, Any]


@dataclass(frozen=True)
class DeleteService:
    """Delete the InferenceService, which is ours and no longer wanted."""

    uid: str


Action = (
    AddFinalizer
    | RemoveFinalizer
    | Remember
    | StartPipeline
    | StopAttempt
    | StopPipeline
    | ArchivePipeline
    | DeleteJob
    | DeleteRecord
    | ApplyService
    | DeleteService
)


@dataclass(frozen=True)
class Decision:
    """`before` is done before the status is written and may be repeated without harm; `then` only once it is written.

    `after` is when to look again without being woken, in seconds; None: not at all.
    """

    status: TrainingRunStatus
    before: tuple[Action, ...] = ()
    then: tuple[Action, ...] = ()
    after: float | None = None
