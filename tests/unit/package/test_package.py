"""The package stage on a real model: what it writes, that it repeats itself, and what it refuses."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import polars as pl
import pytest
from onnx import numpy_helper
from safetensors.numpy import load_file

from runwright_components.contract.artifacts import ModelManifest, PackageManifest, model_digest
from runwright_components.contract.config import PackageConfig
from runwright_components.contract.files import files_digest, folder_files, verify_files
from runwright_components.contract.outcome import Reason, StageError
from runwright_components.contract.progress import silent
from runwright_components.package import package
from runwright_components.serve.predictor import Predictor

Package = Callable[..., PackageManifest]
CONFIG = PackageConfig(name="flowers", description="Tells flowers apart.", license="cc0-1.0")


@pytest.fixture
def make(judged: Any, tmp_path: Path) -> Package:
    """`make(out, config=CONFIG, model=None, evaluation=None)` packages the judged model, or a changed copy of it."""

    def run(
        out: str,
        config: PackageConfig = CONFIG,
        model: Path | None = None,
        evaluation: Path | None = None,
        **options: bool,
    ) -> PackageManifest:
        return package(
            config,
            model=model or judged.model,
            evaluation=evaluation or judged.evaluation,
            prepared=judged.prepared,
            out=tmp_path / out,
            progress=silent(),
            **options,
        )

    return run


@pytest.fixture
def change(judged: Any, tmp_path: Path) -> Callable[..., Path]:
    """Copies the evaluation with other values in evaluation.json."""

    def run(**values: Any) -> Path:
        folder = tmp_path / "changed-evaluation"
        shutil.copytree(judged.evaluation, folder)
        content = json.loads((folder / "evaluation.json").read_bytes())
        (folder / "evaluation.json").write_text(json.dumps({**content, **values}))
        return folder

    return run


def test_the_package_is_whole_and_its_manifest_names_every_file(make: Package, judged: Any, tmp_path: Path) -> None:
    manifest = make("package")
    folder = tmp_path / "package"
    assert PackageManifest.read(folder) == manifest
    verify_files(folder, manifest.files)
    assert manifest.files == folder_files(folder, without=("manifest.json",))
    assert manifest.digest == files_digest(manifest.files)
    assert manifest.model_digest == ModelManifest.read(judged.model).digest
    assert set(manifest.files) == {
        "MODEL_CARD.md",
        "example.json",
        "lineage.json",
        "metrics.json",
        "model.json",
        "model.onnx",
        "preprocessing/state.json",
        "signature.json",
        "weights.safetensors",
    }
    assert manifest.parity is not None
    assert 0 <= manifest.parity <= CONFIG.parity_tolerance


def test_the_same_inputs_give_the_same_bytes(make: Package, tmp_path: Path) -> None:
    first, second = make("first"), make("second")
    assert first == second
    assert (tmp_path / "first/manifest.json").read_bytes() == (tmp_path / "second/manifest.json").read_bytes()


def test_how_fast_the_machine_was_does_not_change_the_package(
    make: Package, change: Callable[..., Path], judged: Any
) -> None:
    content = json.loads((judged.evaluation / "evaluation.json").read_bytes())
    content["latency"]["p50_ms"] += 1
    content["metrics"]["latencyP50Ms"] += 1
    slower = change(latency=content["latency"], metrics=content["metrics"])
    assert make("slow", evaluation=slower).digest == make("usual").digest


def test_metrics_are_bound_to_the_model(make: Package, judged: Any, tmp_path: Path) -> None:
    manifest = make("package")
    metrics = json.loads((tmp_path / "package/metrics.json").read_bytes())
    assert metrics["model_digest"] == manifest.model_digest
    assert metrics["verdict"] == "passed"
    assert 0.5 <= metrics["metrics"]["accuracy"] <= 1
    assert not any("atency" in name or "PerSecond" in name for name in metrics["metrics"])
    lineage = json.loads((tmp_path / "package/lineage.json").read_bytes())
    assert lineage["inputs"]["model"] == manifest.model_digest
    assert [lineage["stage"], lineage["parents"][0]["stage"], lineage["parents"][0]["parents"][0]["stage"]] == [
        "package",
        "train",
        "prepare",
    ]


def test_the_package_answers_as_the_model_did(make: Package, judged: Any, tmp_path: Path) -> None:
    make("package")
    rows = pl.read_parquet(judged.prepared / "test.raw.parquet")
    packaged, model = Predictor(tmp_path / "package"), Predictor(judged.model)
    assert packaged.name == "flowers"
    assert packaged.model_digest == model.model_digest
    assert np.array_equal(packaged.predict(rows).probabilities, model.predict(rows).probabilities)
    request = json.loads((tmp_path / "package/example.json").read_bytes())
    assert len(packaged.predict_rows(request["instances"])) == 1


def test_the_card_says_what_a_user_needs(make: Package, judged: Any, tmp_path: Path) -> None:
    manifest = make("package")
    card = (tmp_path / "package/MODEL_CARD.md").read_text()
    sections = [line[3:] for line in card.splitlines() if line.startswith("## ")]
    assert sections == [
        "Intended use",
        "Data",
        "Preprocessing",
        "Training",
        "Evaluation",
        "Slices",
        "Limits",
        "How to call it",
        "Provenance",
    ]
    assert card.startswith('---\nlicense: "cc0-1.0"\n')
    for expected in (
        "# flowers",
        "Tells flowers apart.",
        "| `length` | numeric |",
        "`setosa`",
        "The gate: **passed**",
        "0.5 ≤ Accuracy",
        manifest.model_digest,
        ModelManifest.read(judged.model).lineage.inputs["prepared"],
        "/v1/models/flowers:predict",
    ):
        assert expected in card, expected
    tables = [line for line in card.splitlines() if line.startswith("|")]
    assert not any(word in line for line in tables for word in ("None", "nan", "inf |"))


def test_without_safetensors_the_package_still_serves(make: Package, tmp_path: Path) -> None:
    manifest = make("lean", PackageConfig(name="flowers", formats=("onnx",)))
    assert "weights.safetensors" not in manifest.files
    assert "model.json" not in manifest.files
    predictor = Predictor(tmp_path / "lean")
    assert len(predictor.predict_rows([predictor.signature.example])) == 1


def refused(make: Package, tmp_path: Path, reason: Reason, **inputs: Any) -> str:
    """The message of the refusal; and nothing is left behind."""
    before = sorted(tmp_path.iterdir())
    with pytest.raises(StageError) as error:
        make("refused", **inputs)
    assert error.value.reason is reason
    assert error.value.cure
    assert sorted(tmp_path.iterdir()) == before
    return str(error.value)


def test_an_evaluation_of_another_model_is_refused(make: Package, change: Callable[..., Path], tmp_path: Path) -> None:
    evaluation = change(model_digest="sha256:other")
    message = refused(make, tmp_path, Reason.DIGEST_MISMATCH, evaluation=evaluation)
    assert "the evaluation is of the model sha256:other" in message


def test_an_evaluation_on_other_data_is_refused(make: Package, change: Callable[..., Path], tmp_path: Path) -> None:
    evaluation = change(prepared_digest="sha256:other")
    assert "on the data sha256:other" in refused(make, tmp_path, Reason.DIGEST_MISMATCH, evaluation=evaluation)


def test_a_rejected_model_is_refused_with_the_bounds_it_missed(
    make: Package, change: Callable[..., Path], tmp_path: Path
) -> None:
    check = {"metric": "accuracy", "value": 0.4, "min": 0.5, "passed": False, "message": "accuracy 0.4 is below 0.5"}
    evaluation = change(verdict="rejected", checks=[check])
    assert "accuracy 0.4 is below 0.5" in refused(make, tmp_path, Reason.GATE_REJECTED, evaluation=evaluation)


def test_a_cluster_packages_a_rejected_model_for_a_gate_that_may_change(
    make: Package, change: Callable[..., Path], tmp_path: Path
) -> None:
    manifest = make("kept", evaluation=change(verdict="rejected"), rejected=True)
    assert "The gate: **rejected**." in (tmp_path / "kept" / "MODEL_CARD.md").read_text()
    assert manifest.files


def altered(judged: Any, tmp_path: Path, *, rewrite: bool) -> Path:
    """A copy of the model whose graph has other weights; with `rewrite` its manifest says so."""
    folder = tmp_path / "altered-model"
    shutil.copytree(judged.model, folder)
    graph = onnx.load(folder / "model.onnx")
    largest = max(graph.graph.initializer, key=lambda tensor: np.prod(tensor.dims))
    largest.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(largest) + np.float32(0.5), largest.name))
    onnx.save(graph, folder / "model.onnx")
    if rewrite:
        manifest = ModelManifest.read(folder)
        files = folder_files(folder, without=("manifest.json",))
        manifest.model_copy(update={"files": files, "digest": model_digest(files)}).write(folder)
    return folder


def test_an_altered_model_is_refused(make: Package, judged: Any, tmp_path: Path) -> None:
    model = altered(judged, tmp_path, rewrite=False)
    assert "model.onnx was altered" in refused(make, tmp_path, Reason.DIGEST_MISMATCH, model=model)


def test_a_graph_that_disagrees_with_the_weights_is_refused(
    make: Package, change: Callable[..., Path], judged: Any, tmp_path: Path
) -> None:
    model = altered(judged, tmp_path, rewrite=True)
    evaluation = change(model_digest=ModelManifest.read(model).digest)
    message = refused(make, tmp_path, Reason.PARITY_FAILED, model=model, evaluation=evaluation)
    assert "differ by" in message
    assert "0.0001 is allowed" in message


def test_weights_are_those_of_training(make: Package, judged: Any, tmp_path: Path) -> None:
    make("package")
    packaged, trained = (load_file(home / "weights.safetensors") for home in (tmp_path / "package", judged.model))
    assert packaged.keys() == trained.keys()
    assert all(np.array_equal(packaged[name], trained[name]) for name in trained)
