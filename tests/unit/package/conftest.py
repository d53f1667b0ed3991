"""A real model with its evaluation, made by the real stages on a small table."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from runwright_components.contract.artifacts import Lineage, RawManifest
from runwright_components.contract.config import (
    Bound,
    EvaluateConfig,
    ModelConfig,
    PrepareConfig,
    SplitRules,
    TrainConfig,
)
from runwright_components.contract.progress import silent
from runwright_components.evaluate import evaluate
from runwright_components.prepare import prepare
from runwright_components.train import train


@dataclass(frozen=True)
class Judged:
    """The folders that the package stage reads."""

    prepared: Path
    model: Path
    evaluation: Path


def table(rows: int = 240) -> pl.DataFrame:
    """Flowers of two kinds: a number in text with gaps, a typed number, a category, and a name nobody needs."""
    rng = np.random.default_rng(0)
    kind = rng.integers(0, 2, rows)
    length = rng.normal(4 + 2 * kind, 0.5)
    return pl.DataFrame(
        {
            "length": [f"{value:.2f} cm" if number % 17 else "?" for number, value in enumerate(length)],
            "width": rng.normal(1 + kind, 0.4),
            "colour": rng.choice(["Red", "red ", "BLUE"], rows),
            "kind": np.array(["setosa", "virginica"])[kind],
        }
    )


@pytest.fixture(scope="session")
def judged(tmp_path_factory: pytest.TempPathFactory) -> Judged:
    home = tmp_path_factory.mktemp("judged")
    raw = home / "raw"
    raw.mkdir()
    frame = table()
    frame.write_parquet(raw / "data.parquet")
    RawManifest(
        digest="sha256:raw",
        rows=len(frame),
        columns={name: str(dtype) for name, dtype in frame.schema.items()},
        sources=(),
        files=("data.parquet",),
        lineage=Lineage(stage="collect", config=""),
    ).write(raw)
    prepare(
        PrepareConfig(
            modality="tabular", task="classification", target="kind", split=SplitRules(strategy="stratified")
        ),
        raw=raw,
        out=home / "prepared",
        progress=silent(),
    )
    train(
        TrainConfig(
            task="classification",
            modality="tabular",
            model=ModelConfig(name="mlp", hidden=(16,)),
            epochs=3,
            learning_rate=0.02,
            device="cpu",
        ),
        prepared=home / "prepared",
        out=home / "model",
        checkpoints=home / "checkpoints",
        resume=False,
        progress=silent(),
    )
    evaluate(
        EvaluateConfig(
            task="classification", slices=("colour",), gate=(Bound(metric="accuracy", min=0.5),), latency_requests=20
        ),
        model=home / "model",
        prepared=home / "prepared",
        out=home / "evaluation",
        progress=silent(),
    )
    return Judged(home / "prepared", home / "model", home / "evaluation")
