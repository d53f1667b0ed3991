"""Fitting a table's preprocessing on the training split, a column at a time, with the report of each column."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import JsonValue

from runwright_components.contract.artifacts import Field, Signature, Tensor
from runwright_components.contract.config import PrepareConfig
from runwright_components.contract.kinds import LABELLED, UNSUPERVISED
from runwright_components.contract.outcome import Reason, StageError
from runwright_components.features.tabular_state import CategoricalInput, NumericInput, TabularState
from runwright_components.features.target import Target
from runwright_components.prepare import fit_categorical, fit_imputation, fit_numeric, labels
from runwright_components.prepare.clean import Cleaned, Mask
from runwright_components.prepare.describe import categories, numbers
from runwright_components.prepare.fit_imputation import BY_ROW, Gaps
from runwright_components.prepare.infer import Plan
from runwright_components.prepare.quality import ColumnQuality, Summary
from runwright_components.prepare.raw import RawData
from runwright_components.prepare.repairs import number_repairs
from runwright_components.prepare.select import Selection

_LISTED = 200  # categories that the signature lists
_WORKERS = 2


@dataclass(frozen=True)
class FittedTable:
    state: TabularState
    columns: tuple[ColumnQuality, ...]
    selection: Selection  # without the training rows that outliers: drop left out
    warnings: tuple[str, ...]
    neighbours: NDArray[np.float64] | None = None  # the reference that missing: nearest looks into
    gaps: dict[str, Gaps] = field(default_factory=dict)  # of the training split, filled in its order


def fit(
    data: RawData,
    cleaned: Cleaned,
    plans: Sequence[Plan],
    selection: Selection,
    config: PrepareConfig,
    tick: Callable[[str], None],
) -> FittedTable:
    """Fit every column. Raises StageError when no input is left, or two inputs would have one name."""
    limits = _limits(cleaned, plans, selection, config)
    for name, found in limits.items():
        if found.rules.action == "drop":
            outside = found.outside(cleaned.numbers(name)) & selection.of("train")
            selection = selection.leave_out(outside, "an outlier, in the training split", name)
    train = selection.of("train")
    _require_numbers(plans)
    order = fit_imputation.ordered(plans, cleaned, train, config)

    def fit_column(plan: Plan) -> _Column:
        column = _column(plan, data, cleaned, selection, limits.get(plan.name), config, order)
        tick(plan.name)
        return column

    # numpy lets go of the interpreter while it works; two columns at a time still fit into memory.
    with ThreadPoolExecutor(_WORKERS) as pool:
        columns = list(pool.map(fit_column, plans))
    reports = [column.report for column in columns]
    strategies = {plan.name: fit_numeric.strategy_of(plan, config) for plan in plans}
    fitted_plans = [
        plan.ignore(column.report.reason) if plan.role == "input" and column.report.role == "ignored" else plan
        for plan, column in zip(plans, columns, strict=True)
    ]
    numeric = [item for column in columns for item in column.numeric]
    categorical = [column.categorical for column in columns if column.categorical is not None]
    shown = {column.report.name: column.labels for column in columns}
    inputs = [plan for plan in fitted_plans if plan.role == "input"]
    _require_inputs(inputs, reports)
    state = TabularState(
        words=labels.words(config),
        columns=tuple(plan.reader for plan in inputs if plan.reader is not None),
        numeric=tuple(numeric),
        categorical=tuple(categorical),
        target=_target(cleaned, plans, selection, config),
        signature=Signature(task=config.task, modality="tabular", inputs=(), tensors=()),
    )
    _require_unique(state)
    signature = _signature(state, fitted_plans, shown, data, train, config)
    imputed = fit_imputation.fit(state, strategies, cleaned, train, config)
    if imputed.state is not state:
        reports = fit_imputation.told(imputed, reports, cleaned, selection.kept)
    return FittedTable(
        imputed.state.model_copy(update={"signature": signature}),
        tuple(reports),
        selection,
        tuple(plan.warning for plan in fitted_plans if plan.warning),
        imputed.neighbours,
        {column.report.name: column.gaps for column in columns if column.gaps is not None},
    )


@dataclass(frozen=True)
class _Column:
    report: ColumnQuality
    numeric: tuple[NumericInput, ...] = ()
    categorical: CategoricalInput | None = None
    labels: tuple[str, ...] = ()
    gaps: Gaps | None = None


def _column(
    plan: Plan,
    data: RawData,
    cleaned: Cleaned,
    selection: Selection,
    limits: fit_numeric.Bounds | None,
    config: PrepareConfig,
    order: fit_imputation.Order | None,
) -> _Column:
    if plan.reader is None:
        return _Column(_ignored(plan, cleaned))
    if plan.type == "categorical":
        return _categorical(plan, cleaned, selection, config)
    return _numeric(plan, data, cleaned, selection, limits, config, order)


def _require_numbers(plans: Sequence[Plan]) -> None:
    for plan in plans:
        wanted = plan.rules.missing if plan.rules is not None else None
        if plan.role == "input" and wanted in BY_ROW and plan.type not in ("numeric", "boolean"):
            raise StageError(
                Reason.INVALID_CONFIG,
                f"missing: {wanted} is for numbers, column {plan.name!r} is {plan.type}",
                where=f"column {plan.name}",
                cure="choose mode, constant or drop, or leave missing to its default",
            )


def _limits(
    cleaned: Cleaned, plans: Sequence[Plan], selection: Selection, config: PrepareConfig
) -> dict[str, fit_numeric.Bounds]:
    """The outliers' bounds of each column that has a rule."""
    train = selection.of("train")
    found = {}
    for plan in plans:
        ruled = config.outliers.rule != "none" or (plan.rules is not None and plan.rules.outliers is not None)
        if plan.role == "input" and plan.type == "numeric" and ruled:
            limits = fit_numeric.bounds(plan, cleaned.numbers(plan.name)[train], config)
            if limits is not None:
                found[plan.name] = limits
    return found


