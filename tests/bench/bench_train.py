"""Step time against a bare torch loop, and what a checkpoint stalls: `python tests/bench/bench_train.py [FAMILY ...]`.

Families: mlp, cnn, resnet, vit, textcnn, transformer, pretrained (a BERT of four layers with random weights).
Both loops run the same module on the same batches in one process; rounds of the two alternate, and the median of the
rounds' ratios counts, so that a busy machine slows both. On a machine that is very busy, `--clock thread` counts the
training thread's processor time instead (with `--threads 1`, all of the work). `--default` compares with the AdamW that
one gets without `fused`, too; `--checkpoint` measures the stall. Prints a row of a Markdown table as each family is
done; all of them take about three minutes of one processor, with both options about six.
"""

import argparse
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from runwright_components.contract.config import ModelConfig, TrainConfig
from runwright_components.contract.progress import Progress, file_sink
from runwright_components.models import Shape, build
from runwright_components.train.checkpoints import CheckpointStore
from runwright_components.train.data import TensorSplit
from runwright_components.train.loop import Trainer
from runwright_components.train.objective import Objective
from runwright_components.train.optim import make_optimizer
from runwright_components.train.ranks import alone
from runwright_components.train.signals import StopSignal
from runwright_components.train.state import TrainingState

Clock = Callable[[], float]
Optimizer = Literal["fused", "default"]


@dataclass(frozen=True)
class Case:
    """A model and the data that it learns from; `batch` rows a step."""

    shape: Shape
    model: ModelConfig
    inputs: dict[str, Tensor]
    target: Tensor
    batch: int
    steps: int  # a round: about a second


def table() -> Case:
    rows = 100_000
    shape = Shape(task="classification", modality="tabular", classes=5, numeric=20, categories=(10, 30, 100))
    codes = torch.stack([torch.randint(0, size, (rows,)) for size in shape.categories], dim=1)
    inputs = {"numeric": torch.randn(rows, 20), "categorical": codes}
    return Case(shape, ModelConfig(name="mlp"), inputs, torch.randint(0, 5, (rows,)), batch=256, steps=200)


def images(model: ModelConfig, steps: int = 6) -> Case:
    sides = (3, 32, 32)
    shape = Shape(
        task="classification", modality="image", classes=10, image=sides, mean=(0.5,) * 3, std=(0.25,) * 3
    )  # fmt: skip
    inputs = {"pixels": torch.randint(0, 256, (2_000, *sides), dtype=torch.uint8)}
    return Case(shape, model, inputs, torch.randint(0, 10, (2_000,)), batch=64, steps=steps)


def texts(model: ModelConfig, steps: int) -> Case:
    rows, length = 4_000, 64
    shape = Shape(task="classification", modality="text", classes=10, vocabulary=4_000, max_tokens=length)
    ids = torch.randint(4, shape.vocabulary, (rows, length))
    inputs = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
    return Case(shape, model, inputs, torch.randint(0, 10, (rows,)), batch=32, steps=steps)


def pretrained(folder: Path) -> Case:
    from transformers import BertConfig, BertModel

    torch.manual_seed(0)
    sizes = {"hidden_size": 128, "num_hidden_layers": 4, "num_attention_heads": 4, "intermediate_size": 512}
    BertModel(BertConfig(vocab_size=4_000, **sizes)).save_pretrained(folder)
    return texts(ModelConfig(name="pretrained", pretrained=str(folder)), steps=10)


CASES: dict[str, Callable[[Path], Case]] = {
    "mlp": lambda _: table(),
    "cnn": lambda _: images(ModelConfig(name="cnn", width=32)),
    "resnet": lambda _: images(ModelConfig(name="resnet", width=16, depth=1)),
    "vit": lambda _: images(ModelConfig(name="vit", width=64, depth=4)),
    "textcnn": lambda _: texts(ModelConfig(name="textcnn"), steps=40),
    "transformer": lambda _: texts(ModelConfig(name="transformer"), steps=20),
    "pretrained": pretrained,
}


def trained(
    case: Case, folder: Path, *, steps: int, every: int | None = None, clock: Clock = time.monotonic
) -> Trainer:
    """A run of the real trainer over `steps` steps, with progress to a file."""
    config = TrainConfig(
        task="classification",
        modality=case.shape.modality,
        model=case.model,
        batch_size=case.batch,
        epochs=10_000,
        max_steps=steps,
        schedule="constant",
        early_stopping=None,
        device="cpu",
        checkpoint_every_steps=every,
    )
    torch.manual_seed(0)
    module, ranks = build(case.model, case.shape), alone(config)
    store = CheckpointStore(folder / "checkpoints", keep=2, warn=print)
    store.open(resume=False)
    few = {name: tensor[: case.batch] for name, tensor in case.inputs.items()}
    trainer = Trainer(
        config,
        state=TrainingState(module, make_optimizer(config, module), None, ranks),
        forward=module,
        training=TensorSplit(case.inputs, case.target, ranks.device),
        validation=TensorSplit(few, case.target[: case.batch], ranks.device),
        objective=Objective("classification"),
        precision="fp32",
        store=store,
        recipe="bench",
        stop=StopSignal(),
        progress=Progress("train", sink=file_sink(folder / "progress.jsonl")),
        clock=clock,
    )
    trainer.run()
    store.close()
    return trainer


