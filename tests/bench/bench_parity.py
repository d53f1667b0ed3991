"""Whether more processes learn the same: `python tests/bench/bench_parity.py`.

Two families train with fp32 for 200 steps of 64 rows on 1, 2 and 4 processes, by replicas (DDP) and by shards (FSDP2),
each process an own one that talks to the others by gloo. Told is the largest relative difference of the losses of
training and validation, every fourth step, from those of one process. Prints JSON; ends with 1 where it is above 1e-4.
"""

import argparse
import json
import os
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from runwright_components.contract.artifacts import HISTORY, History  # noqa: E402
from runwright_components.contract.config import (  # noqa: E402
    SPLITS,
    DistributedConfig,
    ModelConfig,
    SplitName,
    TrainConfig,
)
from runwright_components.contract.progress import silent  # noqa: E402
from runwright_components.train import train  # noqa: E402
from tests.unit.train.conftest import table, table_signature, write_prepared, write_texts  # noqa: E402

ROWS: dict[SplitName, int] = {"train": 256, "validation": 128, "test": 8}
BATCH = 64
LIMIT = 1e-4
# Batches are shared out, so that norms over a batch and dropout would differ by their nature.
MODELS = {
    "mlp": ModelConfig(name="mlp", hidden=(64, 64), normalization="layer", dropout=0.0),
    "transformer": ModelConfig(name="transformer", width=32, depth=2, heads=4, dropout=0.0),
}


def prepared(family: str, folder: Path) -> Path:
    if family == "transformer":
        return write_texts(folder, ROWS)
    splits = {name: table(ROWS[name], seed, regression=False) for seed, name in enumerate(SPLITS)}
    return write_prepared(folder, splits, table_signature(regression=False), categories=(5,))


def curve(family: str, data: Path, steps: int, processes: int, strategy: str) -> list[float]:
    """The losses of an epoch's training and validation, epoch by epoch."""
    config = TrainConfig(
        task="classification",
        modality="text" if family == "transformer" else "tabular",
        model=MODELS[family],
        batch_size=BATCH // processes,
        epochs=steps * BATCH // ROWS["train"],
        early_stopping=None,
        checkpoint_every_steps=10 * steps,
        device="cpu",
        precision="fp32",
        processes=processes,
        distributed=DistributedConfig.model_validate({"strategy": strategy}),
    )
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
    return [loss for epoch in epochs for loss in (epoch.train_loss, epoch.validation_loss)]


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--steps", type=int, default=200)
    arguments.add_argument("--processes", type=int, nargs="+", default=[2, 4])
    options = arguments.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    torch.set_num_threads(1)
    figures: dict[str, dict[str, float]] = {}
    for family in MODELS:
        with tempfile.TemporaryDirectory() as name:
            data = prepared(family, Path(name) / "prepared")
            alone = np.array(curve(family, data, options.steps, 1, "auto"))
            found = figures.setdefault(family, {"first_loss": alone[0], "last_loss": alone[-2]})
            for processes in options.processes:
                for strategy in ("ddp", "fsdp"):
                    other = np.array(curve(family, data, options.steps, processes, strategy))
                    found[f"{strategy}_{processes}"] = float(np.max(np.abs(other / alone - 1)))
    print(json.dumps(figures, indent=2))
    differences = [value for found in figures.values() for name, value in found.items() if "_loss" not in name]
    return int(max(differences) > LIMIT)


if __name__ == "__main__":
    sys.exit(main())
