"""Small series with a daily rhythm, prepared and learned once."""

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch

from runwright_components.contract.artifacts import Lineage, RawManifest
from runwright_components.contract.config import EvaluateConfig, PackageConfig, PrepareConfig, TrainConfig
from runwright_components.contract.evaluation import Evaluation
from runwright_components.contract.progress import silent
from runwright_components.evaluate import evaluate
from runwright_components.package import package
from runwright_components.prepare import prepare
from runwright_components.train import train

CONTEXT, HORIZON, DAY = 16, 4, 8
START = datetime(2024, 1, 1)

Prepare = Callable[..., Path]


def table(steps: int = 160, shops: tuple[str, ...] = ("north", "south")) -> pl.DataFrame:
    """Three-hourly sales of shops of very different size: a day's rhythm, a slow trend and noise."""
    random = np.random.default_rng(0)
    parts = []
    for number, shop in enumerate(shops):
        place = np.arange(steps)
        wave = np.sin(2 * np.pi * place / DAY + number) + 0.01 * place + random.normal(0, 0.1, steps)
        stamps = [START + timedelta(hours=3 * int(step)) for step in place]
        parts.append(pl.DataFrame({"time": stamps, "shop": [shop] * steps, "sales": (5 + wave) * 10.0 ** (3 * number)}))
    return pl.concat(parts).with_columns(pl.col("time").dt.strftime("%Y-%m-%d %H:%M"))


def prepare_config(**fields: Any) -> PrepareConfig:
    series = {"time": "time", "by": ["shop"], "horizon": HORIZON, "context": CONTEXT, **fields.pop("series", {})}
    return PrepareConfig.model_validate(
        {
            "modality": "series",
            "task": "forecasting",
            "target": "sales",
            "series": series,
            "split": {"strategy": "time", "by": "time"},
            **fields,
        }
    )


def train_config(**fields: Any) -> TrainConfig:
    model = {"name": "nhits", "hidden": (32,), "depth": 2, "dropout": 0.0, **fields.pop("model", {})}
    return TrainConfig.model_validate(
        {
            "task": "forecasting",
            "modality": "series",
            "model": model,
            "epochs": 15,
            "batch_size": 16,
            "learning_rate": 0.02,
            "device": "cpu",
            **fields,
        }
    )


def write_raw(folder: Path, frame: pl.DataFrame) -> Path:
    folder.mkdir(parents=True)
    frame.write_parquet(folder / "0.parquet")
    RawManifest(
        digest="sha256:raw",
        rows=len(frame),
        columns={column: str(dtype) for column, dtype in frame.schema.items()},
        sources=(),
        files=("0.parquet",),
        lineage=Lineage(stage="collect", config="", inputs={}),
    ).write(folder)
    return folder


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture
def prepared_of(tmp_path: Path) -> Prepare:
    """`prepared_of(frame, **fields)` prepares a table of series and gives the folder."""

    def run(frame: pl.DataFrame, **fields: Any) -> Path:
        raw = write_raw(tmp_path / "raw", frame)
        prepare(prepare_config(**fields), raw=raw, out=tmp_path / "prepared", progress=silent())
        return tmp_path / "prepared"

    return run


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("series")
    prepare(prepare_config(), raw=write_raw(folder / "raw", table()), out=folder / "prepared", progress=silent())
    return folder / "prepared"


@pytest.fixture(scope="session")
def model(prepared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    train(
        train_config(),
        prepared=prepared,
        out=folder / "model",
        checkpoints=folder / "checkpoints",
        resume=False,
        progress=silent(),
    )
    return folder / "model"


@pytest.fixture(scope="session")
def judged(prepared: Path, model: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Evaluation]:
    """The evaluation's folder and document, sliced by `shop`."""
    folder = tmp_path_factory.mktemp("judged") / "evaluation"
    config = EvaluateConfig.model_validate(
        {
            "task": "forecasting",
            "slices": ["shop"],
            "gate": [{"metric": "skill", "min": 0.0}],
            "latency_requests": 5,
            "throughput_batch": 4,
        }
    )
    return folder, evaluate(config, model=model, prepared=prepared, out=folder, progress=silent())


@pytest.fixture(scope="session")
def packaged(
    prepared: Path, model: Path, judged: tuple[Path, Evaluation], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    folder = tmp_path_factory.mktemp("packaged") / "package"
    package(
        PackageConfig(name="sales"),
        model=model,
        evaluation=judged[0],
        prepared=prepared,
        out=folder,
        progress=silent(),
    )
    return folder
