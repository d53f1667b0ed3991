"""Prepared tables, made by the real stage, and user code as people write it."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from runwright_components.contract.artifacts import Lineage, ModelManifest, RawManifest
from runwright_components.contract.config import CodeConfig, ModelConfig, PrepareConfig, SplitRules, TrainConfig
from runwright_components.contract.progress import Event, Progress, silent
from runwright_components.prepare import prepare
from runwright_components.train import train

LINEAR = '''
"""A linear model by least squares, exported by hand."""

import json
import os
from pathlib import Path

import numpy as np
import onnx
import polars as pl
from onnx import TensorProto, helper, numpy_helper

data = Path(os.environ["RUNWRIGHT_DATA"])
schema = json.loads((data / "schema.json").read_text())
numeric = next(one for one in schema["inputs"] if one["name"] == "numeric")


def inputs(split):
    return pl.read_parquet(data / f"{split}.parquet").select(numeric["columns"]).to_numpy()


def target(split):
    value = pl.read_parquet(data / f"{split}.parquet")["target"].to_numpy()
    return np.eye(len(schema["labels"]))[value] if schema["labels"] else value[:, None]


def fit():
    ones = lambda x: np.hstack([x, np.ones((len(x), 1))])
    weights, *_ = np.linalg.lstsq(ones(inputs("train")), target("train"), rcond=None)
    return weights[:-1].astype(np.float32), weights[-1].astype(np.float32)


def graph(weights, bias, name=None, source="numeric", batch="rows"):
    """Output [N, K] named `logits`, or [N, 1] named `value`."""
    name = name or schema["output"]["name"]
    nodes = [
        helper.make_node("MatMul", [source, "weights"], ["product"]),
        helper.make_node("Add", ["product", "bias"], [name]),
    ]
    values = [
        helper.make_tensor_value_info(source, TensorProto.FLOAT, [batch, weights.shape[0]]),
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [batch, weights.shape[1]]),
    ]
    constants = [numpy_helper.from_array(weights, "weights"), numpy_helper.from_array(bias, "bias")]
    made = helper.make_graph(nodes, "linear", values[:1], values[1:], constants)
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)


def save(model, name="model.onnx"):
    onnx.save(model, Path(os.environ["RUNWRIGHT_MODEL"]) / name)


if __name__ == "__main__":
    save(graph(*fit()))
'''
"""Runs by itself, and is what other scripts of the tests import from."""


def table(rows: int = 240) -> pl.DataFrame:
    rng = np.random.default_rng(0)
    kind = rng.integers(0, 3, rows)
    length = rng.normal(4 + 2 * kind, 0.5)
    return pl.DataFrame(
        {
            "length": length,
            "width": rng.normal(1 + kind, 0.4),
            "colour": rng.choice(["red", "blue"], rows),
            "weight": 3 * length + rng.normal(0, 0.3, rows),
            "kind": np.array(["setosa", "versicolor", "virginica"])[kind],
        }
    )


def write_prepared(home: Path, task: str, target: str) -> Path:
    raw, frame = home / "raw", table()
    raw.mkdir(parents=True)
    frame.write_parquet(raw / "data.parquet")
    RawManifest(
        digest="sha256:raw",
        rows=len(frame),
        columns={name: str(dtype) for name, dtype in frame.schema.items()},
        sources=(),
        files=("data.parquet",),
        lineage=Lineage(stage="collect", config=""),
    ).write(raw)
    config = PrepareConfig.model_validate(
        {"modality": "tabular", "task": task, "target": target, "split": SplitRules(strategy="random")}
    )
    prepare(config, raw=raw, out=home / "prepared", progress=silent())
    return home / "prepared"


@pytest.fixture(scope="session")
def flowers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Prepared: one of three kinds from three numbers and a category."""
    return write_prepared(tmp_path_factory.mktemp("flowers"), "classification", "kind")


@pytest.fixture(scope="session")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Prepared: a number to predict."""
    return write_prepared(tmp_path_factory.mktemp("weights"), "regression", "weight")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that the code is relative to; `linear.py` lies in it."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    folder = tmp_path / "home"
    folder.mkdir()
    (folder / "linear.py").write_text(LINEAR)
    return folder


@pytest.fixture
def events() -> list[Event]:
    return []


Run = Callable[..., ModelManifest]


@pytest.fixture
def run(home: Path, tmp_path: Path, events: list[Event]) -> Run:
    """`run(prepared, script, **fields)` trains by a script, or with fields of CodeConfig alone by what they name."""

    def start(
        prepared: Path, script: str = "", *, resume: bool = False, processes: int = 1, **fields: object
    ) -> object:
        if script:
            (home / "train.py").write_text(script)
            fields = {"path": "train.py", **fields}
        config = TrainConfig(
            task="regression" if "weights" in str(prepared) else "classification",
            modality="tabular",
            model=ModelConfig(name="code"),
            code=CodeConfig.model_validate(fields),
            batch_size=32,
            processes=processes,
            base=str(home),
        )
        return train(
            config,
            prepared=prepared,
            out=tmp_path / "model",
            checkpoints=tmp_path / "checkpoints",
            resume=resume,
            progress=Progress("train", sink=events.append, interval=0.0),
        )

    return start
