"""Judging a model without a target on the test split."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from runwright_components.contract.artifacts import ROW_ID, PreparedManifest
from runwright_components.contract.config import EvaluateConfig, TaskKind
from runwright_components.contract.evaluation import Projection, SliceMetrics
from runwright_components.contract.progress import Progress
from runwright_components.evaluate import slices, speed
from runwright_components.evaluate.judged import Judged, not_finite, slice_columns
from runwright_components.evaluate.unsupervised import anomaly, clustering, embedding
from runwright_components.evaluate.unsupervised.rows import Labels, Matrix, Rows, raw_test, read_rows
from runwright_components.features.tabular import TabularPreprocessing
from runwright_components.features.unsupervised import CLUSTER, DISTANCES, EMBEDDING, SCORE
from runwright_components.serve.predictor import Predictor

_CHUNK = 4096
_POINTS = 1000
_MOST_GROUPS = 4  # more cannot be told apart by their colours

Index = NDArray[np.int64]
Answers = dict[str, NDArray[Any]]


def judge(
    config: EvaluateConfig, predictor: Predictor, prepared: Path, data: PreparedManifest, progress: Progress
) -> Judged:
    """Measure what the model answers for the test rows, and what its baseline would. Raises StageError."""
    test, training = read_rows(prepared, data, "test"), read_rows(prepared, data, "train")
    raw = raw_test(prepared, test)
    columns = slice_columns(config, raw)
    answers = _answers(predictor, raw, progress)
    latency = speed.measure(predictor, raw, requests=config.latency_requests, batch=config.throughput_batch)
    wrong = not_finite(next(iter(answers.values())).astype(np.float64))
    about = _About(predictor, training, test, answers)
    found = _Findings({}, {}, lambda _index: {}) if wrong else _FINDERS[config.task](about)
    return Judged(
        rows=len(raw),
        wrong=wrong,
        metrics=found.metrics,
        slices=_slices(columns, raw, predictor, found),
        details=found.details,
        latency=latency,
        table=_table(raw, predictor, test, answers),
    )


@dataclass(frozen=True)
class _About:
    """What is judged: the model's `answers` for the rows of `test`."""

    predictor: Predictor
    training: Rows
    test: Rows
    answers: Answers

    @property
    def names(self) -> tuple[str, ...]:
        """The labels' spellings."""
        return self.predictor.preprocessing.target_state.labels


@dataclass(frozen=True)
class _Findings:
    """Metrics of all rows, fields of an Evaluation, and the metrics of the rows of an index."""

    metrics: dict[str, float]
    details: dict[str, Any]
    of: Callable[[Index], dict[str, float]]


def _anomalies(about: _About) -> _Findings:
    """With labels, the commonest one of the training split is normal and every other one is an anomaly."""
    scores, test = about.answers[SCORE], about.test
    truth: NDArray[np.bool_] | None = None
    if test.labelled.any() and about.training.labelled.any():
        normal = np.bincount(about.training.labels[about.training.labelled]).argmax()
        truth = test.labels != normal
    known = test.labelled

    def of(index: Index) -> dict[str, float]:
        if truth is None:
            return anomaly.metrics(scores[index], None)
        judged = index[known[index]]
        return anomaly.metrics(scores[judged], truth[judged]) if len(judged) else {}

    metrics = of(np.arange(len(scores)))
    if truth is not None:
        guesses = anomaly.distances(about.training.matrix, test.matrix)[known]
        metrics |= _as_baseline(anomaly.ranking(guesses, truth[known]))
    shown = scores if truth is None else scores[known]
    return _Findings(metrics, {"scores": anomaly.histogram(shown, None if truth is None else truth[known])}, of)


def _clusters(about: _About) -> _Findings:
    clusters, test = about.answers[CLUSTER], about.test
    guesses = clustering.sliced(about.training.matrix, test.matrix, about.answers[DISTANCES].shape[1])

    def measured(assigned: Labels, index: Index) -> dict[str, float]:
        known = index[test.labelled[index]]
        found = clustering.metrics(test.matrix[index], assigned[index])
        return found | clustering.agreement(assigned[known], test.labels[known])

    def of(index: Index) -> dict[str, float]:
        return measured(clusters, index)

    every = np.arange(len(clusters))
    baseline = measured(guesses, every)
    compared: dict[str, float] = {name: baseline[name] for name in ("silhouette", "adjustedRand") if name in baseline}
    metrics = of(every) | _as_baseline(compared)
    names = tuple(f"cluster {index}" for index in range(about.answers[DISTANCES].shape[1]))
    return _Findings(metrics, {"projection": _projection(test.matrix, clusters, names)}, of)


