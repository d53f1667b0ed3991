"""What the pages show of the evaluation: verdict, metrics in context, tables and charts. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from runwright_components.contract.evaluation import Evaluation, SliceMetrics
from runwright_components.contract.kinds import KINDS, UNSUPERVISED
from runwright_components.report import control_view, forecast_view, unsupervised_view
from runwright_components.report.charts import Chart, Tone, histogram, scatter, unit_square
from runwright_components.report.folds_view import FoldsView, folds_view
from runwright_components.report.wording import METRICS, count, digits, fixed, metric, number, percent, rows

LARGEST_MATRIX = 16  # classes; a larger one is drawn without figures
SMALL_SLICE = 30  # rows; below, a slice's metrics are mostly chance
_CONFUSIONS = 8
_NAMED_CURVES = 4  # more lines cannot be told apart by their colour


@dataclass(frozen=True)
class Tile:
    name: str
    figure: str
    context: str


@dataclass(frozen=True)
class Cell:
    """`heat` from 0 to 10: the share of the truth's row, in steps that a style sheet can name."""

    rows: str
    share: str
    heat: int
    right: bool


@dataclass(frozen=True)
class Matrix:
    labels: tuple[str, ...]
    rows: tuple[tuple[str, tuple[Cell, ...], str], ...]  # (label, cells, all)


@dataclass(frozen=True)
class SliceRow:
    value: str
    rows: str
    small: bool
    figure: str
    width: str  # of the bar, per cent
    delta: str
    worse: bool
    others: tuple[str, ...]


@dataclass(frozen=True)
class SliceTable:
    column: str
    main: str
    others: tuple[str, ...]
    whole: SliceRow
    rows: tuple[SliceRow, ...]


@dataclass(frozen=True)
class EvaluationView:
    passed: bool
    headline: str
    checks: tuple[tuple[bool, str], ...]
    caution: str
    tiles: tuple[Tile, ...]
    metrics: tuple[tuple[str, str, str], ...]  # (name, figure, meaning)
    folds: FoldsView | None
    matrix: Matrix | None
    confusions: tuple[tuple[str, str, str, str], ...]  # (truth, prediction, rows, share of the truth)
    classes: tuple[tuple[str, tuple[tuple[str, str], ...], str], ...]  # (label, ((figure, width) ...), support)
    charts: tuple[Chart, ...]
    slices: tuple[SliceTable, ...]
    samples: tuple[tuple[str, str, str], ...]  # (prompt, what the model wrote, what stands in the test split)
    latency: tuple[Tile, ...]


def evaluation_view(evaluation: Evaluation) -> EvaluationView:
    return EvaluationView(
        passed=evaluation.verdict == "passed",
        headline=_headline(evaluation),
        checks=tuple((check.passed, check.message) for check in evaluation.checks),
        caution=_caution(evaluation),
        tiles=tuple(_tiles(evaluation)),
        metrics=tuple(
            (text.name, text.show(evaluation.metrics[name]), text.meaning)
            for name, text in METRICS.items()
            if name in evaluation.metrics
        ),
        folds=None if evaluation.cross_validation is None else folds_view(evaluation.cross_validation),
        matrix=_matrix(evaluation) if 0 < len(evaluation.labels) <= LARGEST_MATRIX and evaluation.confusion else None,
        confusions=tuple(_confusions(evaluation)),
        classes=tuple(
            (
                entry.label,
                tuple((fixed(value), f"{value * 100:.2f}%") for value in (entry.precision, entry.recall, entry.f1)),
                count(entry.support),
            )
            for entry in evaluation.per_class
        ),
        charts=tuple(_charts(evaluation)),
        slices=tuple(_slices(evaluation)),
        samples=tuple((sample.prompt, sample.text, sample.truth) for sample in evaluation.samples),
        latency=_latency(evaluation),
    )


def _headline(evaluation: Evaluation) -> str:
    failed = sum(not check.passed for check in evaluation.checks)
    total = len(evaluation.checks)
    if failed:
        return f"Rejected: {failed} of {total} checks failed" if total > 1 else "Rejected by its only check"
    if not total:
        return "Passed: the gate has no bounds"
    return f"Passed all {total} checks" if total > 1 else "Passed its check"


