"""Fitting a table's preprocessing on the training split, a column at a time, with the report of each column."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import polars as pl
from numpy.typing import NDArray

from runwright_components.contract.artifacts import Signature
from runwright_components.contract.config import PrepareConfig, TfidfRules
from runwright_components.contract.kinds import LABELLED
from runwright_components.contract.outcome import Reason, StageError
from runwright_components.features.derived import BinnedInput
from runwright_components.features.reading import Coder, coded
from runwright_components.features.tabular_state import CategoricalInput, NumericInput, TabularState
from runwright_components.features.target import Target
from runwright_components.features.tfidf import TextInput
from runwright_components.prepare import (
    column_choice,
    fit_bins,
    fit_categorical,
    fit_encodings,
    fit_imputation,
    fit_numeric,
    fit_text,
    isolation,
    labels,
)
from runwright_components.prepare.clean import Cleaned
from runwright_components.prepare.describe import categories, numbers
from runwright_components.prepare.fit_encodings import Encoded, Folds, Outcomes, OutOfFold
from runwright_components.prepare.fit_imputation import BY_ROW, Gaps
from runwright_components.prepare.infer import Plan
from runwright_components.prepare.quality import ColumnQuality, Repair, Summary
from runwright_components.prepare.raw import RawData
from runwright_components.prepare.repairs import number_repairs
from runwright_components.prepare.select import Selection
from runwright_components.prepare.table_signature import signature_of

_WORKERS = 2
_TOGETHER = 10_000_000  # rows above which a column is fitted alone: it takes about 50 bytes a row


@dataclass(frozen=True)
class FittedTable:
    state: TabularState
    columns: tuple[ColumnQuality, ...]
    selection: Selection  # without the training rows that outliers: drop left out
    warnings: tuple[str, ...]
    neighbours: NDArray[np.float64] | None = None  # the reference that missing: nearest looks into
    gaps: dict[str, Gaps] = field(default_factory=dict)  # of the training split, filled in its order
    out_of_fold: OutOfFold | None = None  # where a category becomes the mean of the target


def fit(
    data: RawData,
    cleaned: Cleaned,
    plans: Sequence[Plan],
    selection: Selection,
    config: PrepareConfig,
    tick: Callable[[str], None],
) -> FittedTable:
    """Fit every column. Raises StageError when no input is left, or two inputs would have one name."""
    fit_bins.require_columns(plans, config)
    plans = column_choice.choose(plans, cleaned, selection.of("train"), config)
    limits = _limits(cleaned, plans, selection, config)
    for name, found in limits.items():
        if found.rules.action == "drop":
            outside = found.outside(cleaned.numbers(name)) & selection.of("train")
            selection = selection.leave_out(outside, "an outlier, in the training split", name)
    if config.outliers.rule == "isolation":
        selection = isolation.leave_out(cleaned, plans, selection, config)
    train = selection.of("train")
    _require_numbers(plans)
    order = fit_imputation.ordered(plans, cleaned, train, config)

    target = _target(cleaned, plans, selection, config)
    encodings = _Encodings(cleaned, target, selection, config)

    def fit_column(plan: Plan) -> _Column:
        column = _column(plan, data, cleaned, selection, limits.get(plan.name), config, order, encodings)
        tick(plan.name)
        return column

    # numpy lets go of the interpreter while it works.
    with ThreadPoolExecutor(_WORKERS if cleaned.rows <= _TOGETHER else 1) as pool:
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
        binned=tuple(column.binned for column in columns if column.binned is not None),
        lookups=tuple(item for column in columns for item in column.encoded.inputs),
        texts=tuple(column.text for column in columns if column.text is not None),
        products=fit_bins.products(numeric, plans, config.numeric.polynomial) if config.numeric.polynomial else (),
        target=target,
        signature=Signature(task=config.task, modality="tabular", inputs=(), tensors=()),
    )
    _require_unique(state)
    signature = signature_of(state, fitted_plans, shown, data, train, config)
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
        encodings.out_of_fold(column.encoded for column in columns),
    )


@dataclass(frozen=True)
class _Column:
    report: ColumnQuality
    numeric: tuple[NumericInput, ...] = ()
    categorical: CategoricalInput | None = None
    labels: tuple[str, ...] = ()
    gaps: Gaps | None = None
    binned: BinnedInput | None = None
    text: TextInput | None = None
    encoded: Encoded = field(default_factory=Encoded)


class _Encodings:
    """What encoding by the target needs of the whole table, worked out where a column asks for it."""

    def __init__(self, cleaned: Cleaned, target: Target, selection: Selection, config: PrepareConfig) -> None:
        self._cleaned, self._config = cleaned, config
        self._train = selection.of("train")
        self._target = target

    @cached_property
    def _seen(self) -> tuple[Outcomes, Folds]:
        outcomes = fit_encodings.outcomes(self._cleaned, self._target, self._train)
        return outcomes, fit_encodings.folds_of(self._train, self._config)

    def out_of_fold(self, columns: Iterable[Encoded]) -> OutOfFold | None:
        """What the training rows get of all columns, None where that is what is served."""
        tables = {name: table for column in columns for name, table in column.out_of_fold.items()}
        return OutOfFold(self._seen[1], tables) if tables else None

    def of(self, item: CategoricalInput, plan: Plan) -> Encoded:
        """The inputs of a column whose codes are looked up."""
        assert plan.reader is not None
        rules = labels.words(self._config)
        coder = Coder(item, plan.reader, rules)
        column = self._cleaned.column(plan.name).filter(pl.Series(self._train))
        codes = coded(column, coder.read(self._cleaned.spellings[plan.name].texts), item.missing)
        if fit_categorical.encoding_of(plan, self._config) == "ordinal":
            return fit_encodings.by_order(item, codes, plan, rules)
        return fit_encodings.by_target(item, codes, *self._seen, self._config.categorical)


def _column(
    plan: Plan,
    data: RawData,
    cleaned: Cleaned,
    selection: Selection,
    limits: fit_numeric.Bounds | None,
    config: PrepareConfig,
    order: fit_imputation.Order | None,
    encodings: _Encodings,
) -> _Column:
    if plan.reader is None:
        return _Column(_ignored(plan, cleaned))
    if plan.type == "text":
        return _text(plan, cleaned, selection, config)
    if plan.type == "categorical":
        return _categorical(plan, cleaned, selection, config, encodings)
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
    report = _found(plan, before, number_repairs(plan, data, cleaned, column))
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
    rules = fit_bins.rules_of(plan, config)
    cut = fit_bins.bins(fitted.inputs, values[train], rules) if rules else None
    if cut is not None:
        update["inputs"] = _input_names(cut)
        return _Column(report.model_copy(update=update), binned=cut)
    return _Column(report.model_copy(update=update), fitted.inputs, gaps=fitted.gaps)


def _input_names(item: CategoricalInput | BinnedInput) -> tuple[str, ...]:
    return tuple(f"n:{name}" for name in item.onehot_names) if item.onehot else (f"c:{item.name}",)


def _text(plan: Plan, cleaned: Cleaned, selection: Selection, config: PrepareConfig) -> _Column:
    column, texts = cleaned.column(plan.name), cleaned.spellings[plan.name].texts
    rows = fit_categorical.counts(column, selection.codes, len(texts))[0]
    item = fit_text.fit(plan.name, texts.to_list(), rows.tolist(), config.tfidf or TfidfRules())
    report = _found(plan, Summary(rows=len(column), missing=column.null_count(), distinct=len(texts)))
    if item is None:
        reason = "no word is in enough rows of the training split"
        return _Column(report.model_copy(update={"role": "ignored", "reason": reason}))
    return _Column(report.model_copy(update={"inputs": tuple(f"n:{name}" for name in item.names)}), text=item)


def _categorical(
    plan: Plan, cleaned: Cleaned, selection: Selection, config: PrepareConfig, encodings: _Encodings
) -> _Column:
    spelled = cleaned.spellings[plan.name]
    column = cleaned.column(plan.name)
    size = len(spelled.texts)
    by_split = fit_categorical.counts(column, selection.codes, size)
    all_rows, train_rows, kept_rows = by_split.sum(axis=0), by_split[0], by_split[:-1].sum(axis=0)
    everything = fit_categorical.by_key(spelled, all_rows)
    shown = dict(everything.select("key", "label").iter_rows())
    shown.update(fit_categorical.by_key(spelled, train_rows).select("key", "label").iter_rows())
    spellings = pl.DataFrame({"value": spelled.texts, "rows": all_rows})
    found = categories(spellings, column.null_count())
    report = _found(plan, found, fit_categorical.repairs(spelled, all_rows, shown))
    if plan.role != "input":
        after = fit_categorical.by_key(spelled, kept_rows).select(pl.col("key").replace(shown).alias("value"), "rows")
        gaps = int(selection.kept.sum()) - int(after["rows"].sum())
        return _Column(report.model_copy(update={"after": categories(after, gaps)}))
    rows = {"train": int(selection.of("train").sum()), "kept": int(selection.kept.sum())}
    fitted = fit_categorical.fit(plan, spelled, train_rows, kept_rows, rows, config)
    if fitted.item is None:
        return _Column(report.model_copy(update={"role": "ignored", "reason": fitted.reason}))
    item = fitted.item
    encoded = encodings.of(item, plan) if item.looked_up else Encoded()
    names = tuple(f"n:{made.name}" for made in encoded.inputs) if item.looked_up else _input_names(item)
    update: dict[str, object] = {"after": fitted.after, "imputation": fitted.imputation, "inputs": names}
    if fitted.rare:
        note = f"{fitted.rare} rare categories are coded like unseen ones"
        update["reason"] = f"{plan.reason}; {note}" if plan.reason else note
    return _Column(report.model_copy(update=update), (), item, fitted.labels, encoded=encoded)


def _found(plan: Plan, before: Summary, repairs: Iterable[Repair] = ()) -> ColumnQuality:
    """The report of a column that is read, as far as it is known before anything is fitted."""
    return ColumnQuality(
        name=plan.name,
        source_type=str(plan.dtype),
        type=plan.type,
        role=plan.role,
        reason=plan.reason,
        given=plan.given,
        before=before,
        repairs=tuple(repairs),
    )


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
    pairs += [(name, item.column) for item in state.categories if item.onehot for name in item.onehot_names]
    pairs += [(item.name, item.column) for item in state.lookups]
    pairs += [(name, item.column) for item in state.texts for name in item.names]
    pairs += [(item.name, item.factors[0]) for item in state.products]
    for name, column in pairs:
        if name in owner:
            raise StageError(
                Reason.DATA_INVALID,
                f"the columns {owner[name]!r} and {column!r} both make the input {name!r}",
                where=f"column {column}",
                cure="rename one of them in the source, or ignore one in prepare.columns",
            )
        owner[name] = column
