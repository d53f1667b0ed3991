"""Rows that are read step by step: the same model as rows in memory, and each process reads its own alone."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from torch import Tensor

from runwright_components.contract.artifacts import WEIGHTS
from runwright_components.contract.config import DistributedConfig, ModelConfig, TrainConfig
from runwright_components.contract.outcome import Reason, StageError
from runwright_components.contract.progress import silent
from runwright_components.models import Shape, shape_of
from runwright_components.train import memory, streaming, train
from runwright_components.train.data import BatchPlan, read_split
from runwright_components.train.ranks import Ranks

CPU = torch.device("cpu")
MODELS = {
    "tables": ("tabular", ModelConfig(name="mlp", hidden=(16,))),
    "images": ("image", ModelConfig(name="cnn", width=4)),
    "texts": ("text", ModelConfig(name="textcnn", width=8)),
}


def fitting(config: TrainConfig, kind: str, **distributed: object) -> TrainConfig:
    modality, model = MODELS[kind]
    asked = DistributedConfig.model_validate(distributed)
    return config.model_copy(update={"modality": modality, "model": model, "epochs": 2, "distributed": asked})


@pytest.mark.parametrize("kind", sorted(MODELS))
def test_streamed_rows_make_the_same_model(
    kind: str, config: TrainConfig, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streaming, "PART_ROWS", 50)  # several parts, whose longest texts differ
    prepared: Path = request.getfixturevalue(kind)
    for loading in ("memory", "stream"):
        train(
            fitting(config, kind, loading=loading),
            prepared=prepared,
            out=prepared.parent / loading,
            checkpoints=prepared.parent / f"{loading}.checkpoints",
            resume=False,
            progress=silent(),
        )
    weights = [(prepared.parent / loading / WEIGHTS).read_bytes() for loading in ("memory", "stream")]
    assert weights[0] == weights[1]


@pytest.mark.parametrize("kind", sorted(MODELS))
def test_every_batch_is_the_one_of_a_split_in_memory(
    kind: str, config: TrainConfig, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    prepared: Path = request.getfixturevalue(kind)
    shape, ranks = shape_of(prepared), Ranks(0, 1, CPU)
    streamed, validation = streaming.open_splits(prepared, fitting(config, kind), shape, ranks, beside=tmp_path)
    whole = read_split(prepared, "train", "classification", shape.classes, CPU)
    plan = BatchPlan(len(whole), batch_size=16, world=2, accumulate=2, seed=0)
    order = plan.order(0)
    streamed.start(0, plan.upcoming(order, 1, 1))
    for step in range(1, plan.steps):
        for rows, _ in plan.micro_batches(order, step, 1):
            torch.testing.assert_close(streamed.take(rows), whole.take(rows), rtol=0, atol=0)
    assert len(validation) == len(read_split(prepared, "validation", "classification", shape.classes, CPU))


def test_rows_that_were_not_announced_are_read_all_the_same(tables: Path, config: TrainConfig, tmp_path: Path) -> None:
    streamed, _ = streaming.open_splits(tables, config, shape_of(tables), Ranks(0, 1, CPU), beside=tmp_path)
    streamed.start(0, iter([torch.tensor([0, 1])]))
    _, target = streamed.take(torch.tensor([5]))
    _, first = streamed.take(torch.tensor([0, 1]))
    assert target.tolist() == streamed.target[5:6].tolist()  # type: ignore[attr-defined]
    assert first.tolist() == streamed.target[:2].tolist()  # type: ignore[attr-defined]


def test_the_files_are_written_once(tables: Path, config: TrainConfig, tmp_path: Path) -> None:
    def opened(local: int) -> set[tuple[Path, int]]:
        streaming.open_splits(tables, config, shape_of(tables), Ranks(local, 2, CPU, local=local), beside=tmp_path)
        return {(path, path.stat().st_mtime_ns) for path in tmp_path.rglob("*.npy")}

    assert opened(0) == opened(1)


def test_reading_ahead_is_bounded_and_tells_what_went_wrong() -> None:
    read: list[int] = []

    def reading(rows: Tensor) -> streaming.Batch:
        read.append(int(rows[0]))
        if int(rows[0]) == 1:
            raise OSError("the disk is gone")
        return {}, rows

    def upcoming() -> Iterator[Tensor]:
        for number in range(100):
            yield torch.tensor([number])

    ahead = streaming.ReadAhead(reading, upcoming())
    assert ahead.take(torch.tensor([0]))[1].tolist() == [0]
    with pytest.raises(OSError, match="the disk is gone"):
        ahead.take(torch.tensor([1]))
    ahead.close()
    assert len(read) <= streaming.AHEAD + 2


def test_a_target_that_is_no_class_is_named_with_its_row(
    tables: Path, config: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streaming, "PART_ROWS", 50)
    path = tables / "train.parquet"
    frame = pl.read_parquet(path)
    target = frame["target"].to_numpy().copy()
    target[120] = 7
    frame.with_columns(pl.Series("target", target)).write_parquet(path)
    with pytest.raises(StageError, match="row 120 of the train split has the target 7") as caught:
        streaming.open_splits(tables, config, shape_of(tables), Ranks(0, 1, CPU), beside=tmp_path)
    assert caught.value.reason is Reason.DATA_INVALID
    assert not list(tmp_path.rglob("*.npy"))


# -------------------------------------------------------- by size


@pytest.mark.parametrize(("loading", "expected"), [("memory", False), ("stream", True), ("auto", False)])
def test_small_rows_are_held_in_memory_unless_asked_otherwise(
    loading: str, expected: bool, tables: Path, config: TrainConfig
) -> None:
    asked = fitting(config, "tables", loading=loading)
    assert streaming.is_streamed(asked, tables, shape_of(tables), Ranks(0, 1, CPU)) is expected


def test_rows_that_fill_a_quarter_of_the_memory_are_streamed(
    tables: Path, config: TrainConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    shape = shape_of(tables)
    size = (240 + 80) * streaming.row_bytes(shape)
    for available, expected in ((4 * size, False), (4 * size - 4, True)):
        monkeypatch.setattr(streaming, "available", lambda _ranks, available=available: available)
        assert streaming.is_streamed(config, tables, shape, Ranks(0, 1, CPU)) is expected


def test_a_row_takes_what_its_tensors_take() -> None:
    assert streaming.row_bytes(Shape("classification", "tabular", 2, numeric=3, categories=(5, 7))) == 12 + 16 + 8
    assert streaming.row_bytes(Shape("classification", "text", 2, max_tokens=100)) == 1600 + 8
    assert streaming.row_bytes(Shape("classification", "image", 2, image=(3, 8, 8))) == 192 + 8


def test_a_containers_limit_counts_as_its_memory(tmp_path: Path) -> None:
    limit = tmp_path / "memory.max"
    limit.write_text("1048576\n")
    assert memory.host_bytes(limit) == 2**20
    limit.write_text("max\n")
    assert memory.host_bytes(limit) == memory.host_bytes(tmp_path / "none") > 2**20
    share = memory.available(Ranks(0, 2, CPU, neighbours=2))
    assert share == memory.host_bytes() // 2


def test_arrays_are_stored_narrow() -> None:
    part = streaming.Split(
        {"input_ids": np.array([[1, 2]]), "attention_mask": np.array([[1, 1]])}, np.array([0]), np.array([0])
    )
    arrays = streaming._arrays(part, 4, 9)
    assert arrays["input_ids"].tolist() == [[1, 2, 9, 9]]
    assert arrays["attention_mask"].tolist() == [[1, 1, 0, 0]]
    assert arrays["lengths"].tolist() == [2]
    assert {str(array.dtype) for array in arrays.values()} == {"int32"}
