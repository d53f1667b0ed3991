"""A small table, really collected and prepared, with linear models whose weights the test chooses."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from shutil import copytree

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from runwright_components.collect import collect
from runwright_components.contract.artifacts import (
    ONNX,
    PREPROCESSING,
    WEIGHTS,
    Lineage,
    ModelManifest,
    PreparedManifest,
    model_digest,
)
from runwright_components.contract.config import (
    Bound,
    CollectConfig,
    Column,
    EvaluateConfig,
    ModelConfig,
    PrepareConfig,
    Source,
    SplitRules,
)
from runwright_components.contract.files import folder_files
from runwright_components.contract.progress import silent
from runwright_components.features import load_split
from runwright_components.prepare import prepare

ISLANDS = ("Biscoe", "Biscoe", "biscoe ", "Dream", "NA")


@dataclass(frozen=True)
class Case:
    """Prepared data, and models for it. The column `x` decides the target."""

    prepared: Path
    manifest: PreparedManifest
    folder: Path
    models: list[Path] = field(default_factory=list)

    def model(self, weights: Sequence[Sequence[float]] | None = None, bias: Sequence[float] | None = None) -> Path:
        """A model of one linear layer over the numeric inputs; by default it predicts from the first alone."""
        signature = self.manifest.signature
        outputs = max(1, len(signature.labels))
        inputs = load_split(self.prepared, "test").inputs["numeric"].shape[1]
        matrix = np.zeros((inputs, outputs), np.float32)
        if weights is None:
            matrix[0] = np.linspace(-3, 3, outputs) if outputs > 1 else 1.0
        else:
            matrix[: len(weights)] = weights
        name = "logits" if signature.task == "classification" else "value"
        graph = helper.make_graph(
            [helper.make_node("Gemm", ["numeric", "w", "b"], [name])],
            "linear",
            [helper.make_tensor_value_info("numeric", TensorProto.FLOAT, [None, inputs])],
            [helper.make_tensor_value_info(name, TensorProto.FLOAT, [None, outputs])],
            [
                numpy_helper.from_array(matrix, "w"),
                numpy_helper.from_array(np.asarray(bias or [0.0] * outputs, np.float32), "b"),
            ],
        )
        folder = self.folder / f"model-{len(self.models)}"
        self.models.append(folder)
        copytree(self.prepared / PREPROCESSING, folder / PREPROCESSING)
        onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10), folder / ONNX)
        (folder / WEIGHTS).write_bytes(b"\0" * 8)
        files = folder_files(folder)
        ModelManifest(
            digest=model_digest(files),
            model=ModelConfig(name="mlp"),
            task=signature.task,
            modality="tabular",
            parameters=matrix.size,
            classes=outputs,
            steps=1,
            best_epoch=1,
            precision="fp32",
            device="cpu",
            world_size=1,
            seconds=0.0,
            files=files,
            signature=signature,
            lineage=Lineage(stage="train", config="sha256:0", parents=(self.manifest.lineage,)),
        ).write(folder)
        return folder

    def config(self, *gate: Bound, slices: tuple[str, ...] = ()) -> EvaluateConfig:
        """Few requests, so that a test is quick."""
        return EvaluateConfig(
            task=self.manifest.task, gate=gate, slices=slices, latency_requests=20, throughput_batch=8
        )


def make_case(folder: Path, task: str, rows: int = 160) -> Case:
    generator = np.random.default_rng(0)
    lines = ["x,island,cabin,note,y"]
    for index in range(rows):
        x = generator.normal(10, 4)
        y = ("no", "Yes")[int(x > 10)] if task == "classification" else f"{1000 + 50 * x:.3f}"
        lines.append(f"{x:.4f} kg,{ISLANDS[index % len(ISLANDS)]},{index % 3},row {index},{y}")
    (folder / "table.csv").write_text("\n".join(lines) + "\n")
    collect(
        CollectConfig(sources=(Source(name="table", uri="table.csv"),), base=str(folder)),
        out=folder / "raw",
        progress=silent(),
    )
    config = PrepareConfig(
        modality="tabular",
        task=task,
        target="y",
        columns=(
            Column(name="x", type="numeric"),
            Column(name="cabin", type="categorical"),
            Column(name="note", type="ignore"),
        ),
        split=SplitRules(strategy="random", train=0.5, validation=0.1, test=0.4),
    )
    manifest = prepare(config, raw=folder / "raw", out=folder / "prepared", progress=silent())
    return Case(folder / "prepared", manifest, folder)


@pytest.fixture(scope="module")
def classify(tmp_path_factory: pytest.TempPathFactory) -> Case:
    return make_case(tmp_path_factory.mktemp("classify"), "classification")


@pytest.fixture(scope="module")
def regress(tmp_path_factory: pytest.TempPathFactory) -> Case:
    return make_case(tmp_path_factory.mktemp("regress"), "regression")


@pytest.fixture
def new_case(tmp_path: Path) -> Callable[..., Case]:
    """A case of its own, for tests that alter it."""
    return lambda task="classification", rows=40: make_case(tmp_path, task, rows)
