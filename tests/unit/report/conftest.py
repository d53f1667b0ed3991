"""Artifacts of a small run, written through the contract's own documents."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from runwright_components.contract.artifacts import (
    HISTORY,
    QUALITY,
    Epoch,
    Field,
    History,
    Lineage,
    ModelManifest,
    PreparedManifest,
    Signature,
    Tensor,
)
from runwright_components.contract.config import ModelConfig
from runwright_components.contract.evaluation import EVALUATION, Check, Evaluation, Latency, SliceMetrics
from runwright_components.evaluate import classification, regression
from runwright_components.prepare.quality import (
    ColumnQuality,
    Dropped,
    Duplicates,
    Histogram,
    Imputation,
    Measure,
    Outliers,
    Quality,
    Repair,
    SplitQuality,
    Summary,
    Top,
)


@dataclass(frozen=True)
class Run:
    """The folders that the pages read."""

    prepared: Path
    model: Path
    evaluation: Path


def digest(character: str) -> str:
    return "sha256:" + character * 64


def lineage_of(stage: str, *parents: Lineage, **inputs: str) -> Lineage:
    return Lineage(stage=stage, config=digest("0"), inputs=inputs, version="0.1.0", parents=parents)


def numbers(seed: int, low: float, high: float, rows: int, missing: int, *, wild: bool = False) -> Summary:
    generator = np.random.default_rng(seed)
    values = generator.normal((low + high) / 2, (high - low) / 7, rows - missing)
    values = np.append(values, [high * 1.8] * 4) if wild else values
    counts, edges = np.histogram(values, bins=30)
    return Summary(
        rows=rows,
        missing=missing,
        distinct=len(values),
        min=float(values.min()),
        max=float(values.max()),
        mean=float(values.mean()),
        std=float(values.std()),
        histogram=Histogram(edges=tuple(edges.tolist()), counts=tuple(counts.tolist())),
    )


def words(rows: int, missing: int, **counts: int) -> Summary:
    top = tuple(Top(value=name, rows=found) for name, found in counts.items())
    return Summary(rows=rows, missing=missing, distinct=len(counts), top=top)


def make_quality(labels: tuple[str, ...], column: str, task: str) -> Quality:
    classes = {label: 40 + 7 * index for index, label in enumerate(labels)}
    target = ColumnQuality(
        name="species",
        source_type="String",
        type="categorical",
        role="target",
        before=words(344, 0, **dict.fromkeys(labels, 100)),
        after=words(336, 0, **dict.fromkeys(labels, 100)),
    )
    if task == "regression":
        target = ColumnQuality(
            name="species",
            source_type="Float64",
            type="numeric",
            role="target",
            before=numbers(3, 0, 9, 344, 0),
            after=numbers(3, 0, 9, 336, 0),
        )
    return Quality(
        modality="tabular",
        task=task,
        target="species",
        rows_in=344,
        rows_out=336,
        columns=(
            ColumnQuality(
                name=column,
                source_type="String",
                type="numeric",
                role="input",
                before=numbers(1, 2700, 6300, 344, 9, wild=True),
                after=numbers(1, 2700, 6300, 336, 0),
                repairs=(
                    Repair(kind="number", rows=41, note="1,234", samples=(("3,750", "3750"), ("4,100", "4100"))),
                    Repair(kind="unit", rows=12, note="g", samples=(("3800 g", "3800"),)),
                    Repair(kind="missing", rows=9, samples=(("N/A", ""),)),
                ),
                outliers=Outliers(rule="iqr", factor=3.0, action="clip", low=2100, high=7200, found=4),
                imputation=Imputation(strategy="median", value=4050.0, rows=9, indicator=True),
            ),
            ColumnQuality(
                name="island",
                source_type="String",
                type="categorical",
                role="input",
                before=words(344, 3, Biscoe=150, biscoe=18, Dream=120, Torgersen=53),
                after=words(336, 3, Biscoe=165, Dream=118, Torgersen=50),
                repairs=(Repair(kind="case", rows=18, samples=(("biscoe", "Biscoe"),)),),
                imputation=Imputation(strategy="category", rows=3),
            ),
            ColumnQuality(
                name="hatched",
                source_type="String",
                type="datetime",
                role="input",
                before=Summary(
                    rows=344,
                    distinct=50,
                    first="2007-11-11T00:00:00",
                    last="2009-12-01T00:00:00",
                    histogram=Histogram(edges=(1.19e9, 1.22e9, 1.26e9), counts=(120, 224)),
                ),
            ),
            ColumnQuality(
                name="id",
                source_type="String",
                type="ignore",
                role="ignored",
                reason="every value is different, as in an identifier",
                before=Summary(rows=344, distinct=344),
            ),
            target,
        ),
        duplicates=Duplicates(found=6, dropped=6, note="all columns", sample=({"island": "Dream", column: "3,750"},)),
        dropped=(Dropped(reason="the target is missing", rows=2, column="species", samples=(3, 271)),),
        strategy="stratified",
        splits=tuple(
            SplitQuality(
                name=name,
                rows=rows,
                share=rows / 336,
                classes=classes if task == "classification" else {},
                target=numbers(4, 0, 9, rows, 0) if task == "regression" else None,
            )
            for name, rows in (("train", 236), ("validation", 50), ("test", 50))
        ),
        measures=(Measure(name="tokens", label="Tokens a row", summary=numbers(5, 0, 60, 336, 0)),),
        warnings=("column id looks like an identifier and is not used",),
    )


def make_history(epochs: int = 30) -> History:
    return History(
        epochs=tuple(
            Epoch(
                epoch=epoch,
                step=epoch * 8,
                train_loss=1.1 * math.exp(-epoch / 7) + 0.05,
                validation_loss=1.1 * math.exp(-epoch / 6) + 0.12 + 0.002 * epoch,
                validation_metric=1 - 0.6 * math.exp(-epoch / 5) - 0.02,
                learning_rate=0.001 * (1 + math.cos(math.pi * epoch / epochs)) / 2,
                seconds=0.2,
                samples_per_second=12000.0,
            )
            for epoch in range(1, epochs + 1)
        ),
        best_epoch=max(1, epochs - 5),
        stopped="early",
    )


def classified(labels: tuple[str, ...], rows: int = 50) -> dict[str, Any]:
    generator = np.random.default_rng(7)
    truth = generator.integers(0, len(labels), rows)
    logits = generator.normal(0, 1, (rows, len(labels)))
    logits[np.arange(rows), truth] += 2.4
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    counts = classification.confusion(probabilities, truth)
    parts = tuple(
        SliceMetrics(
            column="island",
            value=name,
            rows=len(index),
            metrics=classification.metrics(probabilities[index], truth[index], bins=10),
        )
        for name, index in (("Biscoe", np.arange(0, 34)), ("Dream", np.arange(34, 49)), ("Torgersen", np.array([49])))
    )
    return {
        "task": "classification",
        "metrics": {**classification.metrics(probabilities, truth, bins=10), "baselineAccuracy": 0.38},
        "labels": labels,
        "per_class": classification.per_class(counts, labels),
        "confusion": tuple(tuple(row) for row in counts.tolist()),
        "roc": classification.roc(probabilities, truth, labels),
        "calibration": classification.calibration(probabilities, truth, bins=10),
        "slices": parts,
    }


def regressed(rows: int = 50) -> dict[str, Any]:
    generator = np.random.default_rng(7)
    truth = generator.normal(4200, 800, rows)
    values = truth + generator.normal(0, 240, rows)
    part = SliceMetrics(column="island", value="Dream", rows=rows, metrics=regression.metrics(values, truth))
    return {
        "task": "regression",
        "metrics": {**regression.metrics(values, truth), "baselineRmse": 812.0},
        "residuals": regression.residuals(values, truth),
        "slices": (part,),
    }


def write_run(
    folder: Path,
    *,
    labels: tuple[str, ...] = ("Adelie", "Chinstrap", "Gentoo"),
    column: str = "body_mass_g",
    task: str = "classification",
    checks: tuple[Check, ...] = (),
    epochs: int = 30,
    rows: int = 50,
) -> Run:
    """Write prepared data, model and evaluation documents under `folder`."""
    labels = labels if task == "classification" else ()
    signature = Signature(
        task=task,
        modality="tabular",
        inputs=(
            Field(name=column, type="numeric", text=True, example="3,750"),
            Field(name="island", type="categorical", categories=("Biscoe", "Dream", "Torgersen"), example="Dream"),
        ),
        ignored=("id",),
        labels=labels,
        target="species",
        tensors=(Tensor(name="numeric", dtype="float32", shape=(None, 2)),),
        example={column: "3,750", "island": "Dream's"},
    )
    collected = lineage_of("collect", **{"penguins.csv": digest("1")})
    made = lineage_of("prepare", collected, raw=digest("2"))
    trained = lineage_of("train", made, prepared=digest("3"))
    found = classified(labels, rows) if task == "classification" else regressed(rows)
    latency = Latency(
        p50_ms=0.1875, p99_ms=0.62, rows_per_second=51234.0, batch=64, requests=200, machine="A processor, 2 cores"
    )
    figures = {"latencyP50Ms": 0.1875, "latencyP99Ms": 0.62, "rowsPerSecond": 51234.0}
    run = Run(folder / "prepared", folder / "model", folder / "evaluation")
    PreparedManifest(
        digest=digest("3"),
        modality="tabular",
        task=task,
        rows={"train": 236, "validation": 50, "test": rows},
        signature=signature,
        class_counts=(90, 70, 76),
        lineage=made,
    ).write(run.prepared)
    make_quality(labels, column, task).write(run.prepared, QUALITY)
    ModelManifest(
        digest=digest("4"),
        model=ModelConfig(name="mlp"),
        task=task,
        modality="tabular",
        parameters=18435,
        classes=max(1, len(labels)),
        steps=240,
        best_epoch=25,
        precision="fp32",
        device="cpu",
        world_size=1,
        seconds=6.4,
        files={},
        signature=signature,
        lineage=trained,
    ).write(run.model)
    make_history(epochs).write(run.model, HISTORY)
    Evaluation(
        model_digest=digest("4"),
        prepared_digest=digest("3"),
        verdict="passed" if all(check.passed for check in checks) else "rejected",
        checks=checks,
        rows=rows,
        latency=latency,
        lineage=lineage_of("evaluate", trained, model=digest("4"), testRows=digest("5")),
        **{**found, "metrics": {**found["metrics"], **figures}},
    ).write(run.evaluation, EVALUATION)
    return run


@pytest.fixture
def run(tmp_path: Path) -> Run:
    checks = (
        Check(metric="accuracy", value=0.9, min=0.9, passed=True, message="accuracy 0.9 is at least 0.9"),
        Check(metric="f1Macro", value=0.7, min=0.8, passed=False, message="f1Macro 0.7 is below the required 0.8"),
    )
    return write_run(tmp_path, checks=checks)


@pytest.fixture
def run_of(tmp_path: Path) -> Callable[..., Run]:
    """Writes a run with what the test wants to be special."""
    return partial(write_run, tmp_path)
