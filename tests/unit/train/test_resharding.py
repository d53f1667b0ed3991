"""Checkpoints of several real processes, taken up by as many, fewer and more."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from runwright_components.contract.artifacts import WEIGHTS, ModelManifest
from runwright_components.contract.config import DistributedConfig, TrainConfig
from runwright_components.contract.outcome import Reason, StageError
from runwright_components.train.checkpoints import STATE
from runwright_components.train.shards import shard_name
from tests.unit.train.conftest import ROWS
from tests.unit.train.several import OnStep, run, stop

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("one_thread_a_worker")]


@pytest.fixture
def sharded(pair: TrainConfig) -> TrainConfig:
    update = {"epochs": 12, "early_stopping": None, "distributed": DistributedConfig(strategy="fsdp")}
    return pair.model_copy(update=update)


def newest(folder: Path) -> Path:
    return max(folder.glob("step-*"))


def damage(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def test_a_sharded_training_stops_and_goes_on_with_any_number_of_processes(sharded: TrainConfig, tables: Path) -> None:
    straight = run(sharded, tables, "straight")
    with pytest.raises(StageError, match="asked to stop; its state after step"):
        run(sharded, tables, "model", progress=OnStep(42, stop))

    kept = tables.parent / "model.checkpoints"
    layout = json.loads((newest(kept) / STATE).read_text())["layout"]
    assert {path.name for path in newest(kept).iterdir()} == {STATE, shard_name(0), shard_name(1)}
    assert {*layout["files"]} == {shard_name(0), shard_name(1)}
    parts = next(one["chunks"] for name, one in layout["tensors"].items() if name.startswith("optimizer/"))
    assert [part["file"] for part in parts] == [shard_name(0), shard_name(1)]

    for name, update in {
        "two": {},
        "damaged": {},
        "one": {"processes": 1, "distributed": DistributedConfig()},
        "four": {"processes": 4},
        "replicas": {"distributed": DistributedConfig(strategy="ddp")},
    }.items():
        copy = shutil.copytree(kept, tables.parent / f"{name}.checkpoints")
        if name == "damaged":
            damage(newest(copy) / shard_name(1))
        listener = OnStep(10_000, lambda: None)
        curve = run(sharded.model_copy(update=update), tables, name, resume=True, progress=listener)
        warnings = [line for line in listener.told if "damaged" in line]
        assert [f"{shard_name(1)} was altered" in line for line in warnings] == [True] * (name == "damaged")
        if name in ("two", "damaged"):
            assert curve == straight
            weights = [(tables.parent / each / WEIGHTS).read_bytes() for each in (name, "straight")]
            assert weights[0] == weights[1]
        else:
            np.testing.assert_allclose(curve, straight, rtol=1e-4)
        said = next(line for line in listener.told if "continuing after step" in line)
        world = update.get("processes", 2)
        assert (f"with {world} processes in place of 2: each step takes the same rows" in said) == (world != 2)
    cost = ModelManifest.read(tables.parent / "two").cost
    assert cost is not None
    assert cost.restarts == 1
    assert cost.samples >= sharded.epochs * ROWS["train"]


def test_replicas_go_on_with_three_processes(pair: TrainConfig, tables: Path) -> None:
    """96 rows a step, as four processes of 24 would take them, go to three as 32 each."""
    four = pair.model_copy(update={"processes": 4, "batch_size": 24, "epochs": 12, "early_stopping": None})
    straight = run(four, tables, "straight")
    with pytest.raises(StageError, match="asked to stop"):
        run(four, tables, "model", progress=OnStep(16, stop))
    three = run(four.model_copy(update={"processes": 3}), tables, "model", resume=True)
    np.testing.assert_allclose(three, straight, rtol=1e-4)


def test_too_many_processes_for_the_rows_are_refused(pair: TrainConfig, tables: Path) -> None:
    with pytest.raises(StageError, match="240 training rows are too few for 2 processes with 200") as caught:
        run(pair.model_copy(update={"accumulate": 200, "batch_size": 1}), tables, "model")
    assert caught.value.reason is Reason.DATA_INVALID
