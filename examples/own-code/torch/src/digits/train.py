"""A plain torch loop with checkpoints, for one process or several (torchrun's environment variables)."""

import json
import os
import signal
import sys
from pathlib import Path

import numpy as np
import polars as pl
import torch
import torch.distributed as dist
from torch import Tensor
from torch.nn.functional import cross_entropy
from torch.nn.parallel import DistributedDataParallel

from digits.network import Network, export

data, model = Path(os.environ["RUNWRIGHT_DATA"]), Path(os.environ["RUNWRIGHT_MODEL"])
checkpoints = Path(os.environ["RUNWRIGHT_CHECKPOINTS"])
config = json.loads(Path(os.environ["RUNWRIGHT_CONFIG"]).read_text())
schema = json.loads((data / "schema.json").read_text())
rank, world = int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
asked_to_stop = []


def load(split: str) -> tuple[Tensor, Tensor]:
    """Pixels float32 [N, C, H, W] in [0, 1], and classes int64 [N]."""
    frame = pl.read_parquet(data / f"{split}.parquet")
    raw = np.frombuffer(b"".join(frame["pixels"]), np.uint8).reshape(len(frame), *schema["inputs"][0]["shape"][1:])
    return torch.from_numpy(raw.astype(np.float32) / 255), torch.from_numpy(frame["target"].to_numpy().astype(np.int64))


def tell(**figures: float) -> None:
    """Append a line to RUNWRIGHT_METRICS."""
    with Path(os.environ["RUNWRIGHT_METRICS"]).open("a") as file:
        file.write(json.dumps(figures) + "\n")


def save(epoch: int, network: Network, optimizer: torch.optim.Optimizer) -> None:
    """Write a checkpoint under a temporary name, so that it is whole or not there; the newest one is enough."""
    state = {"epoch": epoch, "network": network.state_dict(), "optimizer": optimizer.state_dict()}
    path = checkpoints / f"step-{epoch:06}"
    (temporary := path.with_name("new")).mkdir(exist_ok=True)
    torch.save(state, temporary / "state.pt")
    temporary.rename(path)
    for older in sorted(checkpoints.glob("step-*"))[:-1]:
        (older / "state.pt").unlink()
        older.rmdir()


def restore(network: Network, optimizer: torch.optim.Optimizer) -> int:
    """Go on from the newest checkpoint; returns the epochs that are done."""
    found = sorted(checkpoints.glob("step-*"))
    if os.environ["RUNWRIGHT_RESUME"] != "1" or not found:
        return 0
    state = torch.load(found[-1] / "state.pt", weights_only=True)
    network.load_state_dict(state["network"])
    optimizer.load_state_dict(state["optimizer"])
    return int(state["epoch"])


def main() -> None:
    """Train, and export the last epoch's network."""
    signal.signal(signal.SIGTERM, lambda *_: asked_to_stop.append(True))
    if world > 1:
        dist.init_process_group("gloo")
    torch.manual_seed(config["seed"])
    (x, y), (held_x, held_y) = load("train"), load("validation")
    network = Network(len(schema["labels"]))
    optimizer = torch.optim.AdamW(network.parameters(), lr=config["learningRate"], weight_decay=config["weightDecay"])
    done = restore(network, optimizer)
    learner = DistributedDataParallel(network) if world > 1 else network
    for epoch in range(done, config["epochs"]):
        order = torch.randperm(len(x), generator=torch.Generator().manual_seed(epoch))[rank::world]
        total = 0.0
        for rows in order.split(config["batchSize"]):
            loss = cross_entropy(learner.train()(x[rows]), y[rows], label_smoothing=0.05)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.item() * len(rows)
        if rank == 0:
            with torch.inference_mode():
                logits = network.eval()(held_x)
            tell(
                epoch=epoch + 1,
                epochs=config["epochs"],
                train_loss=total / len(order),
                validation_loss=cross_entropy(logits, held_y).item(),
                validation_metric=(logits.argmax(1) == held_y).float().mean().item(),
                learning_rate=config["learningRate"],
            )
            save(epoch + 1, network, optimizer)
        if asked_to_stop:
            sys.exit(30)  # the checkpoint is written
    if rank == 0:
        export(network, held_x, str(model / "model.onnx"))
        with torch.inference_mode():
            np.save(model / "outputs.npy", network.eval()(held_x).numpy())  # to compare the graph with
    if world > 1:
        dist.destroy_process_group()