def bare_seconds(case: Case, steps: int, optimizer: Optimizer, clock: Clock) -> float:
    """What one writes by hand: the same module, batches, optimizer and gradient clipping, and nothing else."""
    torch.manual_seed(0)
    module = build(case.model, case.shape).train()
    adamw = torch.optim.AdamW(module.parameters(), lr=1e-3, fused=optimizer == "fused")
    start = clock()
    step = 0
    while step < steps:
        order = torch.randperm(len(case.target))
        for rows in order.split(case.batch)[: steps - step]:
            batch = {name: tensor[rows] for name, tensor in case.inputs.items()}
            if "pixels" in batch:
                batch["pixels"] = batch["pixels"].float() / 255
            loss = functional.cross_entropy(module(**batch), case.target[rows])
            loss.backward()
            nn.utils.clip_grad_norm_(module.parameters(), 1.0)
            adamw.step()
            adamw.zero_grad()
            step += 1
    return clock() - start


def our_seconds(case: Case, steps: int, clock: Clock) -> float:
    """Of the trainer's epochs, with schedule, progress and bookkeeping, without validation and checkpoints."""
    with tempfile.TemporaryDirectory() as name:
        return sum(epoch.seconds for epoch in trained(case, Path(name), steps=steps, clock=clock).state.cursor.history)


def step_time(case: Case, rounds: int, optimizer: Optimizer, clock: Clock) -> dict[str, float]:
    """Milliseconds a step of both loops, and the median over the rounds of their ratio."""
    bare, ours = [], []
    for number in range(rounds + 1):
        for mine in (number % 2 == 0, number % 2 == 1):  # each goes first as often as the other
            if mine:
                ours.append(our_seconds(case, case.steps, clock))
            else:
                bare.append(bare_seconds(case, case.steps, optimizer, clock))
    pairs = list(zip(bare, ours, strict=True))[1:]  # the first round warms up
    return {
        "bare_ms": round(statistics.median(pair[0] for pair in pairs) / case.steps * 1e3, 3),
        "ours_ms": round(statistics.median(pair[1] for pair in pairs) / case.steps * 1e3, 3),
        "ratio": round(statistics.median(mine / other for other, mine in pairs), 4),
    }


def stall(case: Case) -> dict[str, float]:
    """Time that training stands still for a checkpoint, over the time between two of them (one epoch)."""
    interval = len(case.target) // case.batch
    with tempfile.TemporaryDirectory() as name:
        trainer = trained(case, Path(name), steps=5 * interval, every=interval)
    meter, seconds = trainer.meter, trainer.state.cursor.total_seconds
    return {
        "checkpoints": meter.checkpoints,
        "interval_s": round(seconds / meter.checkpoints, 3),
        "stall_ms": round(meter.stall_total / meter.checkpoints * 1e3, 3),
        "stall_share": round(meter.stall_total / seconds, 5),
    }


COLUMNS = ("bare_ms", "ours_ms", "ratio")
HEADS = {"step": ("bare, ms", "ours, ms", "ratio"), "default": ("bare by default, ms", "ours, ms", "ratio")}


def row(cells: list[object]) -> None:
    print("| " + " | ".join(map(str, cells)) + " |", flush=True)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--rounds", type=int, default=9)
    arguments.add_argument("--threads", type=int, default=1)
    arguments.add_argument("--clock", choices=("wall", "thread"), default="wall")
    arguments.add_argument("--default", action="store_true", help="compare with AdamW without `fused`, too")
    arguments.add_argument("--checkpoint", action="store_true", help="measure the stall of a checkpoint an epoch")
    arguments.add_argument("families", nargs="*", metavar="FAMILY", help="default: all")
    options = arguments.parse_args()
    if unknown := set(options.families) - set(CASES):
        arguments.error(f"there is no family {sorted(unknown)[0]}; there are {', '.join(CASES)}")
    clock = time.thread_time if options.clock == "thread" else time.perf_counter
    torch.set_num_threads(options.threads)
    print(f"torch {torch.__version__}, {platform.machine()}, {options.clock} clock, load {os.getloadavg()[0]:.1f}\n")
    heads = ["family", *HEADS["step"]]
    heads += [*HEADS["default"]] if options.default else []
    heads += ["stall, ms", "share of the interval"] if options.checkpoint else []
    row([*heads])
    row(["---"] * len(heads))
    for name in options.families or CASES:
        with tempfile.TemporaryDirectory() as folder:
            case = CASES[name](Path(folder) / "encoder")
            found = step_time(case, options.rounds, "fused", clock)
            cells: list[object] = [name, *(found[column] for column in COLUMNS)]
            if options.default:
                slower = step_time(case, options.rounds, "default", clock)
                cells += [slower[column] for column in COLUMNS]
            if options.checkpoint:
                stood = stall(case)
                cells += [stood["stall_ms"], stood["stall_share"]]
            row(cells)


if __name__ == "__main__":
    main()
