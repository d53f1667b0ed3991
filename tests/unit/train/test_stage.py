"""The train stage in one process: what it writes, how it ends, how it goes on."""

import json
import os
import signal
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from safetensors.torch import load_file

from runwright_components.contract.artifacts import HISTORY, ONNX, WEIGHTS, History, ModelManifest
from runwright_components.contract.config import AugmentConfig, EarlyStopping, ModelConfig, TrainConfig
from runwright_components.contract.files import verify_files
from runwright_components.contract.outcome import ExitCode, Reason, StageError
from runwright_components.contract.progress import Event, Progress, silent
from runwright_components.features import load_split
from runwright_components.models import load_model
from runwright_components.train import train
from runwright_components.train.shards import shard_name


def run(config: TrainConfig, prepared: Path, name: str = "model", *, resume: bool = False) -> ModelManifest:
    folder = prepared.parent
    return train(
        config,
        prepared=prepared,
        out=folder / name,
        checkpoints=folder / f"{name}.checkpoints",
        resume=resume,
        progress=silent(),
    )


def losses(folder: Path) -> list[tuple[float, float, float]]:
    epochs = History.read(folder, HISTORY).epochs
    return [(epoch.train_loss, epoch.validation_loss, epoch.validation_metric) for epoch in epochs]


def test_a_model_is_written_whole(config: TrainConfig, tables: Path, progress: Progress, events: list[Event]) -> None:
    out = tables.parent / "model"
    manifest = train(
        config, prepared=tables, out=out, checkpoints=tables.parent / "checkpoints", resume=False, progress=progress
    )
    assert ModelManifest.read(out) == manifest
    assert {*manifest.files} == {WEIGHTS, ONNX, HISTORY, "preprocessing/state.json"}
    verify_files(out, manifest.files)
    assert {tensor.name for tensor in manifest.signature.tensors} == {"numeric", "categorical", "logits"}
    assert manifest.lineage.inputs == {"prepared": "sha256:0"}
    assert manifest.lineage.parents[0].stage == "prepare"
    history = History.read(out, HISTORY)
    assert [epoch.epoch for epoch in history.epochs] == [1, 2, 3, 4]
    assert history.stopped == "epochs"
    assert manifest.steps == history.epochs[-1].step == 4 * 8

    steps = [event for event in events if event.kind == "progress"]
    assert (steps[-1].done, steps[-1].total, steps[-1].unit) == (32, 32, "steps")
    assert {"loss", "samples_per_second", "eta_seconds", "accuracy"} <= {*steps[-1].values}

    split = load_split(tables, "validation")
    module = load_model(out)
    with torch.no_grad():
        logits = module(**{name: torch.from_numpy(array) for name, array in split.inputs.items()}).numpy()
    (served,) = onnxruntime.InferenceSession(out / ONNX).run(["logits"], split.inputs)
    np.testing.assert_allclose(served, logits, atol=1e-5)
    best = min(epoch.validation_loss for epoch in history.epochs)
    exact = torch.nn.functional.cross_entropy(torch.from_numpy(logits), torch.from_numpy(split.target).long())
    assert exact.item() == pytest.approx(best, rel=1e-5)


def test_the_same_training_twice_is_the_same_model(config: TrainConfig, tables: Path) -> None:
    first, second = run(config, tables, "first"), run(config, tables, "second")
    assert first.digest == second.digest
    for name in (WEIGHTS, ONNX):
        assert (tables.parent / "first" / name).read_bytes() == (tables.parent / "second" / name).read_bytes()


def test_another_seed_is_another_model(config: TrainConfig, tables: Path) -> None:
    short = config.model_copy(update={"epochs": 1})
    assert run(short, tables, "first").digest != run(short.model_copy(update={"seed": 1}), tables, "second").digest


def test_regression_learns(config: TrainConfig, numbers: Path) -> None:
    run(config.model_copy(update={"task": "regression", "epochs": 15}), numbers)
    history = History.read(numbers.parent / "model", HISTORY)
    assert max(epoch.validation_metric for epoch in history.epochs) > 0.3