def _numeric(
    plan: Plan,
    data: RawData,
    cleaned: Cleaned,
    selection: Selection,
    limits: fit_numeric.Bounds | None,
    config: PrepareConfig,
    order: fit_imputation.Order | None,
) -> _Column:
    train, kept = selection.of("train"), selection.kept
    column = cleaned.column(plan.name)
    values = column.to_numpy()
    before = numbers(values, times=plan.type == "datetime")
    report = ColumnQuality(
        name=plan.name,
        source_type=str(plan.dtype),
        type=plan.type,
        role=plan.role,
        reason=plan.reason,
        given=plan.given,
        before=before,
        repairs=tuple(number_repairs(plan, data, cleaned, column)),
    )
    if plan.role != "input":
        edges = before.histogram.edges if before.histogram else None
        after = numbers(values[kept], edges, times=plan.type == "datetime")
        return _Column(report.model_copy(update={"after": after}))
    fitted = fit_numeric.fit(plan, values, train, kept, limits, config, before, order)
    if not fitted.inputs:
        return _Column(report.model_copy(update={"role": "ignored", "reason": fitted.reason}))
    update = {
        "after": fitted.after,
        "imputation": fitted.imputation,
        "outliers": fit_numeric.outliers(limits, values, kept) if limits else None,
        "inputs": tuple(f"n:{item.name}" for item in fitted.inputs),
    }
    return _Column(report.model_copy(update=update), fitted.inputs, gaps=fitted.gaps)


def _categorical(plan: Plan, cleaned: Cleaned, selection: Selection, config: PrepareConfig) -> _Column:
    spelled = cleaned.spellings[plan.name]
    column = cleaned.column(plan.name)
    size = len(spelled.texts)
    by_split = fit_categorical.counts(column, selection.codes, size)
    all_rows, train_rows, kept_rows = by_split.sum(axis=0), by_split[0], by_split[:-1].sum(axis=0)
    everything = fit_categorical.by_key(spelled, all_rows)
    shown = dict(everything.select("key", "label").iter_rows())
    shown.update(fit_categorical.by_key(spelled, train_rows).select("key", "label").iter_rows())
    spellings = pl.DataFrame({"value": spelled.texts, "rows": all_rows})
    report = ColumnQuality(
        name=plan.name,
        source_type=str(plan.dtype),
        type=plan.type,
        role=plan.role,
        reason=plan.reason,
        given=plan.given,
        before=categories(spellings, column.null_count()),
        repairs=tuple(fit_categorical.repairs(spelled, all_rows, shown)),
    )
    if plan.role != "input":
        after = fit_categorical.by_key(spelled, kept_rows).select(pl.col("key").replace(shown).alias("value"), "rows")
        gaps = int(selection.kept.sum()) - int(after["rows"].sum())
        return _Column(report.model_copy(update={"after": categories(after, gaps)}))
    rows = {"train": int(selection.of("train").sum()), "kept": int(selection.kept.sum())}
    fitted = fit_categorical.fit(plan, spelled, train_rows, kept_rows, rows, config)
    if fitted.item is None:
        return _Column(report.model_copy(update={"role": "ignored", "reason": fitted.reason}))
    item = fitted.item
    names = tuple(f"n:{name}" for name in item.onehot_names) if item.onehot else (f"c:{item.name}",)
    update: dict[str, object] = {"after": fitted.after, "imputation": fitted.imputation, "inputs": names}
    if fitted.rare:
        note = f"{fitted.rare} rare categories are coded like unseen ones"
        update["reason"] = f"{plan.reason}; {note}" if plan.reason else note
    return _Column(report.model_copy(update=update), (), item, fitted.labels)


