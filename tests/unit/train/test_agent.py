"""Several processes under torchrun's elastic agent."""

import contextlib
import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from runwright_components.contract.artifacts import HISTORY, WEIGHTS, History
from runwright_components.contract.config import TrainConfig
from runwright_components.contract.outcome import ExitCode, Reason, StageError
from runwright_components.contract.progress import Event, Progress, silent
from runwright_components.train import train

pytestmark = pytest.mark.slow


@pytest.fixture
def pair(config: TrainConfig) -> TrainConfig:
    """Two processes; the norm is over layers, since ranks would see other batches."""
    model = config.model.model_copy(update={"normalization": "layer", "dropout": 0.0})
    update = {"model": model, "processes": 2, "batch_size": 16, "checkpoint_every_steps": 5}
    return config.model_copy(update=update)


@pytest.fixture(autouse=True)
def one_thread_a_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


def run(
    config: TrainConfig, prepared: Path, name: str, *, resume: bool = False, progress: Progress | None = None
) -> list[tuple[float, float, float]]:
    folder = prepared.parent
    train(
        config,
        prepared=prepared,
        out=folder / name,
        checkpoints=folder / f"{name}.checkpoints",
        resume=resume,
        progress=progress or silent(),
    )
    epochs = History.read(folder / name, HISTORY).epochs
    return [(epoch.train_loss, epoch.validation_loss, epoch.validation_metric) for epoch in epochs]


def workers(word: str = "runwright_components.train.worker") -> dict[int, int]:
    """Process id by rank of the workers below this process."""
    found = {}
    for path in Path("/proc").iterdir():
        with contextlib.suppress(OSError, ValueError):
            pid = int(path.name)
            if word in (path / "cmdline").read_text() and os.getpid() in ancestors(pid):
                variables = dict(
                    part.split("=", 1) for part in (path / "environ").read_text().split("\0") if "=" in part
                )
                found[int(variables["RANK"])] = pid
    return found


def ancestors(pid: int) -> Iterator[int]:
    while pid > 1:
        pid = int(Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[1])
        yield pid


class OnStep(Progress):
    """A listener that acts once training has come to a step."""

    def __init__(self, step: int, act: "type[object] | object") -> None:
        super().__init__("train", sink=self._listen, interval=0.0)
        self._step, self._act, self._done = step, act, False

    def _listen(self, event: Event) -> None:
        if event.kind == "progress" and (event.done or 0) >= self._step and not self._done:
            self._done = True
            assert callable(self._act)
            self._act()


def test_two_processes_follow_the_curve_of_one_and_go_on_bit_by_bit(pair: TrainConfig, tables: Path) -> None:
    long = pair.model_copy(update={"epochs": 40, "early_stopping": None, "learning_rate": 0.002})
    alone = run(long.model_copy(update={"processes": 1, "batch_size": 32}), tables, "alone")
    straight = run(long, tables, "straight")
    np.testing.assert_allclose(straight, alone, atol=1e-4)

    def stop() -> None:
        os.kill(os.getpid(), signal.SIGTERM)

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
    def kill() -> None:
        os.kill(workers()[1], signal.SIGKILL)

    long = pair.model_copy(update={"epochs": 4000, "early_stopping": None})
    with pytest.raises(StageError, match="rank 1 was killed by SIGKILL") as caught:
        run(long, tables, "model", progress=OnStep(10, kill))
    assert caught.value.reason is Reason.WORKER_FAILED
    assert "memory" in caught.value.cure
    assert not workers()


def test_a_killed_worker_is_started_again_and_goes_on_bit_by_bit(pair: TrainConfig, tables: Path) -> None:
    long = pair.model_copy(update={"epochs": 40, "early_stopping": None, "max_restarts": 1})
    straight = run(long, tables, "straight")

    def kill() -> None:
        os.kill(workers()[0], signal.SIGKILL)

    assert run(long, tables, "model", progress=OnStep(20, kill)) == straight
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
        run(pair.model_copy(update={"max_restarts": 3}), tables, "model")
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