def _caution(evaluation: Evaluation) -> str:
    """What a passed gate must not hide: a model that knows no more than a guess."""
    found = evaluation.metrics
    if "accuracy" in found and found["accuracy"] <= found.get("baselineAccuracy", -1.0):
        return (
            "By accuracy the model is no better than always guessing the most frequent class. With uneven classes, "
            "judge by balancedAccuracy or rocAuc, and try train.classWeights: balanced."
        )
    if "rmse" in found and found["rmse"] >= found.get("baselineRmse", math.inf):
        return "The model is no better than always guessing the mean of the training split."
    if "bitsPerByte" in found and found["bitsPerByte"] >= found.get("baselineBitsPerByte", math.inf):
        return "The model foretells the text no better than the frequencies of its tokens do."
    return forecast_view.caution(found) or unsupervised_view.caution(found) or control_view.caution(found)


def _tiles(evaluation: Evaluation) -> Iterator[Tile]:
    found = evaluation.metrics
    wanted: tuple[str, ...]
    if evaluation.task == "generation":
        wanted = ("bitsPerByte", "perplexity", "tokenAccuracy")
        context = {
            "bitsPerByte": f"by the tokens' frequencies alone: {number(found.get('baselineBitsPerByte'))}",
            "perplexity": "a token",
            "tokenAccuracy": "share of tokens that are the likeliest",
        }
    elif evaluation.task == "forecasting":
        context = forecast_view.contexts(found)
        wanted = tuple(context)
    elif evaluation.task == "control":
        context = control_view.contexts(found)
        wanted = tuple(context)
    elif evaluation.task in UNSUPERVISED:
        wanted = KINDS[evaluation.task].main
        context = unsupervised_view.contexts(found, wanted)
    elif evaluation.task == "classification":
        wanted = ("accuracy", "f1Macro", "rocAuc", "logLoss")
        context = {
            "accuracy": f"guessing the commonest class: {fixed(found.get('baselineAccuracy'))}",
            "f1Macro": "mean of the classes",
            "rocAuc": "0.5 is chance, 1 is perfect",
            "logLoss": f"guessing evenly: {fixed(math.log(max(2, len(evaluation.labels))))}",
        }
    else:
        wanted = ("rmse", "mae", "r2")
        context = {
            "rmse": f"guessing the mean: {number(found.get('baselineRmse'))}",
            "mae": "mean absolute error",
            "r2": "share of the variance explained",
        }
    for name in wanted:
        if name in found:
            yield Tile(metric(name).name, metric(name).show(found[name]), context[name])
    yield Tile("Latency", f"{number(evaluation.latency.p50_ms)} ms", "median of one row a request")


def _matrix(evaluation: Evaluation) -> Matrix:
    table = []
    for index, (label, counts) in enumerate(zip(evaluation.labels, evaluation.confusion, strict=True)):
        whole = sum(counts)
        cells = tuple(
            Cell(
                count(found) if found else "",
                percent(found / whole) if whole and found else "",
                math.ceil(10 * found / whole) if whole else 0,
                index == column,
            )
            for column, found in enumerate(counts)
        )
        table.append((label, cells, count(whole)))
    return Matrix(evaluation.labels, tuple(table))


def _confusions(evaluation: Evaluation) -> Iterator[tuple[str, str, str, str]]:
    """What is mistaken for what, most often first."""
    pairs = [
        (found, truth, predicted)
        for truth, counts in enumerate(evaluation.confusion)
        for predicted, found in enumerate(counts)
        if found and truth != predicted
    ]
    for found, truth, predicted in sorted(pairs, key=lambda pair: (-pair[0], pair[1], pair[2]))[:_CONFUSIONS]:
        of_truth = percent(found / sum(evaluation.confusion[truth]))
        yield evaluation.labels[truth], evaluation.labels[predicted], count(found), of_truth


def _charts(evaluation: Evaluation) -> Iterator[Chart]:
    if evaluation.roc:
        yield _roc(evaluation)
    if evaluation.calibration is not None:
        yield _calibration(evaluation)
    if evaluation.residuals:
        yield from _regression(evaluation)
    yield from forecast_view.charts(evaluation)
    yield from control_view.charts(evaluation)
    yield from unsupervised_view.charts(evaluation)


def _roc(evaluation: Evaluation) -> Chart:
    curves = evaluation.roc
    tones: Sequence[Tone] = ("one", "two", "good", "bad") if 1 < len(curves) <= _NAMED_CURVES else ("one",)
    named = len(curves) <= _NAMED_CURVES
    area = evaluation.metrics.get("rocAuc")
    return unit_square(
        "ROC",
        f"Receiver operating characteristic, one class against the rest; mean area {fixed(area)}",
        [
            (curve.label if named else "", tones[index % len(tones)], list(zip(curve.fpr, curve.tpr, strict=True)))
            for index, curve in enumerate(curves)
        ],
        x_label="false positive rate",
        y_label="true positive rate",
    )