@pytest.mark.parametrize("name", ["cnn", "resnet"])
def test_images_learn_with_augmentation(config: TrainConfig, images: Path, name: str) -> None:
    model = ModelConfig.model_validate({"name": name, "width": 4, "depth": 1})
    update = {"modality": "image", "model": model, "augment": AugmentConfig(crop=True), "epochs": 6}
    run(config.model_copy(update=update), images)
    assert losses(images.parent / "model")[-1][0] < losses(images.parent / "model")[0][0]


def test_training_stops_early_and_keeps_the_best(config: TrainConfig, tables: Path) -> None:
    update = {"epochs": 100, "learning_rate": 0.05, "early_stopping": EarlyStopping(patience=3), "schedule": "constant"}
    manifest = run(config.model_copy(update=update), tables)
    history = History.read(tables.parent / "model", HISTORY)
    validation = [epoch.validation_loss for epoch in history.epochs]
    assert history.stopped == "early"
    assert len(history.epochs) < 100
    assert history.best_epoch == manifest.best_epoch == validation.index(min(validation)) + 1
    assert len(history.epochs) == history.best_epoch + 3


def test_steps_are_bounded_in_the_middle_of_an_epoch(config: TrainConfig, tables: Path) -> None:
    assert run(config.model_copy(update={"max_steps": 11}), tables).steps == 11
    history = History.read(tables.parent / "model", HISTORY)
    assert (history.stopped, [epoch.step for epoch in history.epochs]) == ("steps", [8, 11])


def test_micro_batches_follow_the_curve_of_whole_batches(config: TrainConfig, tables: Path) -> None:
    model = config.model.model_copy(update={"normalization": "layer", "dropout": 0.0})
    whole = config.model_copy(update={"model": model})
    run(whole, tables, "whole")
    run(whole.model_copy(update={"batch_size": 8, "accumulate": 4}), tables, "parts")
    np.testing.assert_allclose(losses(tables.parent / "parts"), losses(tables.parent / "whole"), atol=1e-4)


def test_balanced_weights_and_smoothing_train(config: TrainConfig, tables: Path) -> None:
    run(config.model_copy(update={"class_weights": "balanced", "label_smoothing": 0.1}), tables)
    assert losses(tables.parent / "model")[-1][1] < losses(tables.parent / "model")[0][1]


class StopAt(Progress):
    """A listener that sends this process a signal once training has come to a step."""

    def __init__(self, step: int, number: signal.Signals) -> None:
        super().__init__("train", sink=self._listen, interval=0.0)
        self._step, self._number, self._sent = step, number, False

    def _listen(self, event: Event) -> None:
        if event.kind == "progress" and (event.done or 0) >= self._step and not self._sent:
            self._sent = True
            os.kill(os.getpid(), self._number)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stopped_training_goes_on_bit_by_bit(config: TrainConfig, tables: Path, number: signal.Signals) -> None:
    run(config, tables, "straight")
    out, checkpoints = tables.parent / "model", tables.parent / "model.checkpoints"
    handlers = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    with pytest.raises(StageError, match="asked to stop; its state after step") as caught:
        train(config, prepared=tables, out=out, checkpoints=checkpoints, resume=False, progress=StopAt(9, number))
    assert caught.value.exit_code is ExitCode.CANCELLED
    assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == handlers
    assert not out.exists()
    run(config, tables, resume=True)
    assert History.read(out, HISTORY).resumed_from_step > 8
    assert losses(out) == losses(tables.parent / "straight")
    assert (out / WEIGHTS).read_bytes() == (tables.parent / "straight" / WEIGHTS).read_bytes()


def test_resuming_a_finished_training_writes_the_same_model(config: TrainConfig, tables: Path) -> None:
    first = run(config, tables)
    again = train(
        config,
        prepared=tables,
        out=tables.parent / "again",
        checkpoints=tables.parent / "model.checkpoints",
        resume=True,
        progress=silent(),
    )
    assert again.digest == first.digest


