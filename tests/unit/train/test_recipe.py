"""What the recipe's options do to a training, and that a stopped one goes on with them bit by bit."""

import os
import signal
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from runwright_components.contract.artifacts import HISTORY, WEIGHTS, History, ModelManifest
from runwright_components.contract.config import AugmentConfig, DistributedConfig, EmaConfig, ModelConfig, TrainConfig
from runwright_components.contract.outcome import StageError
from runwright_components.contract.progress import Event, Progress, silent
from runwright_components.features import load_split
from runwright_components.models import build, load_model, shape_of
from runwright_components.train import train
from runwright_components.train.shards import shard_name

FULL = AugmentConfig(crop=True, flip=True, rotate=10, color=0.2, erase=0.3, mixup=0.2, cutmix=1.0)


@pytest.fixture
def pictures(config: TrainConfig) -> TrainConfig:
    model = ModelConfig(name="cnn", width=4, depth=1)
    return config.model_copy(update={"modality": "image", "model": model, "epochs": 4, "early_stopping": None})


def run(config: TrainConfig, prepared: Path, name: str = "model", *, resume: bool = False) -> ModelManifest:
    return train(
        config,
        prepared=prepared,
        out=prepared.parent / name,
        checkpoints=prepared.parent / f"{name}.checkpoints",
        resume=resume,
        progress=silent(),
    )


class StopAfter(Progress):
    """Sends this process SIGTERM once training has come to a step."""

    def __init__(self, step: int) -> None:
        super().__init__("train", sink=self._listen, interval=0.0)
        self._step, self._sent = step, False

    def _listen(self, event: Event) -> None:
        if event.kind == "progress" and (event.done or 0) >= self._step and not self._sent:
            self._sent = True
            os.kill(os.getpid(), signal.SIGTERM)


def test_with_averaging_and_augmentation_a_stopped_training_goes_on_bit_by_bit(
    pictures: TrainConfig, images: Path
) -> None:
    whole = pictures.model_copy(update={"augment": FULL, "ema": EmaConfig(decay=0.9)})
    run(whole, images, "straight")
    out, checkpoints = images.parent / "model", images.parent / "model.checkpoints"
    with pytest.raises(StageError, match="asked to stop"):
        train(whole, prepared=images, out=out, checkpoints=checkpoints, resume=False, progress=StopAfter(5))
    run(whole, images, resume=True)
    assert History.read(out, HISTORY).resumed_from_step > 4
    assert (out / WEIGHTS).read_bytes() == (images.parent / "straight" / WEIGHTS).read_bytes()


def test_the_averaged_weights_are_evaluated_and_exported(pictures: TrainConfig, images: Path) -> None:
    averaged = pictures.model_copy(update={"ema": EmaConfig(decay=0.95)})
    run(averaged, images)
    out = images.parent / "model"
    history = History.read(out, HISTORY)
    split = load_split(images, "validation")
    pixels = torch.tensor(split.inputs["pixels"]).float() / 255
    with torch.no_grad():
        logits = load_model(out)(pixels=pixels)
    loss = torch.nn.functional.cross_entropy(logits, torch.tensor(split.target).long()).item()
    assert loss == pytest.approx(history.epochs[history.best_epoch - 1].validation_loss, rel=1e-5)
    newest = sorted((images.parent / "model.checkpoints").glob("step-*"))[-1]
    tensors = load_file(newest / shard_name(0))
    exported = load_file(out / WEIGHTS)["head.linear.weight"]
    assert torch.equal(exported, tensors["best/head.linear.weight"])
    if history.best_epoch == len(history.epochs):
        assert torch.equal(exported, tensors["average/head.linear.weight"])
    assert not torch.equal(exported, tensors["model/head.linear.weight"])


@pytest.mark.parametrize("field", ["mixup", "cutmix"])
def test_mixing_makes_training_harder_and_not_validation(pictures: TrainConfig, images: Path, field: str) -> None:
    longer = pictures.model_copy(update={"epochs": 10, "learning_rate": 0.03})
    run(longer, images, "plain")
    run(longer.model_copy(update={"augment": AugmentConfig.model_validate({field: 1.0})}), images, "mixed")
    plain, mixed = (History.read(images.parent / name, HISTORY).epochs[-1] for name in ("plain", "mixed"))
    assert mixed.train_loss > plain.train_loss + 0.1
    assert mixed.validation_metric > 0.8


def test_the_recipe_of_one_run_leaves_no_trace_in_the_next(pictures: TrainConfig, images: Path) -> None:
    first = run(pictures, images, "first")
    run(pictures.model_copy(update={"augment": FULL}), images, "between")
    assert run(pictures, images, "again").digest == first.digest


def test_clipping_bounds_the_step_by_the_gradients_norm(config: TrainConfig, tables: Path) -> None:
    update = {"optimizer": "sgd", "learning_rate": 0.5, "weight_decay": 0.0, "schedule": "constant", "max_steps": 1}
    steps = {}
    for clip in (None, 0.01):
        run(config.model_copy(update={**update, "gradient_clip": clip}), tables, f"clip-{clip}")
        torch.manual_seed(config.seed)
        before = build(config.model, shape_of(tables))
        after = load_file(tables.parent / f"clip-{clip}" / WEIGHTS)
        moved = [after[name] - weight.detach() for name, weight in before.named_parameters()]
        steps[clip] = torch.cat([each.flatten() for each in moved]).norm().item()
    assert steps[0.01] == pytest.approx(0.5 * 0.01, rel=1e-2)
    assert steps[None] > 2 * steps[0.01]


def test_sharded_weights_are_averaged_as_whole_ones_are(config: TrainConfig, tables: Path) -> None:
    model = ModelConfig(name="mlp", hidden=(16, 16), dropout=0.0, normalization="layer")
    update = {"model": model, "ema": EmaConfig(decay=0.9), "early_stopping": None, "epochs": 2, "batch_size": 40}
    alone = config.model_copy(update=update)
    run(alone, tables, "alone")
    sharded = {"processes": 2, "batch_size": 20, "distributed": DistributedConfig(strategy="fsdp")}
    run(alone.model_copy(update=sharded), tables, "sharded")
    one, two = (load_file(tables.parent / name / WEIGHTS) for name in ("alone", "sharded"))
    for name, tensor in one.items():
        assert torch.allclose(tensor, two[name], atol=1e-4), name