def _calibration(evaluation: Evaluation) -> Chart:
    found = evaluation.calibration
    assert found is not None
    bins = len(found.count)
    whole = max(sum(found.count), 1)
    largest = max(found.count)
    points = [
        (found.confidence[index], found.accuracy[index], found.count[index])
        for index in range(bins)
        if found.count[index]
    ]
    return unit_square(
        "Calibration",
        f"Accuracy against confidence in {bins} bins; the mean distance is {fixed(found.error)}. "
        "Bars show how many rows a bin has.",
        [("", "one", [(confidence, accuracy) for confidence, accuracy, _ in points])],
        x_label="confidence",
        y_label="accuracy",
        dots=[
            (
                confidence,
                accuracy,
                2.5 + 3.5 * math.sqrt(rows_in / whole),
                f"{rows(rows_in)}: {percent(accuracy)} right",
            )
            for confidence, accuracy, rows_in in points
        ],
        bars=[
            (index / bins, (index + 1) / bins, 0.3 * found.count[index] / largest, rows(found.count[index]))
            for index in range(bins)
            if found.count[index]
        ],
    )


def _regression(evaluation: Evaluation) -> Iterator[Chart]:
    pairs = evaluation.residuals
    yield scatter(
        "Truth and prediction",
        f"{len(pairs)} test rows; on the diagonal the prediction is the truth",
        pairs,
        x_label="truth",
        y_label="prediction",
    )
    errors = np.array([predicted - truth for truth, predicted in pairs])
    counts, edges = np.histogram(errors, bins=min(24, max(5, round(math.sqrt(len(pairs))))))
    yield histogram(
        "Errors",
        f"Prediction minus truth, from {number(float(errors.min()))} to {number(float(errors.max()))}",
        edges.tolist(),
        counts.tolist(),
        x_label="prediction \u2212 truth",
        y_label="rows",
    )


def _slices(evaluation: Evaluation) -> Iterator[SliceTable]:
    main, *others = KINDS[evaluation.task].main
    for column in dict.fromkeys(part.column for part in evaluation.slices):
        parts = [part for part in evaluation.slices if part.column == column]
        whole = SliceMetrics(column=column, value="all test rows", rows=evaluation.rows, metrics=evaluation.metrics)
        every = (*parts, whole)
        places = {name: _places(name, every) for name in (main, *others)}
        largest = 1.0 if metric(main).ratio else max(part.metrics.get(main, 0.0) for part in every) or 1.0
        yield SliceTable(
            column=column,
            main=metric(main).name,
            others=tuple(metric(name).name for name in others),
            whole=_slice(whole, whole, places, largest),
            rows=tuple(_slice(part, whole, places, largest) for part in parts),
        )


def _places(name: str, parts: Sequence[SliceMetrics]) -> int:
    """Digits after the point that all rows of a column share, so that its figures align."""
    return 3 if metric(name).ratio else digits(part.metrics.get(name) for part in parts)


def _slice(part: SliceMetrics, whole: SliceMetrics, places: Mapping[str, int], largest: float) -> SliceRow:
    """`places` names the metrics to show, the main one first."""
    main, *others = places
    value, of_all = part.metrics.get(main), whole.metrics.get(main)
    delta = value - of_all if value is not None and of_all is not None else 0.0
    differs = abs(delta) > 1e-9
    return SliceRow(
        value=part.value,
        rows=count(part.rows),
        small=part.rows < SMALL_SLICE,
        figure=fixed(value, places[main]),
        width=f"{100 * (value or 0.0) / largest:.2f}%",
        delta=("+" if delta > 0 else "") + fixed(delta, places[main]) if differs else "",
        worse=differs and (delta < 0) == metric(main).higher_is_better,
        others=tuple(fixed(part.metrics.get(name), places[name]) for name in others),
    )


def _latency(evaluation: Evaluation) -> tuple[Tile, ...]:
    found = evaluation.latency
    return (
        Tile("p50", f"{number(found.p50_ms)} ms", "one row a request"),
        Tile("p99", f"{number(found.p99_ms)} ms", f"of {count(found.requests)} requests"),
        Tile("Throughput", f"{count(found.rows_per_second)} rows/s", f"in batches of {found.batch}"),
    )
