"""Prepared data by the contract, small enough to train on in a second."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch

from runwright_components.contract.artifacts import (
    PREPROCESSING,
    ROW_ID,
    STATE,
    TARGET,
    Field,
    Lineage,
    PreparedManifest,
    Signature,
    Tensor,
)
from runwright_components.contract.config import SPLITS, ModelConfig, SplitName, TrainConfig
from runwright_components.contract.files import write_json
from runwright_components.contract.progress import Event, Progress

ROWS: dict[SplitName, int] = {"train": 240, "validation": 80, "test": 40}


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> None:
    torch.set_num_threads(1)


def write_prepared(folder: Path, splits: dict[SplitName, pl.DataFrame], signature: Signature, **fields: object) -> Path:
    """A folder of prepared data around the given splits."""
    for name, frame in splits.items():
        (folder / PREPROCESSING).mkdir(parents=True, exist_ok=True)
        frame.with_row_index(ROW_ID).write_parquet(folder / f"{name}.parquet")
    state = fields.pop("state", {})
    write_json(folder / PREPROCESSING / STATE, state)
    PreparedManifest.model_validate(
        {
            "digest": "sha256:0",
            "modality": signature.modality,
            "task": signature.task,
            "rows": {name: len(frame) for name, frame in splits.items()},
            "signature": signature,
            "lineage": Lineage(stage="prepare", config="sha256:1"),
            **fields,
        }
    ).write(folder)
    return folder


def table(rows: int, seed: int, *, regression: bool) -> pl.DataFrame:
    random = np.random.default_rng(seed)
    numbers = random.normal(size=(rows, 3)).astype(np.float32)
    codes = random.integers(1, 5, size=rows).astype(np.int32)
    value = numbers[:, 0] * numbers[:, 1] + np.sin(2 * numbers[:, 2]) + (codes == 2)
    target = value.astype(np.float32) if regression else ((value > 0).astype(np.int32) + (value > 1)).astype(np.int32)
    columns = {f"n:x{index}": numbers[:, index] for index in range(3)}
    return pl.DataFrame({**columns, "c:group": codes, TARGET: target})


def table_signature(*, regression: bool) -> Signature:
    numbers = tuple(Field(name=f"x{index}", type="numeric") for index in range(3))
    return Signature(
        task="regression" if regression else "classification",
        modality="tabular",
        inputs=(*numbers, Field(name="group", type="categorical")),
        labels=() if regression else ("low", "middle", "high"),
        target="y",
        tensors=(
            Tensor(name="numeric", dtype="float32", shape=(None, 3)),
            Tensor(name="categorical", dtype="int64", shape=(None, 1)),
        ),
    )


@pytest.fixture
def tables(tmp_path: Path) -> Path:
    """Prepared table, three classes."""
    splits = {name: table(ROWS[name], seed, regression=False) for seed, name in enumerate(SPLITS)}
    return write_prepared(tmp_path / "prepared", splits, table_signature(regression=False), categories=(5,))


@pytest.fixture
def numbers(tmp_path: Path) -> Path:
    """Prepared table, regression."""
    splits = {name: table(ROWS[name], seed, regression=True) for seed, name in enumerate(SPLITS)}
    return write_prepared(tmp_path / "prepared", splits, table_signature(regression=True), categories=(5,))


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """Prepared images, 3 x 8 x 8: bright on the left or on the right."""

    def split(rows: int, seed: int) -> pl.DataFrame:
        random = np.random.default_rng(seed)
        side = random.integers(0, 2, size=rows).astype(np.int32)
        pixels = random.integers(0, 120, size=(rows, 3, 8, 8)).astype(np.uint8)
        for row, right in enumerate(side):
            pixels[row, :, :, 4 * right : 4 * right + 4] += 100
        return pl.DataFrame({"pixels": [image.tobytes() for image in pixels], TARGET: side})

    signature = Signature(
        task="classification",
        modality="image",
        inputs=(Field(name="image", type="image"),),
        labels=("left", "right"),
        tensors=(Tensor(name="pixels", dtype="float32", shape=(None, 3, 8, 8)),),
    )
    state = {"image": {"mean": [0.4, 0.4, 0.4], "std": [0.2, 0.2, 0.2]}}
    splits = {name: split(ROWS[name] // 2, seed) for seed, name in enumerate(SPLITS)}
    return write_prepared(tmp_path / "prepared", splits, signature, state=state)


def write_texts(folder: Path, rows: dict[SplitName, int]) -> Path:
    """Prepared texts of 3 to 11 tokens: the class is whether the first token is above the middle."""
    signature = Signature(
        task="classification",
        modality="text",
        inputs=(Field(name="text", type="text"),),
        labels=("low", "high"),
        tensors=(
            Tensor(name="input_ids", dtype="int64", shape=(None, None)),
            Tensor(name="attention_mask", dtype="int64", shape=(None, None)),
        ),
    )

    def split(count: int, seed: int) -> pl.DataFrame:
        random = np.random.default_rng(seed)
        tokens = [random.integers(1, 50, size=random.integers(3, 12)).tolist() for _ in range(count)]
        target = np.array([row[0] > 25 for row in tokens], dtype=np.int32)
        return pl.DataFrame({"input_ids": tokens, TARGET: target}, schema_overrides={"input_ids": pl.List(pl.Int32)})

    state = {
        "kind": "text",
        "signature": signature.model_dump(mode="json"),
        "target": {"name": "y", "task": "classification", "keys": ["low", "high"], "labels": ["low", "high"]},
        "text": {
            "column": "text", "max_tokens": 12, "pad": 0, "vocabulary": 50, "special": {"[PAD]": 0}, "source": "trained"
        },
    }  # fmt: skip
    splits = {name: split(rows[name], seed) for seed, name in enumerate(SPLITS)}
    return write_prepared(folder, splits, signature, vocabulary=50, state=state)


@pytest.fixture
def texts(tmp_path: Path) -> Path:
    """Prepared texts, two classes."""
    return write_texts(tmp_path / "prepared", ROWS)


@pytest.fixture
def config() -> TrainConfig:
    """Quick and deterministic; tests change what they are about."""
    return TrainConfig(
        task="classification",
        modality="tabular",
        model=ModelConfig(name="mlp", hidden=(16, 16)),
        batch_size=32,
        epochs=4,
        learning_rate=0.01,
        device="cpu",
    )


@pytest.fixture
def pair(config: TrainConfig) -> TrainConfig:
    """Two processes; the norm is over layers, since ranks would see other batches."""
    model = config.model.model_copy(update={"normalization": "layer", "dropout": 0.0})
    update = {"model": model, "processes": 2, "batch_size": 16, "checkpoint_every_steps": 5}
    return config.model_copy(update=update)


@pytest.fixture
def one_thread_a_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


@pytest.fixture
def events() -> list[Event]:
    return []


@pytest.fixture
def progress(events: list[Event]) -> Progress:
    return Progress("train", sink=events.append, interval=0.0)


Trained = Callable[..., Path]
