"""A search whose trials are PyTorchJobs: the real training operator, scheduler and RBAC; the nodes are simulated, and
the test leaves in storage what their pods would."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from runwright_components.cluster.search.reports import CURVE, RESULT, Curve, Point, Result
from runwright_components.cluster.storage import MODEL, Place, place, store_folder
from runwright_components.contract.cluster import ClusterRun
from runwright_components.contract.config import ParameterConfig, TrainConfig, TuneConfig
from runwright_components.contract.outcome import ExitCode
from runwright_components.contract.tuning import Tuning, tuning_of
from tests.cluster.step_cases import CONFIG, JOB, Case, model
from tests.cluster.step_process import StepProcess
from tests.cluster.waiting import eventually

Simulate = Callable[..., None]
RATE = ParameterConfig(key="learningRate", path=("learning_rate",), type="choice", choices=(0.1, 0.2, 0.3, 0.4))


def searching(*rates: float, **tune: Any) -> TrainConfig:
    space = (RATE.model_copy(update={"choices": rates or RATE.choices}),)
    given = {"parameters": space, "algorithm": "grid", "pruning": "none", "parallel": 2, "jobs": True, **tune}
    return CONFIG.model_copy(update={"tune": TuneConfig.model_validate(given)})


class Pods:
    """What the pods of trials would leave: a trial's value is its learning rate, the smaller the better."""

    def __init__(self, churn: Case) -> None:
        self.churn = churn
        self.made: list[tuple[str, str]] = []  # name and uid of each job there was
        self.most = 0  # that lived at a time
        self.silent: set[float] = set()  # learning rates whose pods only train on

    def jobs(self) -> list[dict[str, Any]]:
        return self.churn.api.list(*JOB, self.churn.namespace)

    def play(self) -> list[dict[str, Any]]:
        """Look once."""
        jobs = self.jobs()
        self.most = max(self.most, len(jobs))
        for job in jobs:
            one = (job["metadata"]["name"], job["metadata"]["uid"])
            if one not in self.made:
                self.made.append(one)
                self._leave(job)
        return jobs

    def until(self, step: StepProcess) -> int:
        until = time.monotonic() + 120
        while step.process.poll() is None:
            assert time.monotonic() < until, step.said()
            self.play()
            time.sleep(0.1)
        return step.process.returncode

    def _leave(self, job: dict[str, Any]) -> None:
        rate = told(job, "RUNWRIGHT_TRAIN")["learning_rate"]
        there = place(ClusterRun.model_validate(told(job, "RUNWRIGHT_CLUSTER")).storage)
        points = tuple(Point(epoch=epoch, figures={"validation_loss": rate}) for epoch in (1, 2, 3))
        there.write(CURVE, Curve(points=points).model_dump_json().encode())
        if rate not in self.silent:
            leave_model(self.churn.folder / f"model-{rate}", there, rate)


def leave_model(folder: Path, there: Place, value: float) -> None:
    store_folder(model(folder), there.under(MODEL))
    there.write(RESULT, Result(value=value, epochs=3, seconds=1.0).model_dump_json().encode())


def told(job: dict[str, Any], name: str) -> dict[str, Any]:
    (container,) = job["spec"]["pytorchReplicaSpecs"]["Master"]["template"]["spec"]["containers"]
    found = next(one["value"] for one in container["env"] if one["name"] == name)
    return dict(json.loads(found.replace("$$", "$")))


@pytest.fixture
def pods(churn: Case) -> Pods:
    return Pods(churn)


def found(churn: Case) -> Tuning:
    tuning = tuning_of(churn.folder / "model")
    assert tuning is not None
    return tuning


def pods_of(churn: Case, job: str) -> list[dict[str, Any]]:
    return churn.api.list("v1", "Pod", churn.namespace, labels=f"training.kubeflow.org/job-name={job}")


