"""Whether more processes learn the same: `python tests/bench/bench_parity.py [SETTING ...]`.

A setting is a family and a learning rate; it trains with fp32 for 200 steps of the same rows on 1, 2 and 4 processes,
by replicas (DDP) and by shards (FSDP2), the decoder also by shared matrices (tensor parallel), each process an own one
that talks to the others by gloo. Told is the largest relative difference of the losses of training and validation of
each epoch from those of one process, and from those of one process that adds up the same parts of each batch
(`accumulated`): where only the first is large, a training blows the rounding of its sums up. So do the `halves`: steps
of a plain loop of one process in one batch and in two halves, in float32 and in float64. Prints JSON; ends with 1
where processes part by more than 1e-4 from the whole batches of one.
"""

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
import torch
from torch import nn
from torch.nn import functional

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from runwright_api.loading import load_file  # noqa: E402
from runwright_components.collect import collect  # noqa: E402
from runwright_components.contract.artifacts import HISTORY, History  # noqa: E402
from runwright_components.contract.config import (  # noqa: E402
    SPLITS,
    DistributedConfig,
    ModelConfig,
    SplitName,
    TrainConfig,
)
from runwright_components.contract.progress import silent  # noqa: E402
from runwright_components.models import build, shape_of  # noqa: E402
from runwright_components.prepare import prepare  # noqa: E402
from runwright_components.train import train  # noqa: E402
from runwright_components.train.data import BatchPlan, read_split  # noqa: E402
from runwright_components.train.optim import make_optimizer, rate_factor  # noqa: E402
from runwright_pipelines.lowering import lower  # noqa: E402
from tests.unit.language.conftest import prepare_config, sentences, write_raw  # noqa: E402
from tests.unit.train.conftest import table, table_signature, write_prepared, write_texts  # noqa: E402

ROWS: dict[SplitName, int] = {"train": 256, "validation": 128, "test": 8}
DOCUMENTS = 200
LIMIT = 1e-4


@dataclass(frozen=True)
class Setting:
    """What learns from what. Batches are shared out, so that norms over a batch and dropout would differ by their
    nature: there are none."""

    modality: str
    model: ModelConfig
    rate: float
    prepared: Callable[[Path], Path]
    rows: int = 64  # a step
    task: str = "classification"


def tables(folder: Path) -> Path:
    splits = {name: table(ROWS[name], seed, regression=False) for seed, name in enumerate(SPLITS)}
    return write_prepared(folder, splits, table_signature(regression=False), categories=(5,))


def corpus(folder: Path) -> Path:
    raw = write_raw(folder.parent / "raw", pl.DataFrame({"text": sentences(DOCUMENTS)}))
    prepare(prepare_config(), raw=raw, out=folder, progress=silent())
    return folder


def clauses(folder: Path) -> Path:
    """Those of `examples/languages`, prepared as there."""
    example = ROOT / "examples" / "languages"
    configs = lower(load_file(example / "run.yaml"))
    collect(configs.collect.model_copy(update={"base": str(example)}), out=folder.parent / "raw", progress=silent())
    prepare(configs.prepare, raw=folder.parent / "raw", out=folder, progress=silent())
    return folder


TABLE = ModelConfig(name="mlp", hidden=(64, 64), normalization="layer", dropout=0.0)
ENCODER = ModelConfig(name="transformer", width=32, depth=2, heads=4, dropout=0.0)
DECODER = ModelConfig(name="decoder", width=32, depth=2, heads=4, dropout=0.0, context=32)
SETTINGS = {
    "mlp": Setting("tabular", TABLE, 1e-3, tables),
    "decoder": Setting("text", DECODER, 1e-2, corpus, rows=16, task="generation"),
    "languages": Setting("text", ENCODER, 1e-3, clauses),
    "transformer": Setting("text", ENCODER, 3e-4, lambda folder: write_texts(folder, ROWS)),
    "transformer-fast": Setting("text", ENCODER, 1e-3, lambda folder: write_texts(folder, ROWS)),
}  # fmt: skip


def configuration(setting: Setting, steps: int, processes: int = 1, **distributed: object) -> TrainConfig:
    settings = DistributedConfig.model_validate(distributed)
    return TrainConfig.model_validate(
        {
            "task": setting.task,
            "modality": setting.modality,
            "model": setting.model,
            "learning_rate": setting.rate,
            "batch_size": setting.rows * settings.tensor_parallel // processes,
            "epochs": steps,
            "max_steps": steps,
            "early_stopping": None,
            "checkpoint_every_steps": 10 * steps,
            "device": "cpu",
            "precision": "fp32",
            "processes": processes,
            "distributed": settings,
        }
    )


