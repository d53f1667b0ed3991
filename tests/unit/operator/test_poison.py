"""Campaign 8: no object, annotation, record or status, however broken, ends a parser or the brain.

`RUNWRIGHT_FUZZ=100000` sets how many objects go through; the default keeps the suite quick. The figure is printed.
"""

from __future__ import annotations

import json
import os
import random
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from runwright_api import names
from runwright_components.cluster.manifests.faults import job_fault, pod_fault, waiting_fault
from runwright_components.cluster.manifests.job_states import job_state
from runwright_components.cluster.manifests.serving import readiness
from runwright_components.contract.cluster import StorageConfig
from runwright_operator.adapters import pipeline_runs
from runwright_operator.brain.decide import decide
from runwright_operator.brain.draft import Rules
from runwright_operator.brain.observed import JobSeen, Observed, PipelineSeen
from runwright_operator.brain.transitions import happenings
from runwright_operator.reading import (
    digest_of,
    read_annotations,
    read_history,
    read_records,
    read_run,
    read_status,
    service_is_kept,
)
from runwright_operator.resources import Key
from runwright_pipelines.cluster import Defaults

COUNT = int(os.environ.get("RUNWRIGHT_FUZZ", "3000"))
NOW = datetime(2026, 11, 21, tzinfo=UTC)
RULES = Rules(
    defaults=Defaults(storage=StorageConfig(uri="s3://models"), train_image="t", serve_image="s"), components_image="c"
)
DIGEST = "sha256:" + "a" * 64

SPEC: dict[str, Any] = {
    "data": {"sources": [{"http": {"url": "https://example.org/data.csv"}}]},
    "prepare": {"target": "y"},
    "train": {"task": "tabular-classification", "timeout": "10m", "resources": {"nodes": 2, "gpusPerNode": 1}},
    "evaluate": {"slices": ["a"], "gate": [{"metric": "accuracy", "min": 0.8, "slice": "a=1"}]},
    "deploy": {"revision": 1, "timeout": "1m"},
    "history": {"limit": 2},
}
STATUS: dict[str, Any] = {
    "observedGeneration": 3,
    "conditions": [
        {"type": "Ready", "status": "True", "reason": "Serving", "lastTransitionTime": "2026-11-21T00:00:00Z"}
    ],
    "phase": "Running",
    "revision": 2,
    "revisions": [
        {
            "number": 1,
            "recipe": DIGEST,
            "trigger": "Recipe",
            "state": "Succeeded",
            "pipelineRun": {"id": "one", "attempt": "x-r1-a1"},
            "metrics": {"accuracy": 0.9},
            "verdict": "passed",
            "checks": [{"metric": "accuracy", "value": 0.9, "min": 0.8, "slice": "a=1", "passed": True}],
            "artifact": {"uri": "s3://models/1", "digest": DIGEST, "modelDigest": DIGEST, "version": 1},
        },
        {
            "number": 2,
            "recipe": DIGEST.replace("a", "b"),
            "state": "Running",
            "pipelineRun": {"id": "two", "attempt": "x-r2-a1"},
            "failure": {"reason": "OOMKilled", "message": "m", "log": ["l"], "exitCode": 137},
            "startTime": "2026-11-21T00:00:00Z",
        },
    ],
    "serving": {"revision": 1, "url": "http://x", "modelDigest": DIGEST, "since": "2026-11-21T00:00:00Z"},
    "progress": {"stage": "train", "percent": 3, "summary": "train 3%"},
    "retrain": "monday",
}
RECORD: dict[str, Any] = {
    "stage": "evaluate",
    "run_id": "two",
    "state": "succeeded",
    "time": "2026-11-21T00:00:00Z",
    "progress": {"percent": 3},
    "fault": {"reason": "OOMKilled", "message": "m", "exit_code": 137, "log": ["x"]},
    "waiting": {"reason": "Unschedulable", "message": "m"},
    "result": {
        "model_digest": DIGEST,
        "metrics": {"accuracy": 0.9},
        "slices": [{"column": "a", "value": "1", "rows": 3, "metrics": {"accuracy": 0.9}}],
    },
}
SERVICE: dict[str, Any] = {
    "metadata": {
        "name": "x",
        "uid": "s",
        "generation": 1,
        "labels": {names.LABEL_RUN_UID: "uid", names.LABEL_RUN: "x", names.LABEL_MANAGED_BY: "runwright"},
        "annotations": {names.ANNOTATION_MODEL_DIGEST: DIGEST},
        "ownerReferences": [{"kind": "TrainingRun", "uid": "uid"}],
    },
    "spec": {"predictor": {"containers": [{"name": "kserve-container"}]}},
    "status": {
        "observedGeneration": 1,
        "url": "http://x",
        "conditions": [{"type": "Ready", "status": "True"}],
        "modelStatus": {"transitionStatus": "InvalidSpec", "lastFailureInfo": {"message": "m"}},
    },
}
POD: dict[str, Any] = {
    "metadata": {"name": "pod", "annotations": {names.ANNOTATION_MODEL_DIGEST: DIGEST}, "labels": {}},
    "status": {
        "phase": "Failed",
        "reason": "Evicted",
        "conditions": [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "m"}],
        "containerStatuses": [
            {
                "name": "pytorch",
                "restartCount": 3,
                "state": {"terminated": {"exitCode": 137, "reason": "OOMKilled", "message": "{}"}},
                "lastState": {"waiting": {"reason": "CrashLoopBackOff", "message": "m"}},
            }
        ],
    },
}
JOB: dict[str, Any] = {
    "metadata": {"name": "x-r1", "uid": "j", "creationTimestamp": "2026-11-21T00:00:00Z"},
    "spec": {"runPolicy": {"suspend": True}, "pytorchReplicaSpecs": {"Master": {"replicas": 1}}},
    "status": {
        "conditions": [{"type": "Failed", "status": "True", "reason": "r", "message": "m"}],
        "replicaStatuses": {"Master": {"failed": 1}},
    },
}
KFP_RUN: dict[str, Any] = {
    "run_id": "two",
    "display_name": "x-r2-a1",
    "state": "RUNNING",
    "created_at": "2026-11-21T00:00:00Z",
    "error": {"code": 3, "message": "m"},
    "run_details": {"task_details": [{"display_name": "train", "state": "FAILED", "error": {"message": "m"}}]},
}

