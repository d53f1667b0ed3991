"""The evaluate stage: reads model and prepared data, writes evaluation.json and predictions.parquet."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from runwright_components.contract import gate
from runwright_components.contract.artifacts import (
    RAW_TEST,
    ROW_ID,
    TARGET,
    Lineage,
    ModelManifest,
    PreparedManifest,
    model_digest,
)
from runwright_components.contract.config import EvaluateConfig
from runwright_components.contract.evaluation import (
    EVALUATION,
    FOLDS,
    PREDICTIONS,
    Check,
    CrossValidation,
    Evaluation,
    SliceMetrics,
)
from runwright_components.contract.files import file_digest, new_folder
from runwright_components.contract.kinds import UNSUPERVISED
from runwright_components.contract.outcome import Reason, StageError
from runwright_components.contract.progress import Progress
from runwright_components.evaluate import classification, regression, slices, speed
from runwright_components.evaluate.judged import Judged, not_finite, slice_columns
from runwright_components.features import Predictions
from runwright_components.features.tabular import TabularPreprocessing
from runwright_components.serve.predictor import Predictor

_CHUNK = 4096


@dataclass(frozen=True)
class _Test:
    """The test split: raw rows and their truth (classes, or values in the target's unit), in the order of row_id."""

    rows: pl.DataFrame
    truth: NDArray[Any]


def evaluate(config: EvaluateConfig, *, model: Path, prepared: Path, out: Path, progress: Progress) -> Evaluation:
    """Judge the model that will be served on the raw rows of the test split, and write the result into `out`.

    `evaluation.json` is the verdict with its figures, bound to the model's digest; `predictions.parquet` has a row a
    test row: `row_id`, `truth`, `prediction` and, for a classification, `probabilities`. Without bounds the verdict is
    `passed`, unless predictions are not finite numbers. Raises StageError: a gate that cannot be judged, an altered
    model, a model of other data, test rows that do not fit together.
    """
    gate.validate(config.gate, config.task)
    manifest, data = _inputs(config, model, prepared)
    predictor = Predictor(model)
    judged = _judge(config, predictor, prepared, data, progress)
    folds = CrossValidation.read(model, FOLDS) if (model / FOLDS).exists() else None
    latency = judged.latency
    progress.note(f"one row takes {latency.p50_ms:.2f} ms (p50), {latency.p99_ms:.2f} ms (p99)")
    figures = {
        **judged.metrics,
        **({} if folds is None else folds.figures),
        "latencyP50Ms": latency.p50_ms,
        "latencyP99Ms": latency.p99_ms,
        "rowsPerSecond": latency.rows_per_second,
    }
    checks = gate.judge(config.gate, figures, judged.slices)
    if judged.wrong:
        checks = (_not_finite_check(judged.wrong, judged.rows), *checks)
    if not checks:
        progress.note("the gate has no bounds: the model passes whatever its metrics are")

    evaluation = Evaluation(
        model_digest=manifest.digest,
        prepared_digest=data.digest,
        task=config.task,
        verdict="passed" if all(check.passed for check in checks) else "rejected",
        checks=checks,
        rows=judged.rows,
        metrics=dict(sorted(figures.items())),
        labels=data.signature.labels,
        slices=judged.slices,
        cross_validation=folds,
        latency=latency,
        lineage=Lineage(
            stage="evaluate",
            config=config.digest(),
            inputs={
                "model": manifest.digest,
                "prepared": data.digest,
                "testRows": file_digest(prepared / RAW_TEST),
            },
            parents=(manifest.lineage,),
        ),
        **judged.details,
    )
    with new_folder(out) as folder:
        evaluation.write(folder, EVALUATION)
        judged.table.write_parquet(folder / PREDICTIONS)
    for check in checks:
        (progress.note if check.passed else progress.warning)(check.message)
    return evaluation


def _judge(
    config: EvaluateConfig, predictor: Predictor, prepared: Path, data: PreparedManifest, progress: Progress
) -> Judged:
    if config.task == "forecasting":
        from runwright_components.evaluate import forecasting

        return forecasting.judge(config, predictor, prepared, progress)
    if config.task == "control":
        from runwright_components.evaluate import control

        return control.judge(config, predictor, prepared, progress)
    if config.task == "generation":
        return _judge_documents(config, predictor, prepared, data, progress)
    if config.task in UNSUPERVISED:
        from runwright_components.evaluate import unsupervised

        return unsupervised.judge(config, predictor, prepared, data, progress)
    return _judge_rows(config, predictor, prepared, data, progress)


def _judge_rows(
    config: EvaluateConfig, predictor: Predictor, prepared: Path, data: PreparedManifest, progress: Progress
) -> Judged:
    """Compare predictions with the truth, row by row."""
    test = _test_split(predictor, prepared)
    columns = slice_columns(config, test.rows)
    predictions = _predict(predictor, test.rows, progress)
    latency = speed.measure(predictor, test.rows, requests=config.latency_requests, batch=config.throughput_batch)
    wrong = not_finite(predictions)
    return Judged(
        rows=len(test.truth),
        wrong=wrong,
        metrics=_baseline(predictor, prepared, data, test)
        | ({} if wrong else _metrics(predictions, test.truth, config)),
        slices=_slices(columns, test, predictions, predictor, config, measured=not wrong),
        details={} if wrong else _details(predictions, test.truth, config, data),
        latency=latency,
        table=_table(test, predictions),
    )


def _judge_documents(
    config: EvaluateConfig, predictor: Predictor, prepared: Path, data: PreparedManifest, progress: Progress
) -> Judged:
    """Measure how well the documents are foretold, and sample what the model writes."""
    from runwright_components.evaluate import generation

    count = data.rows["test"]
    known = pl.scan_parquet(prepared / RAW_TEST)
    columns = slice_columns(config, known.head(0).collect())
    scores = generation.score(predictor, prepared, count, progress)
    wrong = not_finite(scores.T)
    latency, tokens = generation.latency(predictor)
    rows = known.select(ROW_ID, *columns).collect()
    return Judged(
        rows=count,
        wrong=wrong,
        metrics=tokens | ({} if wrong else generation.metrics(scores)),
        slices=tuple(
            SliceMetrics(
                column=column,
                value=name,
                rows=len(index),
                metrics={} if wrong else generation.metrics(scores[:, index]),
            )
            for column in columns
            for name, index in slices.groups(rows, column, {}, predictor.preprocessing.target_state.words)
        ),
        details={} if wrong else {"samples": generation.samples(predictor, prepared, count)},
        latency=latency,
        table=rows.select(ROW_ID).with_columns(
            pl.Series(name, values) for name, values in zip(generation.COLUMNS, scores, strict=True)
        ),
    )


def _inputs(config: EvaluateConfig, model: Path, prepared: Path) -> tuple[ModelManifest, PreparedManifest]:
    manifest, data = ModelManifest.read(model), PreparedManifest.read(prepared)
    if model_digest(manifest.files) != manifest.digest:
        raise StageError(
            Reason.DIGEST_MISMATCH,
            f"the model's digest {manifest.digest} is not that of the files in its manifest",
            where=str(model),
            cure="run training again; the manifest was altered",
        )
    if not config.task == manifest.task == data.task:
        raise StageError(
            Reason.INVALID_CONFIG,
            f"the tasks differ: evaluate {config.task}, model {manifest.task}, data {data.task}",
            where=str(model),
            cure="evaluate a model with the data it was trained on",
        )
    # Training adds the graph's outputs to the tensors.
    if manifest.signature.model_copy(update={"tensors": data.signature.tensors}) != data.signature:
        raise StageError(
            Reason.DATA_INVALID,
            "the model was trained on data with another signature",
            where=str(model),
            cure="evaluate a model with the data it was trained on",
        )
    return manifest, data


def _test_split(predictor: Predictor, prepared: Path) -> _Test:
    rows = pl.read_parquet(prepared / RAW_TEST)
    truth = pl.read_parquet(prepared / "test.parquet", columns=[ROW_ID, TARGET])
    if rows.is_empty():
        raise StageError(
            Reason.DATA_INVALID,
            "the test split has no rows",
            where=str(prepared),
            cure="give more data, or a larger share to prepare.split.test",
        )
    joined = rows.with_columns(pl.col(ROW_ID).cast(pl.Int64)).join(
        truth.select(pl.col(ROW_ID).cast(pl.Int64), pl.col(TARGET).alias(_TRUTH)), on=ROW_ID, how="inner"
    )
    if len(joined) != len(rows) or len(joined) != len(truth) or joined[ROW_ID].n_unique() != len(joined):
        raise StageError(
            Reason.DATA_INVALID,
            f"{RAW_TEST} ({len(rows)} rows) and test.parquet ({len(truth)} rows) are not the same rows",
            where=str(prepared),
            cure="prepare the data again; the folder was altered",
        )
    joined = joined.sort(ROW_ID)
    encoded = joined[_TRUTH].to_numpy()
    target = predictor.preprocessing.target_state
    values = encoded.astype(np.int64) if predictor.signature.task == "classification" else target.unscale(encoded)
    return _Test(joined.drop(_TRUTH), values)


_TRUTH = "\x00truth"  # cannot be a column of the source that someone typed


def _predict(predictor: Predictor, rows: pl.DataFrame, progress: Progress) -> NDArray[np.float64]:
    """Probabilities [N, K] or values [N]."""
    parts: list[NDArray[np.float64]] = []
    done = 0
    for chunk in rows.iter_slices(_CHUNK):
        parts.append(_array(predictor.predict(chunk)))
        done += len(chunk)
        progress.update(done, len(rows), unit="rows")
    return np.concatenate(parts)


def _array(predictions: Predictions) -> NDArray[np.float64]:
    found = predictions.values if predictions.probabilities is None else predictions.probabilities
    if found is None:
        raise StageError(Reason.INTERNAL, "the model gave neither probabilities nor values")
    return found


def _not_finite_check(wrong: int, rows: int) -> Check:
    message = f"{wrong} of {rows} predictions are not finite numbers, so the model cannot be judged"
    return Check(metric="finitePredictions", value=(rows - wrong) / rows, min=1.0, passed=False, message=message)


def _metrics(predictions: NDArray[np.float64], truth: NDArray[Any], config: EvaluateConfig) -> dict[str, float]:
    if config.task == "classification":
        return classification.metrics(predictions, truth, bins=config.calibration_bins)
    return regression.metrics(predictions, truth)


def _details(
    predictions: NDArray[np.float64], truth: NDArray[Any], config: EvaluateConfig, data: PreparedManifest
) -> dict[str, Any]:
    """The tables and curves of an Evaluation that belong to the task."""
    if config.task == "regression":
        return {"residuals": regression.residuals(predictions, truth)}
    counts = classification.confusion(predictions, truth)
    labels = data.signature.labels
    return {
        "per_class": classification.per_class(counts, labels),
        "confusion": tuple(tuple(row) for row in counts.tolist()),
        "roc": classification.roc(predictions, truth, labels),
        "calibration": classification.calibration(predictions, truth, bins=config.calibration_bins),
    }


def _slices(
    columns: tuple[str, ...],
    test: _Test,
    predictions: NDArray[np.float64],
    predictor: Predictor,
    config: EvaluateConfig,
    *,
    measured: bool,
) -> tuple[SliceMetrics, ...]:
    preprocessing = predictor.preprocessing
    columns_read = preprocessing.state.columns if isinstance(preprocessing, TabularPreprocessing) else ()
    readers = {reader.name: reader for reader in columns_read}
    words = preprocessing.target_state.words
    return tuple(
        SliceMetrics(
            column=column,
            value=name,
            rows=len(index),
            metrics=_metrics(predictions[index], test.truth[index], config) if measured else {},
        )
        for column in columns
        for name, index in slices.groups(test.rows, column, readers, words)
    )


def _baseline(predictor: Predictor, prepared: Path, data: PreparedManifest, test: _Test) -> dict[str, float]:
    """What guessing gets: always the class, or the mean, that is the best constant of the training split."""
    if data.task == "classification":
        return {"baselineAccuracy": float((test.truth == int(np.argmax(data.class_counts))).mean())}
    encoded = pl.read_parquet(prepared / "train.parquet", columns=[TARGET])[TARGET].cast(pl.Float64).mean()
    mean = predictor.preprocessing.target_state.unscale(np.array([encoded]))[0]
    return {"baselineRmse": float(np.sqrt(np.square(test.truth - mean).mean()))}


def _table(test: _Test, predictions: NDArray[np.float64]) -> pl.DataFrame:
    table = test.rows.select(ROW_ID).with_columns(pl.Series("truth", test.truth))
    if predictions.ndim == 1:
        return table.with_columns(pl.Series("prediction", predictions))
    return table.with_columns(
        pl.Series("prediction", predictions.argmax(axis=1)),
        pl.Series("probabilities", predictions.tolist(), dtype=pl.List(pl.Float64)),
    )
