"""Ray Train: this program hands the data to Ray's workers, hears of their epochs and exports what they trained."""

import json
import os
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import polars as pl
import ray
import ray.train
import torch
from ray.train import Checkpoint, FailureConfig, RunConfig, ScalingConfig, UserCallback
from ray.train.torch import TorchTrainer, prepare_model
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

data, model = Path(os.environ["RUNWRIGHT_DATA"]), Path(os.environ["RUNWRIGHT_MODEL"])
schema = json.loads((data / "schema.json").read_text())


def network(classes: int, width: int = 32) -> nn.Sequential:
    """From pixels [N, 1, H, W] in [0, 1] to logits [N, classes]."""
    layers = (nn.Conv2d(1, width, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(width, 2 * width, 3, padding=1))
    head = (nn.ReLU(), nn.AdaptiveAvgPool2d(4), nn.Flatten(), nn.Dropout(0.3), nn.Linear(32 * width, classes))
    return nn.Sequential(*layers, *head)


def load(split: str) -> tuple[np.ndarray, np.ndarray]:
    """Pixels float32 [N, C, H, W] in [0, 1], and classes int64 [N]."""
    frame = pl.read_parquet(data / f"{split}.parquet")
    raw = np.frombuffer(b"".join(frame["pixels"]), np.uint8).reshape(len(frame), *schema["inputs"][0]["shape"][1:])
    return raw.astype(np.float32) / 255, frame["target"].to_numpy().astype(np.int64)


def learn(told: dict[str, Any]) -> None:
    """One worker: it learns from its share of the rows. The data come by Ray, for a worker may be another machine."""
    x, y, held_x, held_y = (torch.tensor(part) for part in ray.get(told["data"]))
    rank, world = ray.train.get_context().get_world_rank(), ray.train.get_context().get_world_size()
    torch.manual_seed(told["seed"])
    learner = prepare_model(network(told["classes"]))
    plain = learner.module if world > 1 else learner
    optimizer = torch.optim.AdamW(learner.parameters(), lr=told["learningRate"], weight_decay=told["weightDecay"])
    done = restore(plain, optimizer)
    for epoch in range(done, told["epochs"]):
        order = torch.randperm(len(x), generator=torch.Generator().manual_seed(epoch))[rank::world]
        total = 0.0
        for rows in order.split(told["batchSize"]):
            loss = cross_entropy(learner.train()(x[rows]), y[rows], label_smoothing=0.05)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.item() * len(rows)
        with torch.inference_mode():
            logits = plain.eval()(held_x)
        report(epoch + 1, total / len(order), logits, held_y, plain, optimizer)


def report(
    epoch: int, train_loss: float, logits: Tensor, labels: Tensor, plain: nn.Module, optimizer: torch.optim.Optimizer
) -> None:
    """Every worker reports; the first one's word and checkpoint count."""
    figures = {
        "epoch": epoch,
        "train_loss": train_loss,
        "validation_loss": cross_entropy(logits, labels).item(),
        "validation_metric": (logits.argmax(1) == labels).float().mean().item(),
    }
    with TemporaryDirectory() as folder:
        kept = None
        if ray.train.get_context().get_world_rank() == 0:
            state = {"epoch": epoch, "network": plain.state_dict(), "optimizer": optimizer.state_dict()}
            torch.save(state, Path(folder) / "state.pt")
            kept = Checkpoint.from_directory(folder)
        ray.train.report(figures, checkpoint=kept)


def restore(plain: nn.Module, optimizer: torch.optim.Optimizer) -> int:
    """Go on from the newest checkpoint, of an earlier start as well; returns the epochs that are done."""
    newest = ray.train.get_checkpoint()
    if newest is None:
        return 0
    with newest.as_directory() as folder:
        state = torch.load(Path(folder) / "state.pt", weights_only=True)
    plain.load_state_dict(state["network"])
    optimizer.load_state_dict(state["optimizer"])
    return int(state["epoch"])


class Tell(UserCallback):
    """Appends what the first worker reports to RUNWRIGHT_METRICS."""

    def __init__(self, path: str, epochs: int) -> None:
        self.path, self.epochs = Path(path), epochs

    def after_report(self, run_context: Any, metrics: list[dict[str, Any]], checkpoint: Any) -> None:  # noqa: ARG002 (Ray's)
        with self.path.open("a") as file:
            file.write(json.dumps({**metrics[0], "epochs": self.epochs}) + "\n")


def main() -> None:
    """Train on as many workers as the TrainingRun asks for, and export the last epoch's network."""
    config = json.loads(Path(os.environ["RUNWRIGHT_CONFIG"]).read_text())
    ray.init(include_dashboard=False, log_to_driver=False)  # in a cluster RAY_ADDRESS leads to the RayJob's own
    parts = (*load("train"), *load("validation"))
    told = {name: config[name] for name in ("seed", "learningRate", "weightDecay", "batchSize", "epochs")}
    trainer = TorchTrainer(
        learn,
        train_loop_config={**told, "classes": len(schema["labels"]), "data": ray.put(parts)},
        scaling_config=ScalingConfig(num_workers=int(os.environ["RUNWRIGHT_RAY_WORKERS"])),
        run_config=RunConfig(
            name="digits",
            storage_path=os.environ["RUNWRIGHT_RAY_STORAGE"],
            failure_config=FailureConfig(max_failures=1),
            callbacks=[Tell(os.environ["RUNWRIGHT_METRICS"], config["epochs"])],
        ),
    )
    result = trainer.fit()
    assert result.checkpoint is not None
    with result.checkpoint.as_directory() as folder:
        state = torch.load(Path(folder) / "state.pt", weights_only=True)
    trained = network(len(schema["labels"]))
    trained.load_state_dict(state["network"])
    pixels = torch.tensor(parts[2])
    export(trained.eval(), pixels)


def export(trained: nn.Module, pixels: Tensor) -> None:
    """Write the ONNX graph, the number of rows left open, and what it should answer."""
    torch.onnx.export(
        trained,
        (pixels[:2],),
        str(model / "model.onnx"),
        input_names=["pixels"],
        output_names=["logits"],
        dynamic_shapes={"input": {0: torch.export.Dim("batch")}},
        dynamo=True,
        external_data=False,
        verbose=False,
    )
    with torch.inference_mode():
        np.save(model / "outputs.npy", trained(pixels).numpy())


if __name__ == "__main__":
    main()