POISON: tuple[Any, ...] = (
    None,
    True,
    0,
    -1,
    2**63,
    1e308,
    float("nan"),
    float("inf"),
    "",
    "\x00",
    "\u202e",
    "\ud800",
    "{{workflow.name}}",
    "$(HOME)",
    "x" * 5000,
    "9" * 400,
    "2026-13-45T99:99:99Z",
    [],
    {},
    [[]],
    {"": ""},
    [None],
    ["x"] * 300,
    {"a": {"b": {"c": []}}},
)


def mutate(value: Any, chance: random.Random, depth: int = 0) -> Any:
    """A copy with some of its leaves or branches replaced, dropped or doubled."""
    if chance.random() < (0.03 if depth else 0.01):
        return chance.choice(POISON)
    if isinstance(value, dict):
        kept = {}
        for name, item in value.items():
            if chance.random() < 0.04:
                continue
            kept[name if chance.random() > 0.02 else chance.choice(("", "x\x00", name.upper()))] = mutate(
                item, chance, depth + 1
            )
        return kept
    if isinstance(value, list):
        changed = [mutate(item, chance, depth + 1) for item in value]
        return changed * 2 if chance.random() < 0.03 else changed
    return value


def deep(levels: int) -> Any:
    value: Any = "x"
    for _ in range(levels):
        value = [value]
    return value


