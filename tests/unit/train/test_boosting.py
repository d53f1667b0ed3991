"""Boosted trees: what is written, how they end, how they go on, and what the graph says."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import polars as pl
import pytest
import xgboost
from sklearn.metrics import log_loss

from runwright_components.contract.artifacts import HISTORY, ONNX, TARGET, History, ModelManifest, Tensor
from runwright_components.contract.config import EarlyStopping, ModelConfig, TrainConfig
from runwright_components.contract.config.trees import TREE_MODELS, TreesConfig
from runwright_components.contract.files import verify_files
from runwright_components.contract.outcome import ExitCode, Reason, StageError
from runwright_components.contract.progress import Event, Progress, silent
from runwright_components.features import load_split
from runwright_components.train import train
from runwright_components.train.boosting import BOOSTERS, native

from .conftest import ROWS, table_signature, write_prepared

ANY = pytest.mark.parametrize("name", TREE_MODELS)


@pytest.fixture(autouse=True)
def one_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


def trees(name: str, task: str = "classification", **sizes: float) -> TrainConfig:
    """Quick trees that draw rows and columns at random."""
    small = {"rounds": 30, "depth": 3, "leaves": 7, "min_child_rows": 5, "row_fraction": 0.7, "column_fraction": 0.7}
    return TrainConfig.model_validate(
        {
            "task": task,
            "modality": "tabular",
            "model": {"name": name, "trees": TreesConfig.of(name, "classification", **{**small, **sizes})},
            "early_stopping": None,
        }
    )


def run(config: TrainConfig, prepared: Path, name: str = "model", *, resume: bool = False) -> ModelManifest:
    folder = prepared.parent
    return train(
        config,
        prepared=prepared,
        out=folder / name,
        checkpoints=folder / "checkpoints",
        resume=resume,
        progress=silent(),
    )


def served(folder: Path, prepared: Path, split: str = "test") -> tuple[np.ndarray, np.ndarray]:
    """The graph's outputs, and the library's own."""
    inputs = load_split(prepared, split).inputs  # type: ignore[arg-type]
    (outputs,) = onnxruntime.InferenceSession(folder / ONNX).run(None, inputs)
    return outputs, native(folder)(inputs)


def binary(folder: Path, *, numbers: bool = True, categories: bool = True, classes: int = 2) -> Path:
    """Two classes (or as many as wanted), with the inputs that are wanted; a category of many codes decides."""

    def split(rows: int, seed: int) -> pl.DataFrame:
        random = np.random.default_rng(seed)
        number = random.normal(size=rows).astype(np.float32)
        code = random.integers(0, 40, size=rows).astype(np.int32)
        value = number * numbers + (code % 3 - 1) * categories
        target = np.digitize(value, np.linspace(-1, 1, classes + 1)[1:-1]).astype(np.int32)
        columns = {**({"n:number": number} if numbers else {}), **({"c:code": code} if categories else {})}
        return pl.DataFrame({**columns, TARGET: target})

    tensors: list[tuple[str, Any]] = [("numeric", "float32")] * numbers + [("categorical", "int64")] * categories
    signature = table_signature(regression=False).model_copy(
        update={
            "labels": tuple("abcdefgh"[:classes]),
            "tensors": tuple(Tensor(name=name, dtype=dtype, shape=(None, 1)) for name, dtype in tensors),
        }
    )
    splits = {name: split(rows, seed) for seed, (name, rows) in enumerate(ROWS.items())}
    return write_prepared(folder / "prepared", splits, signature, categories=(40,) if categories else ())


@ANY
def test_a_model_is_written_whole(name: str, tables: Path, events: list[Event], progress: Progress) -> None:
    out = tables.parent / "model"
    manifest = train(
        trees(name), prepared=tables, out=out, checkpoints=tables.parent / "c", resume=False, progress=progress
    )
    assert ModelManifest.read(out) == manifest
    assert {*manifest.files} == {BOOSTERS[name], ONNX, HISTORY, "preprocessing/state.json"}
    verify_files(out, manifest.files)
    assert {tensor.name: tensor.shape for tensor in manifest.signature.tensors} == {
        "numeric": (None, 3), "categorical": (None, 1), "logits": (None, 3),
    }  # fmt: skip
    assert manifest.lineage.inputs == {"prepared": "sha256:0"}
    assert manifest.parameters > 100
    assert manifest.cost is not None
    assert manifest.cost.samples == 30 * ROWS["train"]
    history = History.read(out, HISTORY)
    assert [epoch.epoch for epoch in history.epochs] == list(range(1, 31))
    assert history.stopped == "epochs"
    assert manifest.steps == 30
    assert {*history.importance} == {"x0", "x1", "x2", "group"}
    assert sum(history.importance.values()) == pytest.approx(1)
    assert sum(event.kind == "epoch" for event in events) == 30
    last = [event for event in events if event.kind == "progress"][-1]
    assert (last.done, last.total, last.unit) == (30, 30, "rounds")
    assert {"loss", "validation_loss", "accuracy", "eta_seconds"} <= {*last.values}


@ANY
def test_the_graph_says_what_the_library_says_and_the_curve_said(name: str, tables: Path) -> None:
    run(trees(name), tables)
    ours, own = served(tables.parent / "model", tables, "validation")
    np.testing.assert_allclose(ours, own, atol=1e-5)
    chances = np.exp(ours) / np.exp(ours).sum(axis=1, keepdims=True)
    best = min(epoch.validation_loss for epoch in History.read(tables.parent / "model", HISTORY).epochs)
    assert log_loss(load_split(tables, "validation").target, chances) == pytest.approx(best, rel=1e-4)


@ANY
@pytest.mark.parametrize(("numbers", "categories"), [(True, True), (True, False), (False, True)])
def test_two_classes_of_any_inputs(name: str, tmp_path: Path, numbers: bool, categories: bool) -> None:
    prepared = binary(tmp_path, numbers=numbers, categories=categories)
    run(trees(name), prepared)
    ours, own = served(tmp_path / "model", prepared)
    assert ours.shape == (40, 2)
    np.testing.assert_allclose(ours, own, atol=1e-5)
    assert (ours.argmax(axis=1) == load_split(prepared, "test").target).mean() > 0.6


@ANY
def test_a_category_that_training_has_not_seen_has_an_answer(name: str, tmp_path: Path) -> None:
    prepared = binary(tmp_path)
    path = prepared / "train.parquet"
    frame = pl.read_parquet(path)
    frame.filter(~pl.col("c:code").is_in([0, 7, 39])).write_parquet(path)
    run(trees(name), prepared)
    ours, own = served(tmp_path / "model", prepared)
    np.testing.assert_allclose(ours, own, atol=1e-5)


@ANY
def test_regression_learns(name: str, numbers: Path) -> None:
    run(trees(name, "regression", rounds=60, learning_rate=0.2), numbers)
    ours, own = served(numbers.parent / "model", numbers)
    assert ours.shape == (40,)
    np.testing.assert_allclose(ours, own, atol=1e-5)
    assert max(e.validation_metric for e in History.read(numbers.parent / "model", HISTORY).epochs) > 0.3


@ANY
def test_the_same_training_twice_is_the_same_model(name: str, tables: Path) -> None:
    first, second = run(trees(name), tables, "first"), run(trees(name), tables, "second")
    assert first.digest == second.digest
    assert run(trees(name).model_copy(update={"seed": 1}), tables, "third").digest != first.digest


@ANY
def test_it_stops_early_and_keeps_the_best_round(name: str, tables: Path) -> None:
    config = trees(name, rounds=500, learning_rate=0.3).model_copy(update={"early_stopping": EarlyStopping(patience=4)})
    manifest = run(config, tables)
    history = History.read(tables.parent / "model", HISTORY)
    losses = [epoch.validation_loss for epoch in history.epochs]
    assert history.stopped == "early"
    assert manifest.best_epoch == losses.index(min(losses)) + 1 == len(losses) - 4


@ANY
def test_balanced_weights_find_a_rare_class(name: str, tmp_path: Path) -> None:
    prepared = binary(tmp_path)
    for split in ("train", "validation"):
        path = prepared / f"{split}.parquet"
        frame = pl.read_parquet(path)
        rare = frame.filter(pl.col(TARGET) == 1)
        pl.concat([frame.filter(pl.col(TARGET) == 0), rare.head(max(6, len(rare) // 12))]).write_parquet(path)
    found = []
    for weights in ("none", "balanced"):
        run(trees(name).model_copy(update={"class_weights": weights}), prepared, weights)
        found.append((served(tmp_path / weights, prepared)[0].argmax(axis=1) == 1).sum())
    assert found[1] > found[0]


class _Stop(Progress):
    """Sends this process a signal at a round's end."""

    def epoch(self, number: int, values: object) -> None:
        if number == 12:
            os.kill(os.getpid(), signal.SIGTERM)


