"""What the operator sees of a TrainingRun and of all that belongs to it, at one moment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, NamedTuple

from runwright_api.status import TrainingRunStatus
from runwright_api.trainingrun import TrainingRun
from runwright_components.contract.cluster import StageRecord
from runwright_operator.resources import Key

PipelineState = Literal["pending", "running", "succeeded", "failed", "cancelled"]


@dataclass(frozen=True)
class PipelineSeen:
    """A KFP run. `error` is KFP's own word for a failure."""

    id: str
    state: PipelineState
    created: datetime
    error: str = ""
    url: str | None = None

    @property
    def ended(self) -> bool:
        return self.state in ("succeeded", "failed", "cancelled")


@dataclass(frozen=True)
class RecordsSeen:
    """What the steps of a revision wrote down: records by stage, and the recipe that they worked by."""

    recipe: str
    stages: Mapping[str, StageRecord]

    def of_run(self, run_id: str) -> dict[str, StageRecord]:
        """The records of one pipeline run; those of others are stale."""
        return {stage: record for stage, record in self.stages.items() if record.run_id == run_id}


class JobSeen(NamedTuple):
    """A job that trains or prepares data, by its kind."""

    name: str
    kind: str = "PyTorchJob"


@dataclass(frozen=True)
class Observed:
    """One TrainingRun and its children.

    `run` is None when the spec is refused, and `problems` say why. `pipelines` are the KFP runs of the attempt that
    status names, oldest first; None when there is nothing to ask for or KFP did not answer (`pipelines_error`).
    `submit_error`: KFP refused the run that was just handed in. `jobs` are its jobs, `service`
    and `service_pods` the InferenceService of its name and its pods. `history` is what a backup brought
    back, where there is no status.
    """

    key: Key
    uid: str
    generation: int
    status: TrainingRunStatus
    run: TrainingRun | None
    recipe: str = ""
    problems: tuple[str, ...] = ()
    annotations: Mapping[str, str] = field(default_factory=dict)
    history: TrainingRunStatus | None = None
    finalizers: tuple[str, ...] = ()
    deleting: bool = False
    keeps_service: bool = False
    records: Mapping[int, RecordsSeen] = field(default_factory=dict)
    jobs: tuple[JobSeen, ...] = ()
    service: Mapping[str, Any] | None = None
    service_pods: tuple[Mapping[str, Any], ...] = ()
    pipelines: tuple[PipelineSeen, ...] | None = None
    pipelines_error: str = ""
    submit_error: str = ""
