"""The work sheet that the gates of a decision write on, and the rules that the administrator set."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from runwright_api.names import ANNOTATION_RETRAIN, LABEL_RUN_UID, is_job_of
from runwright_api.reasons import Reason
from runwright_api.spec.run import TrainingRunSpec
from runwright_api.status import Revision, Serving, TrainingRunStatus
from runwright_components.cluster.manifests.fields import dig, items, mapping
from runwright_components.contract.cluster import StageRecord
from runwright_operator.brain.decision import Action, DeleteJob
from runwright_operator.brain.observed import JobSeen, Observed, PipelineSeen
from runwright_pipelines.cluster import Defaults

ACTIVE = ("Pending", "Running")
LONGEST_REQUEST = 256


@dataclass(frozen=True)
class Rules:
    """What the administrator set: images, storage, and how patient the operator is."""

    defaults: Defaults
    components_image: str
    poll_seconds: float = 5.0
    deploy_poll_seconds: float = 10.0
    retry_seconds: float = 10.0
    lost_run_seconds: float = 120.0
    """A train.timeout that the step itself did not keep (its pod is gone, say) is enforced so much later."""


@dataclass(frozen=True)
class Note:
    """Why something is as it is."""

    reason: Reason
    message: str = ""


@dataclass
class Draft:
    """A decision in the making."""

    seen: Observed
    now: datetime
    rules: Rules
    revisions: dict[int, Revision]
    wanted: int | None
    serving: Serving | None
    retrain: str | None
    before: list[Action] = field(default_factory=list)
    then: list[Action] = field(default_factory=list)
    after: float | None = None
    compile_error: str = ""
    pin_problem: str = ""
    target: int | None = None
    """The revision whose model the InferenceService is given."""
    service: Note | None = None
    """Why the target's model is not ready to serve; None when it is, or when there is none."""
    service_ready: bool = False

    @classmethod
    def of(cls, seen: Observed, now: datetime, rules: Rules) -> Draft:
        status = seen.status
        return cls(
            seen=seen,
            now=now,
            rules=rules,
            revisions={revision.number: revision for revision in status.revisions},
            wanted=status.revision,
            serving=status.serving,
            retrain=status.retrain,
        )

    @property
    def status(self) -> TrainingRunStatus:
        """As it was seen."""
        return self.seen.status

    @property
    def spec(self) -> TrainingRunSpec | None:
        return self.seen.run.spec if self.seen.run else None

    @property
    def current(self) -> Revision | None:
        """The revision that the spec asks for."""
        return self.revisions.get(self.wanted) if self.wanted is not None else None

    @property
    def time(self) -> str:
        """Now, as Kubernetes writes it."""
        return stamp(self.now)

    @property
    def request(self) -> str | None:
        """The value of the annotation that asks for a retraining."""
        return self.seen.annotations.get(ANNOTATION_RETRAIN, "")[:LONGEST_REQUEST] or None

    @property
    def suspended(self) -> bool:
        return self.spec is not None and self.spec.suspend

    def update(self, number: int, **fields: Any) -> Revision:
        """Change fields of a revision."""
        changed = self.revisions[number].model_copy(update=fields)
        self.revisions[number] = changed
        return changed

    def delete_jobs(self, number: int | None = None, *, but: Callable[[JobSeen], bool] = lambda _: False) -> None:
        """Delete the jobs of a revision, those of its trials too, or of all; `but` tells which stay."""
        name = self.seen.key.name
        found = (job for job in self.seen.jobs if number is None or is_job_of(job.name, name, number))
        found = (job for job in found if not but(job))
        self.before.extend(DeleteJob(job.name, job.kind) for job in found)

    def look_again(self, seconds: float) -> None:
        """Come back after so many seconds, or sooner."""
        self.after = seconds if self.after is None else min(self.after, seconds)

    def records(self, revision: Revision) -> dict[str, StageRecord]:
        """What the steps of the revision's own pipeline run wrote down."""
        found = self.seen.records.get(revision.number)
        run = revision.pipeline_run
        return found.of_run(run.id) if found and run and run.id else {}

    def pipeline(self, revision: Revision) -> PipelineSeen | None:
        """The revision's own pipeline run, if it was seen."""
        run = revision.pipeline_run
        found = [one for one in self.seen.pipelines or () if run and one.id == run.id]
        return found[0] if found else None

    def owns_service(self) -> bool:
        """Whether the live InferenceService is this TrainingRun's own."""
        return bool(dig(self.seen.service, "metadata", "labels", LABEL_RUN_UID) == self.seen.uid)

    def service_goes_along(self) -> bool:
        """Whether the live InferenceService would be deleted with this TrainingRun."""
        owners = items(dig(self.seen.service, "metadata", "ownerReferences"))
        return any(mapping(owner).get("uid") == self.seen.uid for owner in owners)


def stamp(moment: datetime) -> str:
    """A moment as RFC 3339 in UTC, whole seconds."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def parse_time(text: str | None) -> datetime | None:
    """The moment that `stamp` wrote; None for what is no time."""
    if not text:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def older_than(text: str | None, now: datetime, seconds: float) -> bool:
    """Whether a moment lies more than so many seconds back."""
    moment = parse_time(text)
    return moment is not None and now - moment > timedelta(seconds=seconds)
