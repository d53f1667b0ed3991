"""A small corpus, prepared and trained on once."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import torch

from runwright_components.contract.artifacts import Lineage, RawManifest
from runwright_components.contract.config import EvaluateConfig, ModelConfig, PackageConfig, PrepareConfig, TrainConfig
from runwright_components.contract.evaluation import Evaluation
from runwright_components.contract.progress import silent
from runwright_components.evaluate import evaluate
from runwright_components.package import package
from runwright_components.prepare import prepare
from runwright_components.train import train

CONTEXT = 32
ANIMALS = ("cat", "dog", "owl", "fox", "hen")
PLACES = ("house", "garden", "river", "barn")


def sentences(count: int) -> list[str]:
    """Documents of a simple grammar, each another one."""
    return [
        f"Story {number}. The {ANIMALS[number % 5]} goes to the {PLACES[number % 4]}.\n"
        f"There the {ANIMALS[number % 5]} meets {number % 7 + 2} friends, and all of them sing until the evening.\n"
        for number in range(count)
    ]


def prepare_config(**text: Any) -> PrepareConfig:
    return PrepareConfig.model_validate(
        {
            "modality": "text",
            "task": "generation",
            "target": "",
            "text": {"vocabulary": 300, "max_tokens": CONTEXT, "lowercase": False, **text},
        }
    )


def train_config(**fields: Any) -> TrainConfig:
    model = {"name": "decoder", "width": 32, "depth": 2, "heads": 4, "key_value_heads": 2, "dropout": 0.0}
    return TrainConfig.model_validate(
        {
            "task": "generation",
            "modality": "text",
            "model": ModelConfig.model_validate({**model, "context": CONTEXT, **fields.pop("model", {})}),
            "epochs": 3,
            "batch_size": 8,
            "learning_rate": 0.01,
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


Prepare = Callable[..., Path]


@pytest.fixture
def prepared_of(tmp_path: Path) -> Prepare:
    """`prepared_of(frame, **text)` prepares a frame of documents and gives the folder."""

    def run(frame: pl.DataFrame, config: PrepareConfig | None = None, name: str = "a", **text: Any) -> Path:
        raw = write_raw(tmp_path / f"raw-{name}", frame)
        prepare(config or prepare_config(**text), raw=raw, out=tmp_path / f"prepared-{name}", progress=silent())
        return tmp_path / f"prepared-{name}"

    return run


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Prepared documents of the simple grammar."""
    folder = tmp_path_factory.mktemp("corpus")
    raw = write_raw(folder / "raw", pl.DataFrame({"text": sentences(200), "kind": ["even", "odd"] * 100}))
    prepare(prepare_config(), raw=raw, out=folder / "prepared", progress=silent())
    return folder / "prepared"


@pytest.fixture(scope="session")
def model(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A decoder that has learned the grammar."""
    folder = tmp_path_factory.mktemp("model")
    train(
        train_config(),
        prepared=corpus,
        out=folder / "model",
        checkpoints=folder / "checkpoints",
        resume=False,
        progress=silent(),
    )
    return folder / "model"


@pytest.fixture(scope="session")
def judged(corpus: Path, model: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Evaluation]:
    """The evaluation's folder and document, sliced by `kind`."""
    folder = tmp_path_factory.mktemp("judged") / "evaluation"
    config = EvaluateConfig.model_validate(
        {"task": "generation", "slices": ["kind"], "gate": [{"metric": "bitsPerByte", "max": 3.0}]}
    )
    return folder, evaluate(config, model=model, prepared=corpus, out=folder, progress=silent())


@pytest.fixture(scope="session")
def packaged(
    corpus: Path, model: Path, judged: tuple[Path, Evaluation], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    folder = tmp_path_factory.mktemp("packaged") / "package"
    config = PackageConfig(name="stories")
    package(config, model=model, evaluation=judged[0], prepared=corpus, out=folder, progress=silent())
    return folder
