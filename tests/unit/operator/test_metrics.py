"""Metrics: what a status says for the first time is counted once, and a run's series go with it."""

from typing import Any

import pytest

from runwright_api.status import TrainingRunStatus
from runwright_operator.metrics import Metrics
from runwright_operator.resources import Key

KEY = Key("n", "penguins")
DIGEST = "sha256:" + "0" * 64


def status(stage: str = "", **revision: Any) -> TrainingRunStatus:
    progress = {"stage": stage} if stage else None
    numbered = {"number": 1, "recipe": DIGEST, **revision}
    return TrainingRunStatus.model_validate({"progress": progress, "revisions": [numbered]})


def value(metrics: Metrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(name, labels)


def test_a_verdict_and_a_failure_count_once() -> None:
    metrics = Metrics()
    running, rejected = status(state="Running"), status(state="Rejected", verdict="rejected")
    metrics.transition(KEY, running, rejected)
    metrics.transition(KEY, rejected, rejected)
    assert value(metrics, "runwright_gate_verdicts_total", verdict="rejected") == 1
    failed = status(state="Failed", failure={"stage": "train", "reason": "OOMKilled"})
    metrics.transition(KEY, running, failed)
    metrics.transition(KEY, failed, failed)
    assert value(metrics, "runwright_run_failures_total", stage="train", reason="OOMKilled") == 1


def test_gpu_seconds_grow_with_the_status_and_go_with_the_run() -> None:
    metrics = Metrics()
    before = status()
    for spent in (10.0, 25.0, 25.0):
        after = status(gpu_seconds=spent)
        metrics.transition(KEY, before, after)
        before = after
    assert value(metrics, "runwright_gpu_seconds_total", namespace="n", run="penguins") == 25
    metrics.forget(KEY)
    assert value(metrics, "runwright_gpu_seconds_total", namespace="n", run="penguins") is None
    metrics.forget(KEY)


def test_a_stage_lasts_until_another_one_is_seen() -> None:
    times = [0.0]
    metrics = Metrics(clock=lambda: times[-1])
    states = [("collect", 0.0), ("collect", 5.0), ("train", 10.0), ("", 70.0)]
    before = status()
    for stage, now in states:
        times.append(now)
        after = status(stage)
        metrics.transition(KEY, before, after)
        before = after
    assert value(metrics, "runwright_stage_duration_seconds_sum", stage="collect") == 10
    assert value(metrics, "runwright_stage_duration_seconds_sum", stage="train") == 60


def test_runs_are_counted_by_phase_at_each_scrape() -> None:
    metrics = Metrics()
    phases = ["Running", "Running", "made up"]
    metrics.watch_phases(lambda: phases)
    assert value(metrics, "runwright_runs", phase="Running") == 2
    assert value(metrics, "runwright_runs", phase="Unknown") == 1
    phases.clear()
    assert value(metrics, "runwright_runs", phase="Running") == 0


def test_a_look_is_timed_and_its_end_counted() -> None:
    metrics = Metrics()
    with metrics.reconcile():
        pass
    with pytest.raises(RecursionError), metrics.reconcile():
        raise RecursionError
    assert value(metrics, "runwright_reconcile_total", result="ok") == 1
    assert value(metrics, "runwright_reconcile_total", result="RecursionError") == 1
    assert value(metrics, "runwright_reconcile_duration_seconds_count") == 2