@ANY
def test_sigterm_keeps_the_state_and_resume_gives_the_same_bits(name: str, tables: Path) -> None:
    straight = run(trees(name), tables, "straight")
    folder = tables.parent
    with pytest.raises(StageError) as stopped:
        train(
            trees(name),
            prepared=tables,
            out=folder / "model",
            checkpoints=folder / "checkpoints",
            resume=False,
            progress=_Stop("train", sink=lambda _event: None),
        )
    assert stopped.value.exit_code is ExitCode.CANCELLED
    assert "after step 12 is kept" in stopped.value.message
    assert not (folder / "model").exists()
    resumed = run(trees(name), tables, resume=True)
    assert resumed.digest == straight.digest
    history, whole = (History.read(folder / name, HISTORY) for name in ("model", "straight"))
    assert history.resumed_from_step == 12
    assert [(e.train_loss, e.validation_loss) for e in history.epochs] == [
        (e.train_loss, e.validation_loss) for e in whole.epochs
    ]


KILLED = """
import os, signal, sys
from pathlib import Path
from runwright_components.contract.config import TrainConfig, parse
from runwright_components.contract.progress import Progress
from runwright_components.train import train

class Killed(Progress):
    def epoch(self, number, values):
        if number == 17:
            os.kill(os.getpid(), signal.SIGKILL)

folder = Path(sys.argv[1])
train(parse(TrainConfig, sys.argv[2]), prepared=folder / "prepared", out=folder / "model",
      checkpoints=folder / "checkpoints", resume=False, progress=Killed("train"))
"""