def curve(config: TrainConfig, data: Path) -> np.ndarray:
    """The losses of an epoch's training and validation, epoch by epoch."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        train(
            config,
            prepared=data,
            out=folder / "model",
            checkpoints=folder / "checkpoints",
            resume=False,
            progress=silent(),
        )
        epochs = History.read(folder / "model", HISTORY).epochs
    return np.array([loss for epoch in epochs for loss in (epoch.train_loss, epoch.validation_loss)])


def by_hand(setting: Setting, data: Path, steps: int, parts: int, dtype: torch.dtype) -> np.ndarray:
    """Mean training losses by epoch of a plain loop in one process, each step in `parts` micro-batches."""
    config, shape = configuration(setting, steps), shape_of(data)
    rows = read_split(data, "train", config.task, shape.classes, torch.device("cpu"))
    torch.manual_seed(config.seed)
    module = build(config.model, shape).to(dtype)
    optimizer = make_optimizer(config, module)
    plan = BatchPlan(len(rows), config.batch_size, 1, 1, config.seed)
    losses = np.zeros(steps)
    for step in range(steps):
        epoch, batch = divmod(step, plan.steps)
        for group in optimizer.param_groups:
            group["lr"] = config.learning_rate * rate_factor(config.schedule, step, steps, 0)
        first, last = plan.bounds(batch)
        for part in range(parts):
            inputs, target = rows.take(plan.order(epoch)[first + part : last : parts])
            inputs = {name: value.to(dtype) if value.is_floating_point() else value for name, value in inputs.items()}
            loss = functional.cross_entropy(module(**inputs), target, reduction="sum") / (last - first)
            loss.backward()
            losses[step] += loss.item()
        nn.utils.clip_grad_norm_(module.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
    return losses[: steps // plan.steps * plan.steps].reshape(-1, plan.steps).mean(axis=1)


def apart(curve: np.ndarray, other: np.ndarray) -> float:
    return float(np.max(np.abs(other / curve - 1)))


def measured(setting: Setting, data: Path, steps: int, counts: list[int]) -> dict[str, float]:
    """Beside each layout, the one process that adds up the same parts of a batch by accumulation."""
    whole = configuration(setting, steps)
    alone = curve(whole, data)
    found = {"first_loss": float(alone[0]), "last_loss": float(alone[-2])}
    for count in counts:
        parts = {"accumulate": count, "batch_size": setting.rows // count}
        added = curve(whole.model_copy(update=parts), data)
        found[f"accumulated_{count}"] = apart(alone, added)
        layouts = {"ddp": {"strategy": "ddp"}, "fsdp": {"strategy": "fsdp"}}
        if setting.task == "generation":
            layouts["tensor"] = {"tensor_parallel": 2}
        for name, layout in layouts.items():
            several = curve(configuration(setting, steps, count, **layout), data)
            found[f"{name}_{count}"] = apart(alone, several)
            found[f"{name}_{count}_accumulated"] = apart(added, several)
    if setting.task == "classification":
        for dtype in (torch.float32, torch.float64):
            plain, halves = (by_hand(setting, data, steps, parts, dtype) for parts in (1, 2))
            found[f"halves_{str(dtype).removeprefix('torch.')}"] = apart(plain, halves)
    return found


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--steps", type=int, default=200)
    arguments.add_argument("--processes", type=int, nargs="+", default=[2, 4])
    arguments.add_argument("settings", nargs="*", metavar="SETTING", help=f"default: all of {', '.join(SETTINGS)}")
    options = arguments.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    torch.set_num_threads(1)
    figures: dict[str, dict[str, float]] = {}
    for name in options.settings or SETTINGS:
        with tempfile.TemporaryDirectory() as folder:
            data = SETTINGS[name].prepared(Path(folder) / "prepared")
            figures[name] = measured(SETTINGS[name], data, options.steps, options.processes)
        print(name, json.dumps(figures[name]), file=sys.stderr, flush=True)
    print(json.dumps(figures, indent=2))
    return int(any(missed(found) for found in figures.values()))


def missed(found: dict[str, float]) -> bool:
    """Whether several processes part further than the target."""
    layouts = {name: figure for name, figure in found.items() if name.startswith(("ddp", "fsdp", "tensor"))}
    return any(figure > LIMIT for name, figure in layouts.items() if not name.endswith("accumulated"))


if __name__ == "__main__":
    sys.exit(main())
