"""What the Kubeflow dashboard shows of our artifacts: the metadata of KFP's artifact types.

Shapes: `kfp.dsl.ClassificationMetrics.log_confusion_matrix` and `.log_roc_curve`, `kfp.dsl.Metrics.log_metric`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from runwright_components.contract.artifacts import (
    Deployment,
    History,
    ModelManifest,
    PackageManifest,
    PreparedManifest,
    RawManifest,
    Registration,
)
from runwright_components.contract.evaluation import Evaluation
from runwright_components.contract.tuning import Tuning

Metadata = dict[str, Any]


def raw_data(manifest: RawManifest) -> Metadata:
    return {
        "digest": manifest.digest,
        "rows": manifest.rows,
        "columns": len(manifest.columns),
        "sources": [source.uri for source in manifest.sources],
    }


def prepared_data(manifest: PreparedManifest) -> Metadata:
    rows = {f"{split}_rows": count for split, count in manifest.rows.items()}
    return {
        "digest": manifest.digest,
        "task": manifest.task,
        "modality": manifest.modality,
        "inputs": len(manifest.signature.inputs),
        **rows,
        **({"quarantined": manifest.quarantined} if manifest.quarantined else {}),
    }


def model(manifest: ModelManifest) -> Metadata:
    return {
        "framework": "pytorch",
        "digest": manifest.digest,
        "architecture": manifest.model.name,
        "task": manifest.task,
        "modality": manifest.modality,
        "parameters": manifest.parameters,
        "precision": manifest.precision,
        "device": manifest.device,
    }


def training_metrics(manifest: ModelManifest, history: History) -> Metadata:
    best = next((epoch for epoch in history.epochs if epoch.epoch == history.best_epoch), None)
    metrics: Metadata = {
        "epochs": len(history.epochs),
        "best_epoch": history.best_epoch,
        "steps": manifest.steps,
        "seconds": manifest.seconds,
        "world_size": manifest.world_size,
    }
    if manifest.cost:
        metrics |= manifest.cost.model_dump(exclude={"seconds", "samples_per_second"}, exclude_none=True)
    if best:
        metrics |= {
            "train_loss": best.train_loss,
            "validation_loss": best.validation_loss,
            "validation_metric": best.validation_metric,
            "samples_per_second": best.samples_per_second,
        }
    return metrics


def tuning(document: Tuning) -> Metadata:
    """The figures of a search; a dashboard's table of metrics has numbers alone."""
    brief = document.brief().items()
    return {f"tuning_{name}": value for name, value in brief if isinstance(value, int | float)}


def evaluation(document: Evaluation) -> Metadata:
    return {
        "verdict": document.verdict,
        "model_digest": document.model_digest,
        "rows": document.rows,
        "failed_checks": [check.message for check in document.checks if not check.passed],
    }


def metrics(document: Evaluation) -> Metadata:
    return {
        **document.metrics,
        "latencyP50Ms": document.latency.p50_ms,
        "latencyP99Ms": document.latency.p99_ms,
        "rowsPerSecond": document.latency.rows_per_second,
    }


def classification(document: Evaluation) -> Metadata:
    """Confusion matrix, and for two classes the ROC curve of the second; empty for a regression."""
    shown: Metadata = {}
    if document.confusion:
        shown["confusionMatrix"] = {
            "annotationSpecs": [{"displayName": label} for label in document.labels],
            "rows": [{"row": list(row)} for row in document.confusion],
        }
    if len(document.labels) == 2 and document.roc:
        curve = document.roc[-1]
        points = zip(curve.thresholds, curve.tpr, curve.fpr, strict=True)
        shown["confidenceMetrics"] = [
            {"confidenceThreshold": min(threshold, 1.0), "recall": tpr, "falsePositiveRate": fpr}
            for threshold, tpr, fpr in points
        ]
    return shown


def package(manifest: PackageManifest) -> Metadata:
    return {
        "framework": "onnx",
        "digest": manifest.digest,
        "model_digest": manifest.model_digest,
        "task": manifest.task,
        "files": sorted(manifest.files),
    }


def registration(document: Registration) -> Metadata:
    return {"name": document.name, "version": document.version, "uri": document.uri, "digest": document.digest}


def deployment(document: Deployment) -> Metadata:
    return {"name": document.name, "mode": document.mode, "uri": document.uri, "model_digest": document.model_digest}


def show(artifact: Any, metadata: Mapping[str, Any]) -> None:
    """Add metadata to a KFP artifact."""
    artifact.metadata.update(metadata)
