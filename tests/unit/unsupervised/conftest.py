"""A small table with two groups of rows, a few that belong to neither, and a label that no model may see."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch

from runwright_components.contract.artifacts import Lineage, ModelManifest, RawManifest
from runwright_components.contract.config import (
    EvaluateConfig,
    ModelConfig,
    PrepareConfig,
    TaskKind,
    TrainConfig,
    UnsupervisedConfig,
)
from runwright_components.contract.evaluation import Evaluation
from runwright_components.contract.progress import silent
from runwright_components.evaluate import evaluate
from runwright_components.prepare import prepare
from runwright_components.train import train


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> None:
    torch.set_num_threads(1)


@dataclass(frozen=True)
class Made:
    """The folders of one run, and what its evaluation says."""

    prepared: Path
    model: Path
    evaluation: Path

    @property
    def judged(self) -> Evaluation:
        return Evaluation.read(self.evaluation, "evaluation.json")

    @property
    def manifest(self) -> ModelManifest:
        return ModelManifest.read(self.model)


def table(rows: int = 240) -> pl.DataFrame:
    """Three correlated numbers and a colour by group; each 15th row breaks the correlation and is labelled odd."""
    rng = np.random.default_rng(0)
    group = rng.integers(0, 2, rows)
    first = rng.normal(6.0 * group, 0.5)
    odd = np.arange(rows) % 15 == 0
    second = np.where(odd, first + rng.choice([-6, 6], rows), first + rng.normal(0, 0.1, rows))
    label = np.where(odd, "odd", np.array(["left", "right"])[group])
    return pl.DataFrame(
        {
            "first": first,
            "second": second,
            "third": first - second + rng.normal(0, 0.1, rows),
            "colour": np.array(["red", "blue"])[group],
            "kind": pl.Series(label),
            "state": np.where(odd, "odd", "usual"),
        }
    )


def write_raw(frame: pl.DataFrame, folder: Path) -> Path:
    folder.mkdir()
    frame.write_parquet(folder / "data.parquet")
    RawManifest(
        digest="sha256:raw",
        rows=len(frame),
        columns={name: str(dtype) for name, dtype in frame.schema.items()},
        sources=(),
        files=("data.parquet",),
        lineage=Lineage(stage="collect", config=""),
    ).write(folder)
    return folder


def prepare_table(frame: pl.DataFrame, home: Path, task: TaskKind, target: str) -> Path:
    """`frame` prepared for `task` in `home`, with the columns `kind` and `state` left out unless they judge."""
    kept = frame.drop([name for name in ("kind", "state") if name != target and name in frame.columns])
    raw = write_raw(kept, home / "raw")
    config = PrepareConfig(modality="tabular", task=task, target=target)
    prepare(config, raw=raw, out=home / "prepared", progress=silent())
    return home / "prepared"


def train_config(name: str, task: TaskKind, **sizes: float | None) -> TrainConfig:
    chosen = {"dimension": 2 if task == "embedding" else 1, "trees": 25, "rows": 64, "most_clusters": 4} | sizes
    settings = UnsupervisedConfig.model_validate(chosen)
    model = ModelConfig.model_validate({"name": name, "hidden": (16,), "dropout": 0.0, "unsupervised": settings})
    return TrainConfig(task=task, modality="tabular", model=model, epochs=40, learning_rate=0.01, device="cpu")


def make(frame: pl.DataFrame, home: Path, config: TrainConfig, target: str) -> Made:
    """The run of `config` on `frame`, from raw rows to the evaluation."""
    home.mkdir(exist_ok=True)
    prepared = prepare_table(frame, home, config.task, target)
    folders = Made(prepared, home / "model", home / "evaluation")
    train(
        config,
        prepared=prepared,
        out=folders.model,
        checkpoints=home / "checkpoints",
        resume=False,
        progress=silent(),
    )
    evaluate(
        EvaluateConfig(task=config.task, latency_requests=20),
        model=folders.model,
        prepared=prepared,
        out=folders.evaluation,
        progress=silent(),
    )
    return folders


def target_of(name: str, task: TaskKind) -> str:
    if name == "kmeans":
        return ""
    return "state" if task == "anomaly" else "kind"


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, TaskKind], Made]:
    """Each model on the table, judged by its label, k-means without one; made once."""
    kept: dict[tuple[str, str], Made] = {}

    def of(name: str, task: TaskKind) -> Made:
        if (name, task) not in kept:
            home = tmp_path_factory.mktemp(f"{name}-{task}")
            config = train_config(name, task, contamination=0.06)
            kept[name, task] = make(table(), home, config, target_of(name, task))
        return kept[name, task]

    return of
