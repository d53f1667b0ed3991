"""Folders that look like what a stage makes, their digests decided by the configurations alone."""

from __future__ import annotations

import hashlib
from pathlib import Path

from runwright_components.contract.artifacts import (
    HISTORY,
    ONNX,
    PREPROCESSING,
    STATE,
    WEIGHTS,
    Epoch,
    Field,
    History,
    Lineage,
    ModelManifest,
    PackageManifest,
    PreparedManifest,
    RawManifest,
    Signature,
    SourceRecord,
    Tensor,
    model_digest,
)
from runwright_components.contract.config import (
    CollectConfig,
    EvaluateConfig,
    PackageConfig,
    PrepareConfig,
    TrainConfig,
)
from runwright_components.contract.evaluation import EVALUATION, Evaluation, Latency
from runwright_components.contract.files import files_digest, folder_files, write_bytes
from runwright_components.contract.gate import judge

ROWS = 1000
FIGURES = {
    "classification": {"accuracy": 0.9, "f1Macro": 0.88, "logLoss": 0.3},
    "regression": {"r2": 0.9, "rmse": 0.4, "mae": 0.3},
}
SPEED = {"latencyP50Ms": 0.8, "latencyP99Ms": 1.9, "rowsPerSecond": 50000.0}


def raw(config: CollectConfig, out: Path) -> RawManifest:
    digest = _digest(config.digest())
    source = config.sources[0]
    record = SourceRecord(
        name=source.name, uri=source.uri, format=source.format or "csv", files=1, bytes=1, rows=ROWS, digest=digest
    )
    write_bytes(out / "data.parquet", digest.encode())
    manifest = RawManifest(
        digest=digest,
        rows=ROWS,
        columns={"value": "Float64"},
        sources=(record,),
        files=("data.parquet",),
        lineage=Lineage(stage="collect", config=config.digest()),
    )
    manifest.write(out)
    return manifest


def prepared(config: PrepareConfig, source: RawManifest, out: Path) -> PreparedManifest:
    digest = _digest(config.digest(), source.digest)
    write_bytes(out / PREPROCESSING / STATE, digest.encode())
    manifest = PreparedManifest(
        digest=digest,
        modality=config.modality,
        task=config.task,
        rows={"train": 700, "validation": 150, "test": 150},
        signature=_signature(config.task, config.target),
        lineage=Lineage(stage="prepare", config=config.digest(), inputs={"raw": source.digest}),
    )
    manifest.write(out)
    return manifest


def model(config: TrainConfig, out: Path, *, salt: str = "") -> ModelManifest:
    """`salt` stands for all that decides a model but its configuration."""
    digest = _digest(config.digest(), salt)
    write_bytes(out / WEIGHTS, f"weights {digest}".encode())
    write_bytes(out / ONNX, f"graph {digest}".encode())
    write_bytes(out / PREPROCESSING / STATE, digest.encode())
    epochs = tuple(
        Epoch(
            epoch=number,
            step=10 * number,
            train_loss=1 / number,
            validation_loss=1.1 / number,
            validation_metric=1 - 1 / (number + 1),
            learning_rate=config.learning_rate,
            seconds=float(number),
            samples_per_second=1000.0,
        )
        for number in (1, 2, 3)
    )
    History(epochs=epochs, best_epoch=3, stopped="epochs").write(out, HISTORY)
    files = folder_files(out)
    manifest = ModelManifest(
        digest=model_digest(files),
        model=config.model,
        task=config.task,
        modality=config.modality,
        parameters=42,
        classes=2 if config.task == "classification" else 1,
        steps=30,
        best_epoch=3,
        precision="fp32",
        device="cpu",
        world_size=1,
        seconds=3.0,
        files=files,
        signature=_signature(config.task, "target"),
        lineage=Lineage(stage="train", config=config.digest(), inputs={"salt": salt}),
    )
    manifest.write(out)
    return manifest


def evaluation(
    config: EvaluateConfig, trained: ModelManifest, data: PreparedManifest, metrics: dict[str, float], out: Path
) -> Evaluation:
    """The verdict is the gate's own, on the default figures and `metrics`."""
    figures = {**FIGURES[config.task], **SPEED, **metrics}
    checks = judge(config.gate, figures, ())
    document = Evaluation(
        model_digest=trained.digest,
        prepared_digest=data.digest,
        task=config.task,
        verdict="passed" if all(check.passed for check in checks) else "rejected",
        checks=checks,
        rows=150,
        metrics=figures,
        latency=Latency(p50_ms=0.8, p99_ms=1.9, rows_per_second=50000.0, batch=64, requests=200, machine="simulated"),
        lineage=Lineage(stage="evaluate", config=config.digest(), inputs={"model": trained.digest}),
    )
    document.write(out, EVALUATION)
    return document


def package(config: PackageConfig, trained: ModelManifest, out: Path) -> PackageManifest:
    write_bytes(out / ONNX, f"package of {trained.digest}".encode())
    write_bytes(out / "config.json", config.canonical().encode())
    files = folder_files(out)
    manifest = PackageManifest(
        digest=files_digest(files),
        name=config.name,
        model_digest=trained.digest,
        task=trained.task,
        modality=trained.modality,
        files=files,
        parity=1e-7,
    )
    manifest.write(out)
    return manifest


def _signature(task: str, target: str) -> Signature:
    return Signature(
        task="classification" if task == "classification" else "regression",
        modality="tabular",
        inputs=(Field(name="value", type="numeric", example=1.0),),
        labels=("no", "yes") if task == "classification" else (),
        target=target,
        tensors=(Tensor(name="numeric", dtype="float32", shape=(None, 1)),),
        example={"value": 1.0},
    )


def _digest(*parts: str) -> str:
    return "sha256:" + hashlib.sha256("\n".join(parts).encode()).hexdigest()
