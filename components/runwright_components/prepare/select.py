"""Which rows of a table are kept, and which split each goes to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import polars as pl
from numpy.typing import NDArray

from runwright_components.contract.config import SPLITS, PrepareConfig, SplitName
from runwright_components.contract.kinds import UNSUPERVISED
from runwright_components.contract.outcome import Reason, StageError
from runwright_components.prepare import labels
from runwright_components.prepare.clean import Cleaned, Mask, compared, first_of_each
from runwright_components.prepare.fit_categorical import by_key, counts
from runwright_components.prepare.folds import LEFT_OUT
from runwright_components.prepare.fuzzy import without_alike
from runwright_components.prepare.infer import Plan
from runwright_components.prepare.memory import Memory, Recall, lost, remembers
from runwright_components.prepare.parts import Part
from runwright_components.prepare.quality import SAMPLES, Dropped, Duplicates, KeptSplits
from runwright_components.prepare.raw import RawData
from runwright_components.prepare.repeated import key_plans, repeats
from runwright_components.prepare.row_digests import digested, row_digests
from runwright_components.prepare.split import assign
from runwright_components.prepare.split_columns import content, digest, named_splits


@dataclass(frozen=True)
class Selection:
    """`codes` uint8 [rows]: the position in SPLITS, or LEFT_OUT."""

    codes: NDArray[np.uint8]
    duplicates: Duplicates
    dropped: tuple[Dropped, ...]
    warnings: tuple[str, ...] = ()
    memory: Memory | None = None
    kept_splits: KeptSplits | None = None

    @property
    def kept(self) -> Mask:
        kept: Mask = self.codes != LEFT_OUT
        return kept

    def of(self, split: SplitName) -> Mask:
        rows: Mask = self.codes == SPLITS.index(split)
        return rows

    def leave_out(self, rows: Mask, reason: str, column: str | None) -> Selection:
        """Without `rows`, which are counted under `reason`."""
        rows = rows & self.kept
        if not rows.any():
            return self
        codes = np.where(rows, np.uint8(LEFT_OUT), self.codes)
        return replace(self, codes=codes, dropped=(*self.dropped, _dropped(rows, reason, column)))


def select(data: RawData, cleaned: Cleaned, plans: Sequence[Plan], config: PrepareConfig) -> Selection:
    """Drop what cannot be used, then split the rest. Raises StageError when too little is left."""
    # Rows without a label to judge by can still be learned from.
    target = None if config.task in UNSUPERVISED else next(plan for plan in plans if plan.role == "target")
    usable: Mask = data.usable
    dropped: list[Dropped] = []
    if target is not None:
        labelled, dropped = _with_target(target, cleaned, usable, config)
        usable &= labelled
    for plan in plans:
        rule = plan.rules.missing if plan.rules and plan.rules.missing else None
        by_type = config.missing.categorical if plan.spelled else config.missing.numeric
        if plan.role == "input" and (rule or by_type) == "drop":
            gaps = _missing(plan, cleaned) & usable
            if gaps.any():
                dropped.append(_dropped(gaps, "the value is missing", plan.name))
                usable &= ~gaps
    duplicates = Duplicates()
    warnings = []
    first = first_of_each(cleaned, plans)
    repeated = ~first & usable
    if repeated.any():
        duplicates = _duplicates(repeated, data, plans, drop=config.duplicates == "drop")
        if config.duplicates == "drop":
            usable &= first
        else:
            warnings.append(f"{duplicates.found} duplicate rows are kept and may lie in two splits at once")
    if config.duplicates_by is not None:
        key = key_plans(plans, config.duplicates_by.columns, "prepare.duplicatesBy.columns")
        repeated = repeats(cleaned, key, usable, config.duplicates_by.keep)
        if repeated.any():
            names = ", ".join(config.duplicates_by.columns)
            dropped.append(_dropped(repeated, "another row has the key", names))
            usable &= ~repeated
    if config.duplicates_fuzzy is not None:
        usable, near = without_alike(data, cleaned, plans, usable, config.duplicates_fuzzy)
        dropped += near.dropped
        warnings += near.warnings
    if not usable.any():
        raise StageError(
            Reason.DATA_INVALID,
            "no row is left: " + ", ".join(f"{item.rows} rows: {item.reason} ({item.column})" for item in dropped),
            where="prepare.missing",
            cure="fill missing values in place of dropping the rows",
        )
    if target is not None:
        _check_target(target, cleaned, usable, config)
    codes = np.full(cleaned.rows, LEFT_OUT, dtype=np.uint8)
    recall = _recall(data, plans, cleaned, usable, config) if remembers(config.split) else None
    known = None if recall is None else recall.known
    by = _by(data, plans, cleaned, usable, config)
    dealt = assign(int(usable.sum()), config.split, by, known)
    memory, kept = (None, None) if recall is None or data.fold is not None else recall.record(dealt)
    codes[usable] = dealt if data.fold is None else data.fold.codes(dealt, config.split, by)
    if kept is not None:
        warnings.extend(lost(kept))
    selection = Selection(codes, duplicates, tuple(dropped), tuple(warnings), memory, kept)
    if target is None or config.task != "classification":
        return selection
    return _without_unseen(selection, target, cleaned)


def _recall(data: RawData, plans: Sequence[Plan], cleaned: Cleaned, usable: Mask, config: PrepareConfig) -> Recall:
    columns = [plan.name for plan in plans if digested(plan.dtype)]
    return Recall.of(
        data.memory,
        lambda names: row_digests(data, cleaned, plans, names)[usable],
        columns=columns,
        target=config.target,
        by=config.split.by if config.split.by in columns else None,
    )


def _with_target(target: Plan, cleaned: Cleaned, usable: Mask, config: PrepareConfig) -> tuple[Mask, list[Dropped]]:
    missing = _missing(target, cleaned) & usable
    dropped = [_dropped(missing, "the target is missing", target.name)] if missing.any() else []
    if missing.sum() == usable.sum():
        labels.check(
            labels.Labels(pl.Series(config.target, [None] * cleaned.rows, pl.Float64), cleaned.rows, 0), config
        )
    return ~missing, dropped


def _check_target(target: Plan, cleaned: Cleaned, usable: Mask, config: PrepareConfig) -> None:
    column = cleaned.column(target.name)
    if config.task == "regression":
        labels.check(labels.Labels(column.filter(pl.Series(usable)), 0, 0), config)
        return
    spelled = cleaned.spellings[target.name]
    rows = counts(column, np.where(usable, 0, LEFT_OUT).astype(np.uint8), len(spelled.texts))
    labels.check_classes(by_key(spelled, rows[0]).select("label", "rows"), config)


def _missing(plan: Plan, cleaned: Cleaned) -> Mask:
    if plan.spelled:
        missing: Mask = cleaned.keys(plan.name) == 0
        return missing
    return ~np.isfinite(cleaned.numbers(plan.name))


def _by(
    data: RawData, plans: Sequence[Plan], cleaned: Cleaned, usable: Mask, config: PrepareConfig
) -> pl.Series | None:
    """The class, group, time, digest or split of each usable row."""
    strategy = config.split.strategy
    if strategy == "random":
        return None
    if strategy == "hash" and config.split.by is None:
        return _digests(data, cleaned, data.columns, config).filter(pl.Series(usable))
    if strategy == "stratified":
        if config.task != "classification":
            raise StageError(
                Reason.INVALID_CONFIG,
                f"a {config.task} task has no classes to stratify by",
                where="prepare.split.strategy",
                cure="use strategy: random",
            )
        return pl.Series(cleaned.keys(config.target)[usable])
    plan = next((plan for plan in plans if plan.name == config.split.by), None)
    if plan is None:
        raise StageError(
            Reason.INVALID_CONFIG,
            f"the data have no column {config.split.by!r} to split by"
            if config.split.by
            else f"a split by {strategy} needs the {strategy}'s column",
            where="prepare.split.by",
            cure=f"name one of the columns: {', '.join([plan.name for plan in plans][:20])}",
        )
    if strategy == "hash":
        return _digests(data, cleaned, [plan.name], config).filter(pl.Series(usable))
    if strategy == "predefined":
        return named_splits(data.source.select(plan.name).collect().to_series().filter(pl.Series(usable)))
    if plan.spelled:
        return pl.Series(cleaned.keys(plan.name)[usable])
    return cleaned.column(plan.name).filter(pl.Series(usable)).fill_nan(None)


def _digests(data: RawData, cleaned: Cleaned, columns: Sequence[str], config: PrepareConfig) -> pl.Series:
    """Of the rows, the target apart: a label that is mended later must not move its row."""
    looked_at = tuple(name for name in columns if name != config.target)
    return pl.concat(cleaned.engine.run(_Digests(data.source, looked_at, config.split.seed), cleaned.parts))


@dataclass(frozen=True)
class _Digests:
    """The digests of a part's rows, UInt64 [rows]."""

    source: pl.LazyFrame
    columns: tuple[str, ...]
    seed: int

    def __call__(self, part: Part) -> pl.Series:
        row = content(self.source.collect_schema(), self.columns)
        query = part.of(self.source).select(digest(row, self.seed).alias("digest"))
        return query.collect(engine="streaming").to_series()


