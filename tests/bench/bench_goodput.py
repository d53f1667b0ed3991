"""What checkpoints and lost processes cost a training on the CPU: `python tests/bench/bench_goodput.py --seconds 600`.

Three figures, each a share of a run's own time, so that a busy machine slows both sides:
- stall: the time that training stands still for checkpoints, one every 100 steps, over its time;
- restart: seconds from the start of a process to its first step, afresh and from a checkpoint;
- goodput: the time of the steps that count (those that no later start did again) over the whole time, from the start of
  the first process to the model, while one of two processes is killed (SIGKILL) every minute.
Prints JSON.
"""

import argparse
import json
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import polars as pl
from bench_train import Case, images, table, trained

from runwright_components.contract.artifacts import (
    HISTORY,
    PREPROCESSING,
    ROW_ID,
    STATE,
    TARGET,
    Field,
    History,
    Lineage,
    PreparedManifest,
    Signature,
    Tensor,
)
from runwright_components.contract.config import ModelConfig, TrainConfig
from runwright_components.contract.files import write_json
from runwright_components.contract.progress import PROGRESS_ENV, Event
from runwright_components.train.worker import NAME

EVERY_STEPS = 100
COLUMNS = 20
PROGRAM = """
import sys
from pathlib import Path
from runwright_components.contract.config import TrainConfig, parse
from runwright_components.contract.progress import Progress
from runwright_components.train import train

folder = Path(sys.argv[1])
train(
    parse(TrainConfig, sys.argv[2]),
    prepared=folder / "prepared",
    out=folder / sys.argv[3],
    checkpoints=folder / "checkpoints",
    resume=sys.argv[4] == "resume",
    progress=Progress("train", interval=0.0),
)
"""


def prepared(folder: Path, rows: int) -> Path:
    """A table of numbers with two classes."""
    target = folder / "prepared"
    (target / PREPROCESSING).mkdir(parents=True)
    write_json(target / PREPROCESSING / STATE, {})
    counts = {"train": rows, "validation": 2_000, "test": 1_000}
    for seed, (name, count) in enumerate(counts.items()):
        numbers = np.random.default_rng(seed).normal(size=(count, COLUMNS)).astype(np.float32)
        classes = (numbers[:, 0] * numbers[:, 1] + numbers[:, 2] > 0).astype(np.int32)
        columns = {f"n:x{index}": numbers[:, index] for index in range(COLUMNS)}
        pl.DataFrame({**columns, TARGET: classes}).with_row_index(ROW_ID).write_parquet(target / f"{name}.parquet")
    signature = Signature(
        task="classification",
        modality="tabular",
        inputs=tuple(Field(name=f"x{index}", type="numeric") for index in range(COLUMNS)),
        labels=("no", "yes"),
        target="y",
        tensors=(Tensor(name="numeric", dtype="float32", shape=(None, COLUMNS)),),
    )
    lineage = Lineage(stage="prepare", config="sha256:1")
    PreparedManifest(
        digest="sha256:0", modality="tabular", task="classification", rows=counts, signature=signature, lineage=lineage
    ).write(target)
    return target


def settings(**fields: object) -> TrainConfig:
    return TrainConfig.model_validate(
        {
            "task": "classification",
            "modality": "tabular",
            "model": ModelConfig(name="mlp", hidden=(256, 256), normalization="layer"),
            "batch_size": 128,
            "epochs": 100_000,
            "schedule": "constant",
            "early_stopping": None,
            "device": "cpu",
            "checkpoint_every_steps": EVERY_STEPS,
            **fields,
        }
    )


def stall(case: Case, steps: int) -> dict[str, float]:
    """Time that training stands still for checkpoints over its time."""
    with tempfile.TemporaryDirectory() as name:
        trainer = trained(case, Path(name), steps=steps, every=EVERY_STEPS)
    meter, seconds = trainer.meter, trainer.state.cursor.total_seconds
    return {
        "checkpoints": meter.checkpoints,
        "interval_ms": round(seconds / meter.checkpoints * 1e3, 1),
        "stall_ms": round(meter.stall_total / meter.checkpoints * 1e3, 3),
        "stall_share": round(meter.stall_total / seconds, 5),
    }


