"""Several processes under torchrun's elastic agent."""

import os
import signal
import threading
import time
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from runwright_components.contract.artifacts import HISTORY, WEIGHTS, History
from runwright_components.contract.config import TrainConfig
from runwright_components.contract.outcome import ExitCode, Reason, StageError
from tests.unit.train.several import OnStep, kill, run, stop, workers

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("one_thread_a_worker")]


def test_two_processes_follow_the_curve_of_one_and_go_on_bit_by_bit(pair: TrainConfig, tables: Path) -> None:
    long = pair.model_copy(update={"epochs": 40, "early_stopping": None, "learning_rate": 0.002})
    alone = run(long.model_copy(update={"processes": 1, "batch_size": 32}), tables, "alone")
    straight = run(long, tables, "straight")
    np.testing.assert_allclose(straight, alone, atol=1e-4)

    with pytest.raises(StageError, match="asked to stop") as caught:
        run(long, tables, "model", progress=OnStep(20, stop))
    assert caught.value.exit_code is ExitCode.CANCELLED
    assert not (tables.parent / "model").exists()
    assert not workers()
    assert run(long, tables, "model", resume=True) == straight
    assert History.read(tables.parent / "model", HISTORY).resumed_from_step >= 20
    weights = [(tables.parent / name / WEIGHTS).read_bytes() for name in ("model", "straight")]
    assert weights[0] == weights[1]


def test_a_killed_worker_is_named_with_its_signal(pair: TrainConfig, tables: Path) -> None:
    long = pair.model_copy(update={"epochs": 4000, "early_stopping": None})
    with pytest.raises(StageError, match="rank 1 was killed by SIGKILL") as caught:
        run(long, tables, "model", progress=OnStep(10, lambda: kill(1)))
    assert caught.value.reason is Reason.WORKER_FAILED
    assert "memory" in caught.value.cure
    assert not workers()


def test_a_killed_worker_is_started_again_and_goes_on_bit_by_bit(pair: TrainConfig, tables: Path) -> None:
    model = pair.model.model_copy(update={"dropout": 0.1})  # each process has random numbers of its own
    long = pair.model_copy(update={"epochs": 40, "early_stopping": None, "max_restarts": 1, "model": model})
    straight = run(long, tables, "straight")

    assert run(long, tables, "model", progress=OnStep(20, lambda: kill(0))) == straight
    assert History.read(tables.parent / "model", HISTORY).resumed_from_step > 0


def test_an_error_of_a_worker_comes_back_with_its_rank(pair: TrainConfig, tables: Path) -> None:
    for name in ("train", "validation"):
        path = tables / f"{name}.parquet"
        pl.read_parquet(path).with_columns(pl.col("c:group") + 100).write_parquet(path)
    with pytest.raises(StageError, match=r"rank [01]: IndexError: index out of range") as caught:
        run(pair, tables, "model")
    assert caught.value.reason is Reason.INTERNAL
    assert "embedding" in caught.value.message
    assert not (tables.parent / "model").exists()


def test_an_error_for_people_comes_back_as_it_is_without_a_restart(pair: TrainConfig, tables: Path) -> None:
    (tables / "manifest.json").unlink()
    with pytest.raises(StageError, match=r"manifest\.json is missing") as caught:
        run(pair.model_copy(update={"max_restarts": 10_000}), tables, "model")
    assert caught.value.reason is Reason.DATA_UNREADABLE


def test_workers_do_not_outlive_a_killed_stage(pair: TrainConfig, tables: Path) -> None:
    long = pair.model_copy(update={"epochs": 4000, "early_stopping": None})
    seen = threading.Event()
    pid = os.fork()
    if pid == 0:
        try:
            run(long, tables, "model", progress=OnStep(10, lambda: os.kill(os.getpid(), signal.SIGKILL)))
        finally:
            os._exit(1)
    found: dict[int, int] = {}
    while not seen.is_set():
        found = workers() or found
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            assert os.WTERMSIG(status) == signal.SIGKILL
            seen.set()
        time.sleep(0.2)
    until = time.monotonic() + 10
    while any(Path(f"/proc/{worker}/cmdline").exists() for worker in found.values()) and time.monotonic() < until:
        time.sleep(0.1)
    assert {0, 1} <= {*found}
    assert not any(Path(f"/proc/{worker}/cmdline").exists() for worker in found.values())