def through(raw: dict[str, Any], chance: random.Random) -> None:
    """One fuzzed TrainingRun and its children through every parser and the brain."""
    run, problems = read_run(raw)
    status = read_status(raw)
    record = mutate(RECORD, chance)
    text = chance.choice((json.dumps(record), json.dumps(RECORD)[: chance.randrange(200)], "\x00", "[" * 3000, "{}"))
    config_map = mutate(
        {
            "metadata": {
                "labels": {names.LABEL_REVISION: "2", names.LABEL_RUN_UID: "uid"},
                "annotations": {names.ANNOTATION_RECIPE: DIGEST},
            },
            "data": {"evaluate.json": text, "register.json": text},
        },
        chance,
    )
    config_maps = [config_map] if isinstance(config_map, dict) else []
    service, pod, job = (mutate(one, chance) for one in (SERVICE, POD, JOB))
    pods = (pod,) if isinstance(pod, dict) else ()
    history = json.dumps({"run": "team/x", **(told if isinstance(told := mutate(STATUS, chance), dict) else {})})
    asked = {names.ANNOTATION_RETRAIN: "tuesday", names.ANNOTATION_CANCEL: "2", names.ANNOTATION_HISTORY: history}
    annotations = mutate(asked, chance)
    metadata = raw.get("metadata")
    raw = {**raw, "metadata": {**(metadata if isinstance(metadata, dict) else {}), "annotations": annotations}}
    pipelines: Any = None
    try:
        seen_run = pipeline_runs.run_seen(mutate(KFP_RUN, chance))
        state = chance.choice(("pending", "running", "succeeded", "failed", "cancelled"))
        pipelines = (PipelineSeen(id=seen_run.id, state=state, created=seen_run.created, error=seen_run.error),)
    except ValueError:
        pass  # what it says of an answer that is none
    seen = Observed(
        key=Key("team", "x"),
        uid="uid",
        generation=4,
        status=status,
        run=run,
        recipe=digest_of(run) if run else "",
        problems=problems,
        annotations=read_annotations(raw),
        history=read_history(raw, Key("team", "x")),
        finalizers=(names.FINALIZER,),
        deleting=chance.random() < 0.1,
        keeps_service=service_is_kept(raw),
        records=read_records(config_maps, "uid"),
        jobs=(JobSeen("x-r1"), JobSeen("x-r2", "TrainJob")),
        service=service if isinstance(service, dict) else None,
        service_pods=pods,
        pipelines=pipelines,
    )
    decision = decide(seen, NOW, RULES)
    list(happenings(status, decision.status))
    json.dumps(decision.status.model_dump(mode="json", by_alias=True, exclude_none=True), allow_nan=False)
    for parse in (
        lambda: job_state(job),
        lambda: job_fault(job, [pod], [pod]),
        lambda: waiting_fault(job, [pod], [pod]),
        lambda: pod_fault(pod),
        lambda: readiness(seen.service, DIGEST, pods, revision=1),
    ):
        _of_mapping(parse, job, pod)


def _of_mapping(parse: Callable[[], Any], *values: Any) -> None:
    """The API server answers objects only; what is inside of them may be anything."""
    if all(isinstance(value, dict) for value in values):
        parse()


def test_poison_ends_nothing() -> None:
    chance = random.Random(0)
    for number in range(COUNT):
        raw = mutate(
            {
                "apiVersion": names.API_VERSION,
                "kind": names.KIND,
                "metadata": {"name": "x", "namespace": "team", "uid": "uid"},
                "spec": SPEC,
                "status": STATUS,
            },
            chance,
        )
        if not isinstance(raw, dict):
            continue
        try:
            through(raw, chance)
        except Exception as error:
            error.add_note(f"object {number} of seed 0: {str(raw)[:2000]}")
            raise
    print(f"\ncampaign 8: {COUNT:,} fuzzed objects with their children: no parser and no decision ended by them")


@pytest.mark.parametrize("levels", [100, 10_000])
def test_deeply_nested_specs_and_statuses_are_read_or_refused(levels: int) -> None:
    raw = {
        "apiVersion": names.API_VERSION,
        "kind": names.KIND,
        "metadata": {"name": "x"},
        "spec": deep(levels),
        "status": {"revisions": deep(levels), "conditions": deep(levels)},
    }
    run, problems = read_run(raw)
    assert run is None
    assert problems
    read_status(raw)