def start(folder: Path, config: TrainConfig, out: str, *, resume: bool) -> subprocess.Popen[bytes]:
    environment = {**os.environ, PROGRESS_ENV: str(folder / f"{out}.jsonl"), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", PROGRAM, str(folder), config.canonical(), out, "resume" if resume else "fresh"]
    return subprocess.Popen(command, env=environment)


def events(folder: Path, out: str) -> list[Event]:
    path = folder / f"{out}.jsonl"
    lines = path.read_bytes() if path.exists() else b""
    return [Event.model_validate_json(line) for line in lines[: lines.rfind(b"\n") + 1].splitlines()]


def first_step(folder: Path, config: TrainConfig, out: str, *, resume: bool) -> float:
    """Seconds from the start of the process to its first report of a step; the process is stopped then."""
    began = time.time()
    process = start(folder, config, out, resume=resume)
    found: list[Event] = []
    while not found and process.poll() is None:
        time.sleep(0.02)
        found = [event for event in events(folder, out) if event.kind == "progress"]
    process.send_signal(signal.SIGTERM)
    process.wait()
    return found[0].time - began


def restart(rounds: int, processes: int) -> dict[str, float]:
    """Medians of starts afresh and from the checkpoint that the one before left."""
    fresh, resumed = [], []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        prepared(folder, rows=20_000)
        config = settings(processes=processes)
        for number in range(rounds):
            fresh.append(first_step(folder, config, f"fresh{number}", resume=False))
            resumed.append(first_step(folder, config, f"again{number}", resume=True))
    return {"fresh_s": round(statistics.median(fresh), 2), "resumed_s": round(statistics.median(resumed), 2)}


def ranks_of(parent: int) -> list[int]:
    """Process ids of the workers below `parent`."""
    parents = {}
    for path in Path("/proc").glob("[0-9]*"):
        try:
            name, rest = (path / "stat").read_text().rsplit(")", 1)
        except OSError:
            continue
        parents[int(path.name)] = (name.partition("(")[2], int(rest.split()[1]))

    def below(pid: int) -> bool:
        while pid in parents and pid != parent:
            pid = parents[pid][1]
        return pid == parent

    return [pid for pid, (name, _) in parents.items() if name.startswith(NAME) and below(pid)]


class Killer(threading.Thread):
    """Kills one of the workers below `parent` every `seconds`."""

    def __init__(self, parent: int, seconds: float) -> None:
        super().__init__(daemon=True)
        self._parent = parent
        self._seconds = seconds
        self.ended = threading.Event()
        self.kills = 0

    def run(self) -> None:
        while not self.ended.wait(self._seconds):
            found = ranks_of(self._parent)
            if found:
                os.kill(random.choice(found), signal.SIGKILL)
                self.kills += 1


def goodput(seconds: float, every: float, processes: int) -> dict[str, float]:
    """One training of about `seconds` whose processes are killed every `every` seconds."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        prepared(folder, rows=50_000)
        config = settings(processes=processes, max_restarts=1000, epochs=100_000)
        pace = steps_a_second(folder, config)
        config = config.model_copy(update={"max_steps": int(pace * seconds)})
        began = time.time()
        process = start(folder, config, "model", resume=False)
        killer = Killer(process.pid, every)
        killer.start()
        code = process.wait()
        took = time.time() - began
        killer.ended.set()
        if code:
            raise SystemExit(f"the training ended with exit code {code}: {events(folder, 'model')[-1]}")
        useful = sum(epoch.seconds for epoch in History.read(folder / "model", HISTORY).epochs)
        again = [event.time for event in events(folder, "model") if "continuing after step" in event.message]
    return {
        "processes": processes,
        "seconds": round(took, 1),
        "steps": config.max_steps or 0,
        "kills": killer.kills,
        "restarts": len(again),
        "useful_seconds": round(useful, 1),
        "goodput": round(useful / took, 4),
        "lost_seconds_a_kill": round((took - useful) / max(1, killer.kills), 2),
    }


def steps_a_second(folder: Path, config: TrainConfig) -> float:
    """Of a short training that nobody disturbs."""
    process = start(folder, config.model_copy(update={"max_steps": 1500}), "pace", resume=False)
    process.wait()
    told = [event for event in events(folder, "pace") if event.kind == "progress" and event.done]
    return (told[-1].done - told[0].done) / (told[-1].time - told[0].time)  # type: ignore[operator]


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--seconds", type=float, default=600.0, help="of the training that is disturbed")
    arguments.add_argument("--every", type=float, default=60.0, help="seconds between two kills")
    arguments.add_argument("--processes", type=int, default=2)
    arguments.add_argument("--rounds", type=int, default=5)
    arguments.add_argument("--only", choices=("stall", "restart", "goodput"))
    options = arguments.parse_args()
    figures: dict[str, object] = {"load": os.getloadavg()[0]}
    if options.only in (None, "stall"):
        figures["stall"] = {
            "mlp": stall(table(), 3_000),
            "cnn_32x32": stall(images(ModelConfig(name="cnn", width=32)), 300),
        }
    if options.only in (None, "restart"):
        figures["restart"] = {str(count): restart(options.rounds, count) for count in (1, options.processes)}
    if options.only in (None, "goodput"):
        figures["goodput"] = goodput(options.seconds, options.every, options.processes)
    print(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