def _ignored(plan: Plan, cleaned: Cleaned) -> ColumnQuality:
    return ColumnQuality(
        name=plan.name,
        source_type=str(plan.dtype),
        type="ignore",
        role="ignored",
        reason=plan.reason,
        given=plan.given,
        before=Summary(rows=cleaned.rows),
    )


def _target(cleaned: Cleaned, plans: Sequence[Plan], selection: Selection, config: PrepareConfig) -> Target:
    plan = next((plan for plan in plans if plan.role == "target"), None)
    if plan is None:
        return Target(name="", task=config.task, words=labels.words(config))
    if config.task in LABELLED:
        spelled = cleaned.spellings[plan.name]
        rows = fit_categorical.counts(cleaned.column(plan.name), selection.codes, len(spelled.texts))
        table = fit_categorical.by_key(spelled, rows[0])
        return labels.target_of_classes(dict(table.select("key", "label").iter_rows()), config)
    values = pl.Series(cleaned.numbers(plan.name)[selection.of("train")])
    notation = plan.reader.notation if plan.reader else None
    return labels.fit(values, values, config, notation)


def _require_inputs(inputs: Sequence[Plan], reports: Sequence[ColumnQuality]) -> None:
    if inputs:
        return
    ignored = [report for report in reports if report.role == "ignored"]
    said = "; ".join(f"{report.name}: {report.reason}" for report in ignored[:5]) or "the target is the only column"
    raise StageError(
        Reason.DATA_INVALID,
        f"no column is left to learn from ({said})",
        where="prepare.columns",
        cure="give a column its type in prepare.columns, or add columns to the source",
    )


def _require_unique(state: TabularState) -> None:
    owner: dict[str, str] = {}
    pairs = [(item.name, item.column) for item in state.numeric]
    pairs += [(name, item.column) for item in state.categorical if item.onehot for name in item.onehot_names]
    for name, column in pairs:
        if name in owner:
            raise StageError(
                Reason.DATA_INVALID,
                f"the columns {owner[name]!r} and {column!r} both make the input {name!r}",
                where=f"column {column}",
                cure="rename one of them in the source, or ignore one in prepare.columns",
            )
        owner[name] = column


def _signature(
    state: TabularState,
    plans: Sequence[Plan],
    shown: dict[str, tuple[str, ...]],
    data: RawData,
    train: Mask,
    config: PrepareConfig,
) -> Signature:
    inputs = [plan for plan in plans if plan.role == "input" and plan.reader is not None]
    row = _example(data, train, [plan.name for plan in inputs], set(config.missing.words))
    fields = []
    for plan in inputs:
        reader = plan.reader
        assert reader is not None
        names = shown.get(plan.name, ())
        fields.append(
            Field(
                name=plan.name,
                type=reader.type,
                text=reader.text,
                categories=names if len(names) <= _LISTED else (),
                example=row[plan.name],
            )
        )
    tensors = []
    if state.numeric_names:
        tensors.append(Tensor(name="numeric", dtype="float32", shape=(None, len(state.numeric_names))))
    if state.coded:
        tensors.append(Tensor(name="categorical", dtype="int64", shape=(None, len(state.coded))))
    return Signature(
        task=config.task,
        modality="tabular",
        inputs=tuple(fields),
        ignored=tuple(plan.name for plan in plans if plan.role != "input"),
        labels=() if config.task in UNSUPERVISED else state.target.labels,
        target=config.target,
        tensors=tuple(tensors),
        example=row,
    )


def _example(data: RawData, train: Mask, names: Sequence[str], missing: set[str]) -> dict[str, JsonValue]:
    """Of the first training rows the one with the fewest gaps."""
    rows = data.rows_at(np.flatnonzero(train)[:10].tolist())

    def known(row: dict[str, JsonValue]) -> int:
        return sum(row[name] is not None and str(row[name]).strip().lower() not in missing for name in names)

    fullest = max(rows, key=known)
    return {name: fullest[name] for name in names}
