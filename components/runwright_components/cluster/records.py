"""A step's record of its stage, kept in the revision's ConfigMap for the operator to read."""

from __future__ import annotations

import json
import math
import os
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Literal, Protocol

from runwright_components.cluster.client import Kubernetes, Resource
from runwright_components.cluster.ending import fault_of
from runwright_components.cluster.fence import TRAINING_RUNS, Standing, standing
from runwright_components.cluster.manifests import pods
from runwright_components.cluster.manifests.fields import dig
from runwright_components.cluster.manifests.redacting import redacted_tree, secret_values
from runwright_components.contract.cluster import (
    ANNOTATION_RECIPE,
    FIELD_MANAGER,
    LARGEST_RECORD,
    ClusterRun,
    StageFault,
    StageProgress,
    StageRecord,
    record_key,
    record_name,
)
from runwright_components.contract.outcome import Reason, StageError
from runwright_components.contract.progress import Event
from runwright_components.contract.step import StageName

CONFIG_MAPS = Resource("v1", "configmaps")
INTERVAL = 5.0  # seconds between two writes of progress
IN_A_HURRY = 10.0  # of a step that was told to end
AFTER_FAILURE = 30.0  # and after one that failed, which may have taken seconds of its own
_LONG_LISTS = ("slices", "checks", "metrics")  # of results, the first one goes first


class Record(Protocol):
    """What a follower of a job keeps of it, so that the next one goes on counting."""

    record: StageRecord

    def open(self) -> None:
        """Take over what was kept before."""
        ...

    def update(self, **changes: Any) -> None:
        """Note changes, to be kept at some time."""
        ...

    def note(self, **changes: Any) -> None:
        """Keep changes at once and for certain."""
        ...


