"""A world of plain values for the brain of the operator: its decisions are carried out on it, without a cluster."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from runwright_api.loading import load_object
from runwright_api.names import ANNOTATION_HISTORY, FINALIZER
from runwright_api.reasons import ConditionType, Reason
from runwright_api.status import Revision, TrainingRunStatus
from runwright_components.contract.cluster import (
    StageRecord,
    StorageConfig,
)
from runwright_operator.brain.decide import decide
from runwright_operator.brain.decision import (
    Action,
    AddFinalizer,
    ApplyService,
    Decision,
    DeleteService,
    Remember,
    RemoveFinalizer,
    StartPipeline,
    StopAttempt,
)
from runwright_operator.brain.draft import Rules
from runwright_operator.brain.observed import Observed, PipelineSeen, RecordsSeen
from runwright_operator.brain.transitions import happenings
from runwright_operator.reading import digest_of, read_history
from runwright_operator.resources import Key
from runwright_pipelines.cluster import Defaults

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
RULES = Rules(
    defaults=Defaults(storage=StorageConfig(uri="s3://models"), train_image="train:1", serve_image="serve:1"),
    components_image="components:1",
)
UID = "0123456789abcdef"


def digest(letter: str) -> str:
    return "sha256:" + letter * 64


def spec(**train: Any) -> dict[str, Any]:
    return {
        "data": {"sources": [{"http": {"url": "https://example.org/data.csv"}}]},
        "prepare": {"target": "y"},
        "train": {"task": "tabular-classification", **train},
        "evaluate": {"gate": [{"metric": "accuracy", "min": 0.8}]},
    }


@dataclass
class World:
    """What lies outside of the brain, as plain values: its decisions are carried out on them."""

    spec: dict[str, Any] = field(default_factory=spec)
    seen: Observed = field(init=False)
    now: datetime = NOW
    pipelines: dict[str, list[PipelineSeen]] = field(default_factory=dict)
    done: list[Action] = field(default_factory=list)
    events: list[str] = field(default_factory=list)
    kfp_error: str = ""

    def __post_init__(self) -> None:
        self.seen = Observed(
            key=Key("team", "churn"), uid=UID, generation=0, status=TrainingRunStatus(), run=None, recipe=""
        )
        self.edit(self.spec)

    def edit(self, spec: dict[str, Any]) -> None:
        self.spec = spec
        run = load_object(
            {
                "apiVersion": "runwright.dev/v1alpha1",
                "kind": "TrainingRun",
                "metadata": {"name": "churn"},
                "spec": spec,
            }
        )
        self.seen = replace(self.seen, run=run, recipe=digest_of(run), problems=(), generation=self.seen.generation + 1)

    def annotate(self, name: str, value: str) -> None:
        annotations = {**self.seen.annotations, name: value}
        history = read_history({"metadata": {"annotations": annotations}}, self.seen.key)
        self.seen = replace(self.seen, annotations=annotations, history=history)

    def restored(self, **changes: Any) -> World:
        """What a backup makes of it: the same object under another uid, with annotations and without status. What it
        owned is gone."""
        world = World(self.spec, now=self.now)
        world.seen = replace(world.seen, uid="fedcba9876543210", annotations=self.seen.annotations, **changes)
        history = read_history({"metadata": {"annotations": world.seen.annotations}}, world.seen.key)
        world.seen = replace(world.seen, history=history)
        return world

    @property
    def status(self) -> TrainingRunStatus:
        return self.seen.status

    def revision(self, number: int | None = None) -> Revision:
        number = number or self.status.revision
        return next(one for one in self.status.revisions if one.number == number)

    def condition(self, kind: ConditionType) -> tuple[str, Reason]:
        found = next(one for one in self.status.conditions if one.type == kind)
        return found.status, found.reason

    def look(self) -> Observed:
        active = next((one for one in self.status.revisions if one.number == self.status.revision), None)
        run = active.pipeline_run if active and active.state in ("Pending", "Running") else None
        if run is None:
            return replace(self.seen, pipelines=None, pipelines_error="")
        if self.kfp_error:
            return replace(self.seen, pipelines=None, pipelines_error=self.kfp_error)
        return replace(self.seen, pipelines=tuple(self.pipelines.get(run.attempt, ())), pipelines_error="")

    def step(self) -> Decision:
        decision = decide(self.look(), self.now, RULES)
        assert decide(self.look(), self.now, RULES) == decision, "deciding is pure"
        for action in decision.before:
            self._do(action)
        self.events += [happening.reason for happening in happenings(self.status, decision.status)]
        self.seen = replace(self.seen, status=decision.status)
        for action in decision.then:
            self._do(action)
        return decision

    def settle(self, most: int = 20) -> None:
        """Step until nothing changes."""
        for _ in range(most):
            before, count = self.seen, len(self.done)
            self.step()
            if self.seen == before and len(self.done) == count:
                return
        raise AssertionError("it does not settle")

    def _do(self, action: Action) -> None:
        self.done.append(action)
        match action:
            case AddFinalizer():
                self.seen = replace(self.seen, finalizers=(*self.seen.finalizers, FINALIZER))
            case RemoveFinalizer():
                self.seen = replace(self.seen, finalizers=())
            case StartPipeline(attempt=attempt):
                number = sum(len(runs) for runs in self.pipelines.values()) + 1
                made = PipelineSeen(id=f"kfp-{number}", state="pending", created=self.now)
                self.pipelines.setdefault(attempt, []).append(made)
            case Remember(history=history):
                self.annotate(ANNOTATION_HISTORY, history)
            case StopAttempt(attempt=attempt):
                self.set_pipeline(attempt, "cancelled")
            case ApplyService(manifest=manifest):
                metadata = {**manifest["metadata"], "uid": "service", "generation": 1}
                self.seen = replace(self.seen, service={**manifest, "metadata": metadata}, service_pods=())
            case DeleteService():
                self.seen = replace(self.seen, service=None)
            case _:
                pass

    def set_pipeline(self, attempt: str, state: Any, error: str = "") -> None:
        self.pipelines[attempt] = [replace(one, state=state, error=error) for one in self.pipelines.get(attempt, [])]

    def end_pipeline(self, state: str, error: str = "") -> None:
        run = self.revision().pipeline_run
        assert run is not None
        self.set_pipeline(run.attempt, state, error)

    def record(self, stage: str, state: str = "succeeded", **fields: Any) -> None:
        revision = self.revision()
        assert revision.pipeline_run is not None
        made = StageRecord.model_validate(
            {
                "stage": stage,
                "run_id": revision.pipeline_run.id,
                "state": state,
                "time": "2026-11-21T12:00:00Z",
                **fields,
            }
        )
        known = self.seen.records.get(revision.number, RecordsSeen(revision.recipe, {}))
        stages = {**known.stages, stage: made}
        records = {**self.seen.records, revision.number: RecordsSeen(revision.recipe, stages)}
        self.seen = replace(self.seen, records=records)

    def make_model(self, letter: str = "a", accuracy: float = 0.9) -> None:
        """What the steps write down when all goes well."""
        self.record("train", failures=0, gpu_seconds=12.0)
        self.record("evaluate", result={"model_digest": digest(letter), "metrics": {"accuracy": accuracy}})
        self.record(
            "register",
            result={
                "uri": f"s3://models/churn/{letter}",
                "digest": digest(letter),
                "model_digest": digest(letter),
                "version": self.revision().number,
            },
        )

    def serve_up(self) -> None:
        """KServe did what the InferenceService says."""
        assert self.seen.service is not None
        service = dict(self.seen.service)
        service["status"] = {
            "observedGeneration": 1,
            "url": "http://churn.example",
            "conditions": [{"type": "Ready", "status": "True"}],
        }
        template = service["spec"]["predictor"]
        pod = {
            "metadata": {"name": "pod", "labels": template["labels"], "annotations": template["annotations"]},
            "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]},
        }
        self.seen = replace(self.seen, service=service, service_pods=(pod,))

    def train(self, letter: str = "a", accuracy: float = 0.9) -> None:
        """A whole revision, up to a ready service."""
        self.settle()
        self.make_model(letter, accuracy)
        self.end_pipeline("succeeded")
        self.settle()
        if self.seen.service is not None:
            self.serve_up()
        self.settle()

    def starts(self) -> int:
        return sum(isinstance(action, StartPipeline) for action in self.done)