def _embeddings(about: _About) -> _Findings:
    embedded, training, test = about.answers[EMBEDDING], about.training, about.test
    known = np.flatnonzero(test.labelled)
    voters = np.flatnonzero(training.labelled)
    metrics = embedding.trust(test.matrix, embedded)
    guessed_training, guessed = embedding.principal(training.matrix, embedded.shape[1], test.matrix)
    metrics |= _as_baseline(embedding.trust(test.matrix, guessed))
    right = np.full(len(embedded), np.nan)
    if len(known) and len(voters):
        (of_training,) = about.predictor.run(training.split.inputs).values()
        labels, truth = training.labels[voters], test.labels[known]
        right[known] = embedding.right(of_training[voters], labels, embedded[known], truth)
        metrics["neighbourAccuracy"] = float(right[known].mean())
        matches = embedding.right(guessed_training[voters], labels, guessed[known], truth)
        metrics["baselineNeighbourAccuracy"] = float(matches.mean())

    def of(index: Index) -> dict[str, float]:
        part = right[index][~np.isnan(right[index])]
        return {"neighbourAccuracy": float(part.mean())} if len(part) else {}

    return _Findings(metrics, {"projection": _projection(embedded, test.labels, about.names)}, of)


_FINDERS: dict[TaskKind, Callable[[_About], _Findings]] = {
    "anomaly": _anomalies,
    "clustering": _clusters,
    "embedding": _embeddings,
}


def _as_baseline(metrics: dict[str, float]) -> dict[str, float]:
    return {f"baseline{name[:1].upper()}{name[1:]}": value for name, value in metrics.items()}


def _projection(rows: Matrix | NDArray[np.float64], groups: Labels, names: tuple[str, ...]) -> Projection | None:
    """The rows on their first two principal components; None where there are not two dimensions or rows.

    The groups that have most rows keep their names, the others are one.
    """
    from sklearn.decomposition import PCA

    if min(rows.shape) < 2:
        return None
    fitted = PCA(n_components=2, random_state=0).fit(rows)
    shown = fitted.transform(rows[:_POINTS])
    order = np.argsort(-np.bincount(groups[groups >= 0], minlength=len(names)), kind="stable")
    kept = np.sort(order if len(names) <= _MOST_GROUPS else order[: _MOST_GROUPS - 1])
    place = {int(group): number for number, group in enumerate(kept)}
    named = [names[group] for group in kept]
    if any(int(group) not in place for group in groups[:_POINTS]):
        named.append("others" if named else "test rows")
    return Projection(
        points=tuple(
            (round(float(x), 4), round(float(y), 4), place.get(int(group), len(place)))
            for (x, y), group in zip(shown, groups[:_POINTS], strict=True)
        ),
        groups=tuple(named),
        variance=tuple(float(share) for share in fitted.explained_variance_ratio_),
    )


def _answers(predictor: Predictor, rows: pl.DataFrame, progress: Progress) -> Answers:
    parts: list[Answers] = []
    done = 0
    for chunk in rows.iter_slices(_CHUNK):
        found = predictor.predict(chunk).answers
        assert found is not None
        parts.append(found)
        done += len(chunk)
        progress.update(done, len(rows), unit="rows")
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _slices(
    columns: tuple[str, ...], rows: pl.DataFrame, predictor: Predictor, found: _Findings
) -> tuple[SliceMetrics, ...]:
    preprocessing = predictor.preprocessing
    read = preprocessing.state.columns if isinstance(preprocessing, TabularPreprocessing) else ()
    readers = {reader.name: reader for reader in read}
    return tuple(
        SliceMetrics(column=column, value=name, rows=len(index), metrics=found.of(index))
        for column in columns
        for name, index in slices.groups(rows, column, readers, preprocessing.target_state.words)
    )


def _table(rows: pl.DataFrame, predictor: Predictor, test: Rows, answers: Answers) -> pl.DataFrame:
    """predictions.parquet: the row's number, its label where one is named, and what the model answers."""
    table = rows.select(ROW_ID)
    names = predictor.preprocessing.target_state.labels
    if names:
        spelled = [names[label] if label >= 0 else None for label in test.labels.tolist()]
        table = table.with_columns(pl.Series("truth", spelled, dtype=pl.String))
    lists = pl.List(pl.Float64)
    return table.with_columns(
        pl.Series(name, values) if values.ndim == 1 else pl.Series(name, values.tolist(), dtype=lists)
        for name, values in answers.items()
    )