class RecordWriter:
    """Writes one stage's record. Progress is written now and then and may fail; the end is written for certain."""

    def __init__(
        self,
        kubernetes: Kubernetes,
        run: ClusterRun,
        *,
        run_id: str,
        stage: StageName,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._kubernetes = kubernetes
        self._run = run
        self._clock = clock
        self._next = -math.inf
        self._opened = False
        self._turn: Standing = "unknown"
        self._failed_before: StageFault | None = None
        self._secrets = secret_values(os.environ)
        self.record = StageRecord(stage=stage, run_id=run_id, state="running", time=now())

    def hide(self, values: Iterable[str]) -> None:
        """Further values that no record may show, such as those of request headers. Very short ones are words."""
        found = {*self._secrets, *(value for value in values if len(value) > 3)}
        self._secrets = tuple(sorted(found, key=len, reverse=True))

    def open(self) -> None:
        """Take over the counts that this run's step wrote before it was started again; the first write does it too."""
        self._open(self._kubernetes)

    def failed_before(self) -> StageFault | None:
        """Why this very stage of this KFP run failed by the step's own word, before KFP started the step again."""
        self._open(self._kubernetes)
        return self._failed_before

    def update(self, **changes: Any) -> None:
        """Note changes of the record (its fields), and write it when the last write is long enough ago."""
        self.record = self.record.model_copy(update=changes)
        if self._clock() >= self._next:
            try:
                self._write(self._kubernetes.patient(0))
            except StageError as error:
                self._next = self._clock() + AFTER_FAILURE
                print(f"the record was not written: {error}", file=sys.stderr)  # noqa: T201 (the pod's log)

    def note(self, **changes: Any) -> None:
        """Write changes at once and for certain. Raises StageError (SourceUnavailable, SourceDenied)."""
        self.record = self.record.model_copy(update=changes)
        self._write(self._kubernetes)

    def end(
        self,
        state: Literal["succeeded", "failed", "skipped"],
        *,
        fault: StageFault | None = None,
        result: Mapping[str, Any] | None = None,
    ) -> None:
        """Write the last word of the stage."""
        given = self.record.result if result is None else {**self.record.result, **result}
        self._turn = "unknown"  # it may have passed to another run
        self.note(state=state, fault=fault, waiting=None, result=given)

    def failed(self, error: StageError, *, log: tuple[str, ...] = ()) -> None:
        """Write why the stage failed, unless the API is away: the step ends either way."""
        if error.reason is Reason.CANCELLED:
            self._kubernetes = self._kubernetes.patient(IN_A_HURRY)
        try:
            self.end("failed", fault=fault_of(error, log=log))
        except StageError as refused:
            print(f"the failure was not recorded: {refused}", file=sys.stderr)  # noqa: T201 (the pod's log)

    def heard(self, event: Event) -> None:
        """Take over a stage's progress."""
        if event.kind == "progress":
            self.update(progress=progress_of(event), waiting=None)
        elif event.kind == "start":
            self.update()

    def _open(self, kubernetes: Kubernetes) -> None:
        if self._opened:
            return
        run = self._run
        found = kubernetes.get(CONFIG_MAPS, run.namespace, record_name(run.name, run.revision))
        before = read_record(found, self.record.stage)
        if before is not None and before.run_id == self.record.run_id:
            kept = ("failures", "preemptions", "gpu_seconds", "result")
            self.record = self.record.model_copy(update={name: getattr(before, name) for name in kept})
            self._failed_before = before.fault if before.state == "failed" else None
        self._opened = True

    def _may_write(self, kubernetes: Kubernetes) -> bool:
        """A run whose turn has passed keeps quiet: it would write over the record of the run that counts."""
        if self._turn == "unknown":
            live = kubernetes.get(TRAINING_RUNS, self._run.namespace, self._run.name)
            self._turn = standing(live, self._run, self.record.run_id)
        return self._turn not in ("other", "gone")

    def _write(self, kubernetes: Kubernetes) -> None:
        self._open(kubernetes)
        if not self._may_write(kubernetes):
            return
        self.record = self.record.model_copy(update={"time": now()})
        text = bounded(self.record, self._secrets)
        run = self._run
        manifest = {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {
                "name": record_name(run.name, run.revision),
                "namespace": run.namespace,
                "labels": pods.labels(run=run.name, uid=run.uid, revision=run.revision),
                "annotations": {ANNOTATION_RECIPE: run.recipe},
                "ownerReferences": [pods.owner_reference(name=run.name, uid=run.uid)],
            },
            "data": {record_key(self.record.stage): text},
        }
        kubernetes.apply(CONFIG_MAPS, manifest, manager=f"{FIELD_MANAGER}-step-{self.record.stage}")
        self._next = self._clock() + INTERVAL


def read_record(config_map: Mapping[str, Any] | None, stage: str) -> StageRecord | None:
    """The record of a stage in the ConfigMap of its revision; None when there is none, or it is none of ours."""
    content = dig(config_map, "data", record_key(stage))
    try:
        return StageRecord.model_validate_json(content) if isinstance(content, str) else None
    except ValueError:
        return None


def now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def progress_of(event: Event) -> StageProgress:
    """A stage's progress event as a record has it."""

    def number(name: str) -> float | None:
        value = event.values.get(name)
        return float(value) if isinstance(value, int | float) and math.isfinite(value) else None

    def whole(value: float | None) -> int | None:
        return max(0, round(value)) if value is not None and math.isfinite(value) else None

    share = event.done / event.total if event.done is not None and event.total else None
    return StageProgress(
        percent=min(100, whole(100 * share) or 0) if share is not None else None,
        epoch=whole(number("epoch")),
        step=whole(event.done) if event.unit == "steps" else None,
        loss=number("loss"),
        samples_per_second=number("samples_per_second"),
        seconds_left=whole(number("eta_seconds")),
    )


def bounded(record: StageRecord, secrets: tuple[str, ...] = ()) -> str:
    """The record's JSON without secrets and no longer than LARGEST_RECORD: long lists of its result go first, the
    log then; what the operator decides by (digests, verdict, place) is short and stays."""
    content: dict[str, Any] = redacted_tree(record.model_dump(mode="json"), secrets)
    for shorten in (*(_without(name) for name in _LONG_LISTS), _without_log, _without_result):
        text = json.dumps(_finite(content), sort_keys=True, ensure_ascii=False, separators=(",", ":"))
        if len(text.encode()) <= LARGEST_RECORD:
            return text
        shorten(content)
    return json.dumps(_finite(content), sort_keys=True, ensure_ascii=False, separators=(",", ":"))


def _without(name: str) -> Callable[[dict[str, Any]], None]:
    return lambda content: content["result"].pop(name, None)


def _without_log(content: dict[str, Any]) -> None:
    for part in ("fault", "waiting"):
        if content[part]:
            content[part]["log"] = []
            content[part]["message"] = content[part]["message"][:1000]


def _without_result(content: dict[str, Any]) -> None:
    content["result"] = {
        name: value for name, value in content["result"].items() if not isinstance(value, str) or len(value) < 1024
    }


def _finite(value: Any) -> Any:
    """NaN and infinities are no JSON."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {name: _finite(one) for name, one in value.items()}
    return [_finite(one) for one in value] if isinstance(value, list) else value