def _without_unseen(selection: Selection, target: Plan, cleaned: Cleaned) -> Selection:
    """Without rows whose label the training split lacks: no model can know it."""
    keys = cleaned.keys(target.name)
    known = np.zeros(int(keys.max(initial=0)) + 1, dtype=np.bool_)
    known[keys[selection.of("train")]] = True
    unseen = ~known[keys] & selection.kept
    if not unseen.any():
        return selection
    spelled = cleaned.spellings[target.name]
    chosen = np.where(unseen, 0, LEFT_OUT).astype(np.uint8)
    names = by_key(spelled, counts(cleaned.column(target.name), chosen, len(spelled.texts))[0])["label"]
    left = selection.leave_out(unseen, "the training split lacks the label", target.name)
    warning = f"the training split lacks the labels {', '.join(repr(name) for name in names[:5])}"
    return replace(left, warnings=(*left.warnings, warning))


def _duplicates(repeated: Mask, data: RawData, plans: Sequence[Plan], *, drop: bool) -> Duplicates:
    left_out = [plan.name for plan in plans if not compared(plan)]
    note = "rows that are equal in every column, after values were read"
    if left_out:
        note += f"; not compared: {', '.join(left_out)}"
    found = int(repeated.sum())
    sample = data.rows_at(np.flatnonzero(repeated)[:SAMPLES].tolist())
    return Duplicates(found=found, dropped=found if drop else 0, note=note, sample=tuple(sample))


def _dropped(rows: Mask, reason: str, column: str | None) -> Dropped:
    return Dropped(
        reason=reason, rows=int(rows.sum()), column=column, samples=tuple(np.flatnonzero(rows)[:SAMPLES].tolist())
    )
