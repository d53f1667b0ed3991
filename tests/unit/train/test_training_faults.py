"""What goes wrong while real processes train, and what is left of their work."""

import os
import resource
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Literal

import pytest

from runwright_components.contract.config import DistributedConfig, ModelConfig, TrainConfig
from runwright_components.contract.outcome import ExitCode, Reason, StageError
from runwright_components.contract.progress import PROGRESS_ENV, Event, Progress
from tests.unit.train.several import OnStep, run, workers

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("one_thread_a_worker")]


def test_a_rank_that_stands_still_ends_the_training_with_the_stack_of_the_others(
    pair: TrainConfig, tables: Path
) -> None:
    held = threading.Event()

    def hold() -> None:
        pid = workers()[1]
        os.kill(pid, signal.SIGSTOP)
        # The agent waits half a minute for a stopped process; this test does not.
        threading.Timer(8, lambda: (held.set(), os.kill(pid, signal.SIGCONT))).start()

    long = pair.model_copy(update={"epochs": 4000, "early_stopping": None, "collective_timeout": 2.0})
    with pytest.raises(StageError, match="no step ended for 2 s") as caught:
        run(long, tables, "model", progress=OnStep(10, hold))
    assert held.is_set()
    assert caught.value.reason is Reason.COLLECTIVE_TIMEOUT
    assert caught.value.exit_code is ExitCode.TRANSIENT
    assert "rank 0 waits in " in caught.value.message
    assert "rank 1 left no stack: it is stopped or lost" in caught.value.message
    assert "collectiveTimeout" in caught.value.cure
    stack = (tables.parent / "model.checkpoints" / "stacks" / "rank-0.txt").read_text()
    assert stack.startswith("MainThread:\n")
    assert "_epoch" in stack
    assert not workers()


LIMITED = """
import resource, sys
from pathlib import Path
import torch
from runwright_components.contract.config import TrainConfig, parse
from runwright_components.contract.outcome import StageError
from runwright_components.contract.progress import Progress
from runwright_components.train import stage, session

torch.set_num_threads(1)
folder, what, size = Path(sys.argv[1]), sys.argv[3], int(sys.argv[4])
resource.setrlimit(getattr(resource, what), (size, size))
try:
    stage.train(
        parse(TrainConfig, sys.argv[2]),
        prepared=folder / "prepared",
        out=folder / "model",
        checkpoints=folder / "checkpoints",
        resume=False,
        progress=Progress("train", interval=0.0),
    )
except StageError as error:
    print(error.to_json())
    sys.exit(int(error.exit_code))
"""


def limited(folder: Path, config: TrainConfig, what: str, size: int) -> tuple[int, str, list[Event]]:
    """Train under a limit of the kernel. Returns the exit code, the error and the events."""
    events = folder / "progress.jsonl"
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, str(folder), config.canonical(), what, str(size)],
        env={**os.environ, PROGRESS_ENV: str(events)},
        capture_output=True,
        text=True,
        check=False,
    )
    lines = events.read_bytes().splitlines() if events.exists() else []
    return done.returncode, done.stdout + done.stderr, [Event.model_validate_json(line) for line in lines]


def test_a_training_that_needs_more_memory_than_there_is_names_what_takes_less(
    config: TrainConfig, tables: Path
) -> None:
    """The first layer alone takes 24 GB; the limit is on the process, so that no other suffers."""
    huge = config.model_copy(update={"model": ModelConfig(name="mlp", hidden=(60_000, 100_000))})
    code, said, _ = limited(tables.parent, huge, "RLIMIT_AS", 12 << 30)
    assert code == ExitCode.USER, said
    assert '"reason": "OutOfMemory"' in said
    assert "rank 0 of 1 ran out of memory on the CPU with batches of 32 rows" in said
    assert "set train.batchSize to 16 (now 32) and train.accumulate to 2 (now 1) for the same result" in said
    assert "activationCheckpointing" in said


def test_a_full_disk_leaves_the_checkpoints_before_and_training_goes_on(config: TrainConfig, tables: Path) -> None:
    """No file may grow past 16 kB: a checkpoint of a wider model does not fit, its ONNX graph does not either."""
    wide = config.model_copy(update={"model": ModelConfig(name="mlp", hidden=(64, 64)), "checkpoint_every_steps": 5})
    code, said, events = limited(tables.parent, wide, "RLIMIT_FSIZE", 16_000)
    warnings = [event.message for event in events if event.kind == "warning"]
    assert len(warnings) == 1, said  # once, not at every checkpoint
    assert warnings[0].startswith("no checkpoint could be written, there is none yet; training goes on: ")
    assert "the disk is full" in warnings[0]
    assert max(event.done or 0 for event in events) == 32  # all steps
    assert code == ExitCode.TRANSIENT  # the model does not fit, either
    assert '"reason": "StorageFull"' in said
    assert not (tables.parent / "model").exists()
    assert not [path for path in (tables.parent / "checkpoints").iterdir() if "step-" in path.name]


class FullFor(Progress):
    """From a step on, until a warning, no worker can write a file of more than 60 kB."""

    def __init__(self, step: int) -> None:
        super().__init__("train", sink=self._listen, interval=0.0)
        self.warnings: list[str] = []
        self._step = step

    def _listen(self, event: Event) -> None:
        if event.kind == "warning":
            self.warnings.append(event.message)
            self._limit(resource.RLIM_INFINITY)
        elif (event.done or 0) >= self._step and not self.warnings:
            self._limit(60_000)

    def _limit(self, size: int) -> None:
        for pid in workers().values():
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


@pytest.mark.parametrize("strategy", ["ddp", "fsdp"])
def test_a_disk_that_is_full_for_a_while_costs_several_processes_nothing(
    pair: TrainConfig, tables: Path, strategy: Literal["ddp", "fsdp"]
) -> None:
    model = pair.model.model_copy(update={"hidden": (128, 128)})
    update = {"epochs": 20, "early_stopping": None, "distributed": DistributedConfig(strategy=strategy)}
    listener = FullFor(30)
    run(pair.model_copy(update={**update, "model": model}), tables, "model", progress=listener)
    assert len(listener.warnings) == 1
    assert "no checkpoint could be written, the newest is of step" in listener.warnings[0]
    assert "the disk is full" in listener.warnings[0]
    steps = sorted(path.name for path in (tables.parent / "model.checkpoints").glob("*step-*"))
    assert steps == ["step-000000155", "step-000000160"]


def test_one_of_four_ranks_is_killed_and_all_go_on_from_the_newest_checkpoint(pair: TrainConfig, tables: Path) -> None:
    update = {"processes": 4, "batch_size": 8, "epochs": 25, "early_stopping": None, "max_restarts": 1}
    four = pair.model_copy(update=update)
    straight = run(four, tables, "straight")
    listener = OnStep(40, lambda: os.kill(workers()[2], signal.SIGKILL))
    assert run(four, tables, "model", progress=listener) == straight
    assert any("continuing after step" in line for line in listener.told)