def test_resuming_with_another_configuration_is_refused(config: TrainConfig, tables: Path) -> None:
    run(config, tables)
    with pytest.raises(StageError, match="another configuration") as caught:
        run(config.model_copy(update={"learning_rate": 0.5}), tables, resume=True)
    assert caught.value.reason is Reason.CHECKPOINT_INVALID


def test_resuming_with_other_data_is_refused(config: TrainConfig, tables: Path) -> None:
    run(config, tables)
    path = tables / "manifest.json"
    path.write_text(path.read_text().replace("sha256:0", "sha256:9"))
    with pytest.raises(StageError, match="other data"):
        run(config, tables, resume=True)


def test_a_loss_that_is_no_number_names_the_cure_and_keeps_the_last_good_checkpoint(
    config: TrainConfig, numbers: Path
) -> None:
    update = {
        "task": "regression",
        "learning_rate": 1e4,
        "optimizer": "sgd",
        "gradient_clip": None,
        "schedule": "constant",
        "model": config.model.model_copy(update={"normalization": "none"}),
        "checkpoint_every_steps": 1,
    }
    with pytest.raises(StageError, match="not a number") as caught:
        run(config.model_copy(update=update), numbers)
    assert caught.value.reason is Reason.TRAINING_DIVERGED
    assert "learningRate" in caught.value.cure
    assert not (numbers.parent / "model").exists()
    kept = sorted((numbers.parent / "model.checkpoints").glob("step-*"))
    for path in kept:
        for name, tensor in load_file(path / shard_name(0)).items():
            if name.startswith("model/"):
                assert torch.isfinite(tensor).all(), (path, name)


@pytest.mark.parametrize("split", ["train", "validation"])
def test_targets_that_no_class_has_are_refused_with_the_row(config: TrainConfig, tables: Path, split: str) -> None:
    import polars as pl

    path = tables / f"{split}.parquet"
    frame = pl.read_parquet(path)
    frame.with_columns(target=pl.when(pl.col("row_id") == 3).then(7).otherwise("target").cast(pl.Int32)).write_parquet(
        path
    )
    with pytest.raises(StageError, match=f"row 3 of the {split} split has the target 7") as caught:
        run(config, tables)
    assert caught.value.reason is Reason.DATA_INVALID
    assert not (tables.parent / "model").exists()


def test_batches_of_one_row_cannot_be_normalized(config: TrainConfig, tables: Path) -> None:
    with pytest.raises(StageError, match="cannot be normalized") as caught:
        run(config.model_copy(update={"batch_size": 1}), tables)
    assert caught.value.where == "train.batchSize"


def test_too_few_rows_are_refused(config: TrainConfig, tables: Path) -> None:
    with pytest.raises(StageError, match="240 training rows are too few") as caught:
        run(config.model_copy(update={"accumulate": 200, "batch_size": 2}), tables)
    assert caught.value.reason is Reason.DATA_INVALID


def test_fp16_on_a_cpu_is_refused_and_bf16_trains(config: TrainConfig, tables: Path) -> None:
    with pytest.raises(StageError, match="fp16 needs a GPU"):
        run(config.model_copy(update={"precision": "fp16"}), tables)
    assert run(config.model_copy(update={"precision": "bf16", "epochs": 1}), tables).precision == "bf16"


def test_without_validation_rows_training_stands_in(config: TrainConfig, tables: Path) -> None:
    import polars as pl

    pl.read_parquet(tables / "validation.parquet").clear().write_parquet(tables / "validation.parquet")
    run(config.model_copy(update={"epochs": 1}), tables)
    assert losses(tables.parent / "model")[0][1] > 0


def test_a_missing_manifest_says_so(config: TrainConfig, tables: Path) -> None:
    (tables / "manifest.json").unlink()
    with pytest.raises(StageError, match=r"manifest\.json is missing"):
        run(config, tables)


def test_altered_weights_do_not_load(config: TrainConfig, tables: Path) -> None:
    run(config.model_copy(update={"epochs": 1}), tables)
    path = tables.parent / "model" / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["model"]["hidden"] = [16, 17]
    path.write_text(json.dumps(manifest))
    with pytest.raises(StageError, match="do not fit"):
        load_model(path.parent)
