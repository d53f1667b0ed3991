"""The model card: what a person should know before using the model. Pure; the same inputs give the same text.

The sections follow Mitchell et al. 2019, "Model Cards for Model Reporting"; the front matter is that of the Hugging
Face Hub.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from runwright_components.contract.artifacts import Field, ModelManifest, PreparedManifest, Signature
from runwright_components.contract.config import PackageConfig, TaskKind
from runwright_components.contract.evaluation import Evaluation
from runwright_components.contract.kinds import KINDS
from runwright_components.package.card_metrics import NAMES, ON_SLICES
from runwright_components.prepare.quality import ColumnQuality, Quality

_CLASSES = 20  # more are not listed one by one
_SLICES = 30
_LISTED = 5  # numbers of a list in the example

_ALONE: dict[TaskKind, str] = {
    "anomaly": (
        "Scores how unlike the training rows a row is, from 0 to 1; above 0.5 it is called an anomaly. An anomaly is "
        "rare, not wrong: look at it before acting on it."
    ),
    "clustering": (
        "Says which cluster a row is nearest to, and how far it is from each. The clusters' numbers mean nothing; what "
        "a cluster is, a person has to say."
    ),
    "control": (
        "Says for an observation which action to take, the best one known, nothing drawn by chance. It was trained and "
        "judged in one environment: where the world differs from that, watch it before letting it act."
    ),
    "embedding": (
        "Turns a row into a short vector; similar rows have near vectors. Vectors of two versions of the model do not "
        "compare."
    ),
}


def model_card(
    config: PackageConfig,
    *,
    model: ModelManifest,
    evaluation: Evaluation,
    prepared: PreparedManifest,
    quality: Quality,
    metrics: dict[str, float],
    parity: float | None,
) -> str:
    """The card in Markdown, with front matter."""
    blocks = [
        *_front_matter(config, model),
        f"# {config.name}",
        *([config.description.strip()] if config.description.strip() else []),
        _summary(model, evaluation),
        *_use(model.signature),
        *_data(prepared, quality),
        *_preprocessing(model.signature, quality),
        *_training(model),
        *_evaluation(evaluation, metrics),
        *_slices(evaluation),
        *_limits(model, evaluation, prepared, quality),
        *_call(config.name, model.signature),
        *_provenance(config, model, evaluation, prepared, parity),
    ]
    return "\n\n".join(blocks) + "\n"


def _front_matter(config: PackageConfig, model: ModelManifest) -> Iterator[str]:
    license_line = [f"license: {json.dumps(config.license)}"] if config.license else []
    yield "\n".join(
        [
            "---",
            *license_line,
            "library_name: runwright",
            f"pipeline_tag: {model.modality}-{model.task}",
            f"tags: [{model.modality}, {model.task}, onnx]",
            "---",
        ]
    )


def _summary(model: ModelManifest, evaluation: Evaluation) -> str:
    head = KINDS[model.task].shown[0]
    value = evaluation.metrics.get(head)
    score = (
        f" {NAMES[head]} on {evaluation.rows:,} untouched {KINDS[model.task].judged}: **{value:.4g}**."
        if value is not None
        else ""
    )
    size = f"A model of the family `{model.model.name}` with {model.parameters:,} parameters"
    return f"{size} for {model.modality} {model.task}.{score}"


def _use(signature: Signature) -> Iterator[str]:
    yield "## Intended use"
    what = (
        f"one of {len(signature.labels)} classes, with a probability for each"
        if signature.task == "classification"
        else "a number"
    )
    if signature.task == "generation":
        yield (
            "Writes text that continues a prompt. It was trained and judged on text like the one described below; what "
            "it writes is likely, not true: check it before relying on it."
        )
        return
    if signature.task in _ALONE:
        judged = f" It was judged by `{signature.target}`, which it never saw." if signature.target else ""
        yield f"{_ALONE[signature.task]}{judged}"
        return
    if signature.task == "forecasting":
        yield (
            f"Forecasts `{signature.target}` from its own past: a median and an interval for each step ahead. It was "
            "trained and judged on series like the ones described below; what the past does not hold, it cannot know."
        )
        return
    yield (
        f"Predicts `{signature.target}`: {what}. It was trained and judged on data like the ones described below; on "
        "other data, measure before trusting it."
    )
    if signature.labels:
        yield f"Classes: {_listed(signature.labels)}."


def _data(prepared: PreparedManifest, quality: Quality) -> Iterator[str]:
    yield "## Data"
    yield (
        f"{quality.rows_in:,} rows were read and {quality.rows_out:,} kept; {quality.duplicates.dropped:,} duplicates "
        f"were dropped. The split is {quality.strategy}."
    )
    yield _table(
        ("split", "rows", "share"),
        ((split.name, f"{split.rows:,}", f"{split.share:.1%}") for split in quality.splits),
    )
    if prepared.task == "forecasting":
        yield "A row of a split is a window: what is seen of a series and what follows, all of which lies in the split."
    labels = prepared.signature.labels
    if prepared.class_counts and len(labels) <= _CLASSES:
        counts = zip(labels, prepared.class_counts, strict=True)
        yield _table(("class", "training rows"), ((_code(label), f"{count:,}") for label, count in counts))


def _preprocessing(signature: Signature, quality: Quality) -> Iterator[str]:
    yield "## Preprocessing"
    if signature.task == "control":
        yield "None: an observation goes into the graph as it is, which standardizes it where that was learned."
    else:
        yield "Fitted on the training split alone, and applied by the same code in training, evaluation and serving."
    columns = {column.name: column for column in quality.columns}
    yield _table(
        ("input", "type", "missing values", "outliers"),
        (
            (_code(field.name), _type(field), _missing(columns.get(field.name)), _outliers(columns.get(field.name)))
            for field in signature.inputs
        ),
    )
    if signature.ignored:
        yield f"Accepted and not used: {_listed(signature.ignored)}."


def _training(model: ModelManifest) -> Iterator[str]:
    yield "## Training"
    settings = model.model.model_dump(mode="json", exclude_defaults=True)
    architecture = ", ".join(f"{key} {json.dumps(value)}" for key, value in settings.items() if key != "name")
    yield _table(
        ("", ""),
        (
            ("architecture", model.model.name + (f" ({architecture})" if architecture else "")),
            ("parameters", f"{model.parameters:,}"),
            ("steps", f"{model.steps:,}"),
            (f"best {'round' if model.model.trees else 'epoch'}, by the validation split", str(model.best_epoch)),
            ("precision", model.precision),
            ("processes", str(model.world_size)),
        ),
    )


def _evaluation(evaluation: Evaluation, metrics: dict[str, float]) -> Iterator[str]:
    yield "## Evaluation"
    if evaluation.task == "control":
        players = ", ".join(list(evaluation.returns)[1:])
        yield f"{evaluation.rows:,} whole episodes with seeds of their own; {players} played the same ones."
    else:
        yield f"On the test split, {evaluation.rows:,} rows that neither training nor the choice of the epoch has seen."
    order = [name for name in NAMES if name in metrics] + sorted(metrics.keys() - NAMES.keys())
    yield _table(("metric", "value"), ((NAMES.get(key, key), f"{metrics[key]:.4g}") for key in order))
    if evaluation.per_class and len(evaluation.per_class) <= _CLASSES:
        yield _table(
            ("class", "precision", "recall", "F1", "rows"),
            (
                (_code(row.label), f"{row.precision:.3f}", f"{row.recall:.3f}", f"{row.f1:.3f}", f"{row.support:g}")
                for row in evaluation.per_class
            ),
        )
    if evaluation.checks:
        yield f"The gate: **{evaluation.verdict}**."
        yield _table(
            ("bound", "measured", "passed"),
            (
                (_bound(check), "-" if check.value is None else f"{check.value:.4g}", "yes" if check.passed else "no")
                for check in evaluation.checks
                if check.metric in metrics
            ),
        )
    else:
        yield "The gate had no bounds."


def _slices(evaluation: Evaluation) -> Iterator[str]:
    if not evaluation.slices:
        return
    yield "## Slices"
    shown = evaluation.slices[:_SLICES]
    names = [name for name in ON_SLICES if any(name in part.metrics for part in shown)]
    yield _table(
        ("slice", "rows", *(NAMES[name] for name in names)),
        (
            (
                _code(f"{part.column}={part.value}"),
                f"{part.rows:,}",
                *(f"{part.metrics[name]:.4g}" if name in part.metrics else "-" for name in names),
            )
            for part in shown
        ),
    )
    if len(evaluation.slices) > _SLICES:
        yield f"{len(evaluation.slices) - _SLICES} more slices are in `metrics.json`."


def _limits(
    model: ModelManifest, evaluation: Evaluation, prepared: PreparedManifest, quality: Quality
) -> Iterator[str]:
    yield "## Limits"
    points = [f"Judged on {evaluation.rows:,} rows; differences smaller than the noise of so many rows mean nothing."]
    if evaluation.per_class:
        worst = min(evaluation.per_class, key=lambda row: row.recall)
        points.append(f"Finds {_code(worst.label)} least well: recall {worst.recall:.3f} on {worst.support:g} rows.")
    if prepared.class_counts and min(prepared.class_counts) < 30:
        rarest = prepared.signature.labels[prepared.class_counts.index(min(prepared.class_counts))]
        points.append(f"Saw {min(prepared.class_counts)} training rows of {_code(rarest)}, the rarest class.")
    if evaluation.calibration is not None:
        points.append(f"Probabilities are off by {evaluation.calibration.error:.1%} on average (calibration error).")
    if model.modality == "tabular":
        points.append("Categories that training has not seen are read as one category, unseen.")
    points += [warning.rstrip(".") + "." for warning in quality.warnings]
    yield "\n".join(f"- {point}" for point in points)


def _call(name: str, signature: Signature) -> Iterator[str]:
    yield "## How to call it"
    yield "\n".join(
        [
            "```sh",
            "runwright serve . --port 8080     # in the folder of this file",
            f"curl -d @example.json -H 'Content-Type: application/json' http://127.0.0.1:8080/v1/models/{name}:predict",
            "```",
        ]
    )
    yield "A row holds every input; `null` stands for a value that is not known. `example.json` is a request:"
    example = {key: _short(value) for key, value in signature.example.items()}
    text = json.dumps({"instances": [example]}, indent=2, ensure_ascii=False)
    yield f"```json\n{text}\n```"


def _provenance(
    config: PackageConfig,
    model: ModelManifest,
    evaluation: Evaluation,
    prepared: PreparedManifest,
    parity: float | None,
) -> Iterator[str]:
    yield "## Provenance"
    raw = {f"{name} data": digest for name, digest in prepared.lineage.inputs.items()}
    yield _table(
        ("", "digest"),
        (
            *((name, _code(digest)) for name, digest in sorted(raw.items())),
            ("prepared data", _code(prepared.digest)),
            ("model", _code(model.digest)),
            ("judged model", _code(evaluation.model_digest)),
        ),
    )
    if parity is None:
        yield "The graph was exported by the user's own code, which left nothing to compare it with."
        return
    yield (
        f"ONNX Runtime and the trained weights differ by at most {parity:.2g} in their outputs on the test split "
        f"({config.parity_tolerance:g} is allowed)."
    )


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(_cell(cell) for cell in line) + " |" for line in lines)


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _code(text: str) -> str:
    return f"`{text.replace('`', chr(39))}`" if text.strip() else '""'


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(_code(name) for name in names[:_CLASSES])
    return shown if len(names) <= _CLASSES else f"{shown} and {len(names) - _CLASSES} more"


def _type(field: Field) -> str:
    known = f", {len(field.categories)} known" if field.categories else ""
    return field.type + known


def _missing(column: ColumnQuality | None) -> str:
    filled = column.imputation if column else None
    if filled is None:
        return "-"
    value = (
        ""
        if filled.value is None
        else f" {filled.value:.4g}"
        if isinstance(filled.value, float)
        else f" {filled.value}"
    )
    return filled.strategy + value + (", with an indicator" if filled.indicator else "")


def _outliers(column: ColumnQuality | None) -> str:
    rule = column.outliers if column else None
    if rule is None or rule.action == "none":
        return "-"
    return f"{rule.action} beyond {rule.low:.4g} to {rule.high:.4g}"


def _bound(check: Any) -> str:
    name = NAMES.get(check.metric, check.metric)
    low = f"{check.min:g} ≤ " if check.min is not None else ""
    high = f" ≤ {check.max:g}" if check.max is not None else ""
    return f"{low}{name}{high}" + (f" on {_code(check.slice)}" if check.slice else "")


def _short(value: object) -> object:
    if isinstance(value, list) and len(value) > _LISTED:
        return [*value[:_LISTED], f"... {len(value)} in all"]
    return value if not isinstance(value, str) or len(value) <= 200 else value[:200] + "..."
