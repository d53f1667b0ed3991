"""What texts and images share: rows of one content and a target, from the checks to the split.

`select` gets a table with the columns `row_id`, `content` (equal where two contents are equal; null where there is
none), `target` (as the source has it) and, for a group or time split, `by`; of images also `look`, which is nearly
equal where two look the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import polars as pl

from runwright_components.contract.artifacts import ROW_ID, TARGET
from runwright_components.contract.config import SPLITS, PrepareConfig, SplitName
from runwright_components.contract.config.duplicates import NearDuplicates
from runwright_components.contract.outcome import Reason, StageError
from runwright_components.features.tabular_state import ISO_FORMATS
from runwright_components.features.target import Target
from runwright_components.features.values import Words, key, moment
from runwright_components.prepare import labels
from runwright_components.prepare.describe import numbers
from runwright_components.prepare.folds import LEFT_OUT, Fold
from runwright_components.prepare.memory import Memory, Recall, lost, remembers
from runwright_components.prepare.near_duplicates import Told, of_images, of_texts, without
from runwright_components.prepare.quality import SAMPLES, Dropped, Duplicates, KeptSplits, SplitQuality
from runwright_components.prepare.raw import RawData
from runwright_components.prepare.row_digests import digested, text_digests
from runwright_components.prepare.split import assign
from runwright_components.prepare.split_columns import content, digest, named_splits

CONTENT, BY, SPLIT, LOOK = "content", "by", "split", "look"
_KEY = "key"


@dataclass(frozen=True)
class Selection:
    """The rows that are kept: `rows` has `row_id`, `target` (Int32 class or Float32 value) and `split` (position in
    SPLITS), in the order of `row_id`."""

    rows: pl.DataFrame
    target: Target
    duplicates: Duplicates
    dropped: tuple[Dropped, ...]
    splits: tuple[SplitQuality, ...]
    warnings: tuple[str, ...]
    memory: Memory | None = None
    kept: KeptSplits | None = None

    def of(self, split: SplitName) -> pl.DataFrame:
        """`row_id` and `target` of one split."""
        return self.rows.filter(pl.col(SPLIT) == SPLITS.index(split)).select(ROW_ID, TARGET)

    @property
    def counts(self) -> dict[SplitName, int]:
        return {split.name: split.rows for split in self.splits}

    @property
    def class_counts(self) -> tuple[int, ...]:
        """Rows a class of the training split, in the order of the labels; empty for regression."""
        return tuple(self.splits[0].classes.values())


def require_content(data: RawData, column: str, modality: str) -> None:
    """Raises StageError, with the columns there are, when the data have no column of texts or images."""
    if column not in data.columns:
        raise StageError(
            Reason.DATA_INVALID,
            f"the data have no column {column!r}",
            where=f"prepare.{modality}.column",
            cure=f"name the column that holds the {modality}s; there are {', '.join(data.columns[:20])}",
        )


def columns_of(data: RawData, config: PrepareConfig) -> list[pl.Expr]:
    """The expressions that `select` needs from the raw data, apart from `content`. Raises StageError without `by`."""
    chosen = [pl.col(ROW_ID), pl.col(config.target).alias(TARGET)]
    if config.split.strategy in ("group", "time", "predefined") or config.split.by is not None:
        by = config.split.by
        if by is None or by not in data.columns:
            raise StageError(
                Reason.INVALID_CONFIG,
                f"a {config.split.strategy} split needs a column, and the data have none named {by!r}",
                where="prepare.split.by",
                cure=f"name one of the columns: {', '.join(data.columns[:20])}",
            )
        chosen.append(pl.col(by).alias(BY))
    return chosen


def select(
    table: pl.DataFrame, config: PrepareConfig, what: str, former: Memory | None = None, fold: Fold | None = None
) -> Selection:
    """Drop rows without content or target and repeated ones, split the rest, fit the target on the training split.

    `what` names the content ("text", "image") in messages; `former` is what is known of the rows, `fold` the one
    of a cross-validation that is wanted. Raises StageError when nothing is left to learn from.
    """
    read = labels.read(table[TARGET].rename(config.target), config)
    rows = table.with_columns(read.values.alias(_KEY)).sort(ROW_ID)
    dropped = [
        _dropped(rows.filter(pl.col(CONTENT).is_null()), f"no {what}", None),
        _dropped(rows.filter(pl.col(CONTENT).is_not_null() & pl.col(_KEY).is_null()), "no target", config.target),
    ]
    if rows[CONTENT].null_count() == len(rows):
        raise StageError(
            Reason.DATA_INVALID,
            f"all {len(rows)} rows are without {what}",
            where=f"prepare.{config.modality}.column",
            cure=f"name the column that holds the {what}s",
        )
    rows = rows.filter(pl.col(CONTENT).is_not_null())
    labels.check(labels.read(rows[TARGET].rename(config.target), config), config)
    rows = rows.filter(pl.col(_KEY).is_not_null())
    rows, duplicates = _without_copies(rows, config, what)
    warnings: list[str] = []
    if config.near_duplicates is not None:
        rows, near = _without_near(rows, config.near_duplicates, what)
        dropped += near.dropped
        warnings += near.warnings
    labels.check(labels.read(rows[TARGET].rename(config.target), config), config)  # without the copies
    recall = _recall(rows, config, what, former) if remembers(config.split) else None
    by = _split_by(rows, config)
    codes = assign(len(rows), config.split, by, None if recall is None else recall.known)
    memory, told = (None, None) if recall is None or fold is not None else recall.record(codes)
    warnings += [] if told is None else lost(told)
    if fold is not None:
        codes = fold.codes(codes, config.split, by)
    rows = rows.with_columns(pl.Series(SPLIT, codes)).filter(pl.col(SPLIT) != LEFT_OUT)
    train = rows.filter(pl.col(SPLIT) == 0)
    target = labels.fit(train[TARGET], train[_KEY], config)
    if config.task == "classification" and len(target.keys) < 2:
        raise StageError(
            Reason.DATA_INVALID,
            f"the training split has the single class {target.labels[0]!r}",
            where="prepare.split",
            cure="use split.strategy: stratified, or give more rows of the other classes",
        )
    coded = rows.with_columns(target.encode_read(pl.col(_KEY)).alias(TARGET), pl.col(TARGET).alias("raw"))
    unseen = coded.filter(pl.col(TARGET).is_null())
    dropped.append(_dropped(unseen, "a class that the training split does not have", config.target))
    kept = coded.filter(pl.col(TARGET).is_not_null())
    return Selection(
        rows=kept.select(ROW_ID, TARGET, SPLIT),
        target=target,
        duplicates=duplicates,
        dropped=tuple(each for each in dropped if each.rows),
        splits=tuple(_split_quality(kept, target)),
        warnings=(*warnings, *_warnings(rows, kept, config, what)),
        memory=memory,
        kept=told,
    )


def _recall(rows: pl.DataFrame, config: PrepareConfig, what: str, former: Memory | None) -> Recall:
    columns = {what: rows[CONTENT]}
    if BY in rows.columns and digested(rows.schema[BY]):
        columns[config.split.by or BY] = rows.select(key(pl.col(BY), rows.schema[BY], Words(fold_case=True)))[BY]
    return Recall.of(
        former,
        lambda names: text_digests(columns[names[0]]),
        columns=[*columns],
        target="",
        by=config.split.by if config.split.by in columns else None,
    )


def _without_copies(rows: pl.DataFrame, config: PrepareConfig, what: str) -> tuple[pl.DataFrame, Duplicates]:
    first = rows.unique([CONTENT, _KEY], keep="first", maintain_order=True)
    copies = rows.join(first.select(ROW_ID), on=ROW_ID, how="anti", maintain_order="left")
    drop = config.duplicates == "drop"
    duplicates = Duplicates(
        found=len(copies),
        dropped=len(copies) if drop else 0,
        note=f"rows with the same {what} and the same target",
        sample=tuple(
            {ROW_ID: number, config.target: None if value is None else str(value)}
            for number, value in copies.select(ROW_ID, TARGET).head(SAMPLES).iter_rows()
        ),
    )
    return (first if drop else rows), duplicates


def _without_near(rows: pl.DataFrame, rules: NearDuplicates, what: str) -> tuple[pl.DataFrame, Told]:
    first = of_images(rows[LOOK], rules) if LOOK in rows.columns else of_texts(rows[CONTENT], rules)
    return without(rows, first, rules, what)


def _split_by(rows: pl.DataFrame, config: PrepareConfig) -> pl.Series | None:
    if config.split.strategy == "random":
        return None
    if config.split.strategy == "stratified":
        if config.task == "regression":
            raise StageError(
                Reason.INVALID_CONFIG,
                "a regression's target has no classes to stratify by",
                where="prepare.split.strategy",
                cure="use random, group or time",
            )
        return rows[_KEY]
    if config.split.strategy == "hash":
        return _digests(rows, config)
    by = rows[BY]
    if config.split.strategy == "predefined":
        return named_splits(by.rename(config.split.by or BY))
    return _times(by, config) if config.split.strategy == "time" and by.dtype == pl.String else by


def _digests(rows: pl.DataFrame, config: PrepareConfig) -> pl.Series:
    """Of the contents, or of the column that the split looks at."""
    by = BY if config.split.by is not None else CONTENT
    value = pl.col(by) if rows.schema[by] == pl.Binary else content(rows.schema, [by])
    return rows.select(digest(value, config.split.seed)).to_series()


def _times(by: pl.Series, config: PrepareConfig) -> pl.Series:
    """Text read as dates, in the formats given or ISO. Raises StageError that shows a value that is none."""
    given = next((column.date_formats for column in config.columns if column.name == config.split.by), ())
    formats = (*given, *config.formats.dates, *ISO_FORMATS)
    times = by.to_frame().select(moment(pl.col(BY), by.dtype, formats, labels.words(config))).to_series()
    bad = by.filter(times.is_nan().fill_null(False))
    if len(bad):
        raise StageError(
            Reason.DATA_INVALID,
            f"{len(bad)} values are not dates in a known format, such as {bad[0]!r}",
            where=f"column {config.split.by}",
            cure=f"give their format: prepare.columns: [{{name: {config.split.by}, dateFormats: ['%m/%d/%y']}}]",
        )
    return times


def _split_quality(kept: pl.DataFrame, target: Target) -> Iterator[SplitQuality]:
    for code, name in enumerate(SPLITS):
        part = kept.filter(pl.col(SPLIT) == code)
        values = part[TARGET]
        if target.task == "classification":
            counts = dict(values.value_counts().iter_rows())
            classes = {label: counts.get(number, 0) for number, label in enumerate(target.labels)}
            yield SplitQuality(name=name, rows=len(part), share=len(part) / len(kept), classes=classes)
        else:
            summary = numbers(target.unscale(values.to_numpy()))
            yield SplitQuality(name=name, rows=len(part), share=len(part) / len(kept), target=summary)


def _warnings(rows: pl.DataFrame, kept: pl.DataFrame, config: PrepareConfig, what: str) -> Iterator[str]:
    labelled = rows.group_by(CONTENT).agg(pl.col(_KEY).n_unique().alias("targets"), pl.len().alias("rows"))
    conflicts = labelled.filter(pl.col("targets") > 1)
    if len(conflicts):
        example = rows.join(conflicts.select(CONTENT), on=CONTENT, how="semi", maintain_order="left").filter(
            pl.col(CONTENT) == pl.col(CONTENT).first()
        )
        shown = ", ".join(f"row {number}: {value}" for number, value in example.select(ROW_ID, TARGET).iter_rows())
        yield (
            f"{len(conflicts)} {what}s stand under more than one target ({conflicts['rows'].sum()} rows, kept; "
            f"{shown}): no model can be right on all of them"
        )
    if config.task == "classification":
        sizes = kept.filter(pl.col(SPLIT) == 0)[TARGET].value_counts(sort=True)["count"]
        if len(sizes) and sizes[0] > 10 * sizes[-1]:
            yield f"the classes are uneven: {sizes[0]} training rows are of the largest, {sizes[-1]} of the smallest"


def _dropped(rows: pl.DataFrame, reason: str, column: str | None) -> Dropped:
    return Dropped(reason=reason, rows=len(rows), column=column, samples=tuple(rows[ROW_ID].head(SAMPLES).to_list()))
