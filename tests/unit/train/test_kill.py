"""SIGKILL at any moment, then --resume: the same weights and the same curves, to the last bit."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from runwright_components.contract.artifacts import HISTORY, WEIGHTS, History
from runwright_components.contract.config import TrainConfig
from runwright_components.contract.progress import PROGRESS_ENV, Event, silent
from runwright_components.train import train

pytestmark = pytest.mark.slow

PROGRAM = """
import sys
from pathlib import Path
import torch
from runwright_components.contract.config import TrainConfig, parse
from runwright_components.contract.progress import Progress
from runwright_components.train import train

torch.set_num_threads(1)
folder = Path(sys.argv[1])
train(
    parse(TrainConfig, sys.argv[2]),
    prepared=folder / "prepared",
    out=folder / "model",
    checkpoints=folder / "checkpoints",
    resume=sys.argv[3] == "resume",
    progress=Progress("train", interval=0.0),
)
"""


def start(folder: Path, config: TrainConfig, *, resume: bool) -> subprocess.Popen[bytes]:
    environment = {**os.environ, PROGRESS_ENV: str(folder / "progress.jsonl"), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", PROGRAM, str(folder), config.canonical(), "resume" if resume else "fresh"]
    return subprocess.Popen(command, env=environment)


def newest_step(folder: Path) -> float:
    path = folder / "progress.jsonl"
    lines = path.read_bytes().splitlines() if path.exists() else []
    events = [Event.model_validate_json(line) for line in lines]
    return max((event.done or 0.0 for event in events if event.kind == "progress"), default=0.0)


def kill_after(process: subprocess.Popen[bytes], folder: Path, step: int) -> None:
    """Kill once training reported `step`."""
    until = time.monotonic() + 120
    while newest_step(folder) < step:
        assert process.poll() is None, "the training ended before it could be killed"
        assert time.monotonic() < until
        time.sleep(0.002)
    process.kill()
    assert process.wait() == -signal.SIGKILL


def losses(folder: Path) -> list[tuple[float, float]]:
    return [(epoch.train_loss, epoch.validation_loss) for epoch in History.read(folder, HISTORY).epochs]


def test_a_training_killed_three_times_ends_as_if_it_never_was(config: TrainConfig, tables: Path) -> None:
    folder = tables.parent
    config = config.model_copy(update={"epochs": 60, "checkpoint_every_steps": 5, "early_stopping": None})
    train(
        config,
        prepared=tables,
        out=folder / "straight",
        checkpoints=folder / "other",
        resume=False,
        progress=silent(),
    )
    for step in (24, 150, 320):
        kill_after(start(folder, config, resume=step > 24), folder, step)
        assert not (folder / "model").exists()
    train(
        config,
        prepared=tables,
        out=folder / "model",
        checkpoints=folder / "checkpoints",
        resume=True,
        progress=silent(),
    )
    assert History.read(folder / "model", HISTORY).resumed_from_step >= 300
    assert losses(folder / "model") == losses(folder / "straight")
    assert (folder / "model" / WEIGHTS).read_bytes() == (folder / "straight" / WEIGHTS).read_bytes()
    assert not [path.name for path in folder.iterdir() if path.name.startswith(".")]