@pytest.mark.slow
@ANY
def test_sigkill_and_a_damaged_checkpoint_lose_no_bit(name: str, tables: Path) -> None:
    folder = tables.parent
    straight = run(trees(name), tables, "straight")
    config = trees(name).model_copy(update={"checkpoint_every_steps": 5})
    ended = subprocess.run([sys.executable, "-c", KILLED, str(folder), config.canonical()], check=False)
    assert ended.returncode == -signal.SIGKILL
    assert sorted(path.name for path in (folder / "checkpoints").glob("step-*")) == [
        "step-000000010", "step-000000015",
    ]  # fmt: skip
    damaged = folder / "checkpoints" / "step-000000015" / BOOSTERS[name]
    damaged.write_bytes(damaged.read_bytes()[:-9])
    assert run(config, tables, resume=True).digest == straight.digest
    assert History.read(folder / "model", HISTORY).resumed_from_step == 10


def test_a_checkpoint_of_other_trees_is_refused(tables: Path) -> None:
    run(trees("xgboost"), tables, "first")
    with pytest.raises(StageError, match="of another configuration or of other data") as error:
        run(trees("xgboost", depth=4), tables, resume=True)
    assert error.value.reason is Reason.CHECKPOINT_INVALID
    assert "without --resume" in error.value.cure