def test_each_trial_is_a_job_and_the_best_ones_model_is_brought(churn: Case, pods: Pods, simulate: Simulate) -> None:
    simulate(churn.namespace, "training", run_ms=2500)
    step = churn.train(config=searching())
    owners = [job["metadata"]["ownerReferences"][0]["uid"] for job in eventually(pods.play, 40)]
    assert pods.until(step) == 0, step.said()
    tuning = found(churn)
    assert [trial.state for trial in tuning.trials] == ["complete"] * 4
    assert tuning.winner.values == {"learningRate": 0.1}
    assert sorted(name for name, _ in pods.made) == [f"churn-r1-t{number}" for number in range(4)]
    assert pods.most == 2
    assert set(owners) == {churn.run.uid}
    record = churn.record("train")
    assert record is not None
    assert (record.state, record.result["tuning"]["trials"]) == ("succeeded", 4)
    assert (record.gpu_seconds or 0.0) > 4.0
    eventually(lambda: (not pods.jobs() and not churn.api.list("v1", "Pod", churn.namespace)) or None, 40)


def test_a_step_that_is_killed_repeats_no_trial(churn: Case, pods: Pods, simulate: Simulate) -> None:
    simulate(churn.namespace, "training", run_ms=4000)
    config = searching()
    first = churn.train(config=config)
    eventually(lambda: (pods.play() and len(pods.made) >= 3) or None, 60)
    first.process.send_signal(signal.SIGKILL)
    first.wait()
    second = churn.train(config=config)
    assert pods.until(second) == 0, second.said()
    assert [trial.state for trial in found(churn).trials] == ["complete"] * 4
    assert sorted(name for name, _ in pods.made) == [f"churn-r1-t{number}" for number in range(4)], "each was made once"


def test_a_trial_that_is_given_up_has_its_pod_taken_away(churn: Case, pods: Pods, simulate: Simulate) -> None:
    simulate(churn.namespace, "training", run_ms=1500)
    rates = (0.1, 0.11, 0.12, 0.13, 0.14, 0.9)
    config = searching(*rates, pruning="median", warmup_epochs=2, parallel=1, seed=19)  # which puts 0.9 last
    pods.silent = {0.9}
    step = churn.train(config=config)
    eventually(lambda: (pods.play() and len(pods.made) == 5) or None, 90)
    simulate(churn.namespace, "training", run_ms=None)  # the last one would train for ever
    assert pods.until(step) == 0, step.said()
    last = found(churn).trials[-1]
    assert (last.values, last.state) == ({"learningRate": 0.9}, "pruned")
    eventually(lambda: pods_of(churn, "churn-r1-t5") == [] or None, 40)


def test_a_failed_pod_is_a_failed_trial(churn: Case, pods: Pods, simulate: Simulate) -> None:
    churn.with_job(failures=0)
    simulate(churn.namespace, "training", run_ms=800, exit_code=137, reason="OOMKilled")
    step = churn.train(config=searching(0.1, 0.2, parallel=1))
    eventually(lambda: (pods.play() and pods_of(churn, "churn-r1-t0")) or None, 40)
    simulate(churn.namespace, "training", run_ms=1500, exit_code=None, reason=None)
    assert pods.until(step) == 0, step.said()
    states = [(trial.state, trial.message.partition(":")[0]) for trial in found(churn).trials]
    assert states == [("failed", "OOMKilled"), ("complete", "")]


def test_a_run_that_is_cancelled_leaves_no_trial(churn: Case, pods: Pods) -> None:
    step = churn.train(config=searching())
    eventually(lambda: len(pods.play()) == 2 or None, 40)
    churn.name_run(churn.run_id, state="Cancelled")
    step.process.send_signal(signal.SIGTERM)
    assert step.wait() == ExitCode.CANCELLED, step.said()
    eventually(lambda: (not pods.jobs() and not churn.api.list("v1", "Pod", churn.namespace)) or None, 40)


def test_trials_that_fit_nowhere_are_told(churn: Case) -> None:
    churn.with_job(gpus_per_node=16)
    churn.train(config=searching())

    def unschedulable() -> bool | None:
        record = churn.record("train")
        return (record is not None and record.waiting is not None and record.waiting.reason == "Unschedulable") or None

    eventually(unschedulable, 40)