def test_a_checkpoint_of_another_family_is_damaged_for_this_one(tables: Path) -> None:
    run(trees("xgboost"), tables, "first")
    with pytest.raises(StageError, match="every checkpoint is damaged"):
        run(trees("lightgbm"), tables, resume=True)
    assert run(trees("lightgbm"), tables).best_epoch, "a fresh start removes them"


def test_one_class_is_refused(tmp_path: Path) -> None:
    prepared = binary(tmp_path, classes=2)
    manifest = json.loads((prepared / "manifest.json").read_bytes())
    manifest["signature"]["labels"] = ["a"]
    (prepared / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(StageError, match="has 1 class in the training data; a classifier needs two"):
        run(trees("xgboost"), prepared)


def test_a_class_that_the_labels_do_not_have_is_refused(tmp_path: Path) -> None:
    prepared = binary(tmp_path)
    path = prepared / "validation.parquet"
    pl.read_parquet(path).with_columns(pl.lit(2, dtype=pl.Int32).alias(TARGET)).write_parquet(path)
    with pytest.raises(StageError, match="row 0 of the validation split has the target 2") as error:
        run(trees("lightgbm"), prepared)
    assert "run prepare again" in error.value.cure


def test_too_few_rows_name_the_size_that_does_not_fit(tables: Path) -> None:
    with pytest.raises(StageError, match="240 training rows are too few: a single split needs 400") as error:
        run(trees("lightgbm", min_child_rows=200), tables)
    assert error.value.where == "train.model.trees.minChildRows"
    assert "lower minChildRows (now 200)" in error.value.cure


def test_a_task_that_trees_do_not_do_is_refused(images: Path) -> None:
    config = trees("xgboost").model_copy(update={"modality": "image"})
    with pytest.raises(StageError, match="xgboost does not do image classification"):
        run(config, images)


def test_a_rate_that_diverges_says_which(numbers: Path) -> None:
    path = numbers / "train.parquet"
    huge = pl.read_parquet(path).with_columns((pl.col(TARGET) * 3e38).clip(-3.3e38, 3.3e38).cast(pl.Float32))
    huge.write_parquet(path)
    with pytest.raises(StageError, match="the loss is not a number after round") as error:
        run(trees("xgboost", "regression"), numbers)
    assert error.value.reason is Reason.TRAINING_DIVERGED
    assert "trees.learningRate" in error.value.cure


@ANY
def test_an_altered_booster_is_refused(name: str, tables: Path) -> None:
    run(trees(name), tables)
    path = tables.parent / "model" / BOOSTERS[name]
    path.write_bytes(b"no booster")
    with pytest.raises(StageError, match="the booster cannot be read") as error:
        native(tables.parent / "model")
    assert error.value.reason is Reason.DATA_UNREADABLE


def test_defaults_are_those_of_the_family_and_the_task() -> None:
    assert ModelConfig(name="xgboost").trees is None
    assert TreesConfig.of("xgboost", "regression").depth == 6
    assert TreesConfig.of("lightgbm", "regression", leaves=None, l2=3.0).l2 == 3.0


def test_a_failed_allocation_says_what_to_lower(tables: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise xgboost.core.XGBoostError("std::bad_alloc")

    monkeypatch.setattr(xgboost.Booster, "update", fail)
    with pytest.raises(StageError, match=r"xgboost ran out of memory: std::bad_alloc") as error:
        run(trees("xgboost"), tables)
    assert error.value.reason is Reason.OUT_OF_MEMORY
    assert "trees.bins" in error.value.cure


def test_the_first_checkpoint_of_a_span_stays(tables: Path) -> None:
    update = {"checkpoint_every_steps": 4, "checkpoint_keep": 1, "checkpoint_keep_every": 10}
    run(trees("lightgbm").model_copy(update=update), tables)
    names = sorted(path.name for path in (tables.parent / "checkpoints").glob("step-*"))
    assert names == ["step-000000012", "step-000000020", "step-000000030"]
    state = json.loads((tables.parent / "checkpoints" / names[0] / "state.json").read_bytes())
    assert [*state["layout"]["files"]] == ["booster.txt"], "the pod's mirror reads this"
