"""What must hold of the target before anything is fitted, and the fitting of its state."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass

import polars as pl

from runwright_components.contract.config import PrepareConfig
from runwright_components.contract.kinds import LABELLED, UNSUPERVISED
from runwright_components.contract.outcome import Reason, StageError
from runwright_components.features.target import Target, read_target
from runwright_components.features.values import Notation, Words, holds_text

MAX_CLASSES = 10_000


@dataclass(frozen=True)
class Labels:
    """A target column as read: `values` [N] are label keys (String) or numbers (Float64), null where unusable."""

    values: pl.Series
    missing: int
    unreadable: int  # regression: text that is no number, NaN, infinite
    samples: tuple[str, ...] = ()  # of the unreadable


def require_target(columns: Iterable[str], config: PrepareConfig) -> None:
    """Raises StageError, with the nearest names, when the target is not among `columns`."""
    names = list(columns)
    if config.target in names:
        return
    folded = {name.strip().lower(): name for name in names}
    near = difflib.get_close_matches(config.target.strip().lower(), folded, n=3, cutoff=0.6)
    meant = f"; did you mean {' or '.join(repr(folded[name]) for name in near)}?" if near else ""
    raise StageError(
        Reason.DATA_INVALID,
        f"the data have no column {config.target!r}{meant}",
        where="prepare.target",
        cure=f"name one of the columns: {', '.join(names[:20])}{', ...' if len(names) > 20 else ''}",
    )


def words(config: PrepareConfig) -> Words:
    """How this configuration compares text."""
    return Words(missing=config.missing.words, fold_case=config.formats.fold_case)


def read(column: pl.Series, config: PrepareConfig, notation: Notation | None = None) -> Labels:
    """Read the raw target column (named as the target). The notation is that of a regression's numbers."""
    dtype, rules = column.dtype, words(config)
    source = pl.col(column.name)
    values = column.to_frame().select(
        read_target(source, dtype, config.task, notation or Notation(), rules).alias(column.name)
    )[column.name]
    if config.task in LABELLED:
        return Labels(values, values.null_count(), 0)
    bad = ~values.is_finite()
    samples = column.filter(bad.fill_null(False)).head(5).cast(pl.String).to_list()
    return Labels(
        values.set(bad.fill_null(False), None),
        values.null_count(),
        int(bad.sum()),
        tuple(dict.fromkeys(str(text) for text in samples)),
    )


def check(labels: Labels, config: PrepareConfig) -> None:
    """Raises StageError unless the target can be learned: some values, two classes, three rows a class (stratified),
    numbers that vary (regression)."""
    rows, usable = len(labels.values), labels.values.drop_nulls()
    where = f"column {config.target}"
    if rows == 0:
        raise StageError(
            Reason.DATA_INVALID, "the data have no rows", cure="give data with rows below the header", where=where
        )
    if config.task == "regression" and labels.unreadable > rows / 2:
        raise StageError(
            Reason.DATA_INVALID,
            f"{labels.unreadable} of {rows} values of the target are not finite numbers, such as "
            + ", ".join(repr(text) for text in labels.samples),
            where=where,
            cure="choose a numeric target, or a classification task",
        )
    if usable.is_empty():
        raise StageError(
            Reason.DATA_INVALID,
            f"the target is missing in all {rows} rows",
            where=where,
            cure="choose another target, or mend the source; what counts as missing is prepare.missing.words",
        )
    if config.task == "regression":
        if usable.min() == usable.max():
            raise StageError(
                Reason.DATA_INVALID,
                f"the target has the one value {usable[0]:g}",
                where=where,
                cure="a constant needs no model; choose another target",
            )
        return
    check_classes(usable.value_counts(sort=True, name="rows"), config)


def check_classes(counts: pl.DataFrame, config: PrepareConfig) -> None:
    """Of a table with a row a class, its label and `rows`, the largest first; raises like `check`."""
    where = f"column {config.target}"
    if len(counts) == 1:
        raise StageError(
            Reason.DATA_INVALID,
            f"the target has the single class {counts.item(0, 0)!r}",
            where=where,
            cure="a classifier needs two classes; choose another target, or add rows of another class",
        )
    if len(counts) > MAX_CLASSES:
        raise StageError(
            Reason.DATA_INVALID,
            f"the target has {len(counts)} classes",
            where=where,
            cure="for numbers use a regression task; an identifier cannot be learned",
        )
    rare = counts.filter(pl.col("rows") < 3)
    if config.split.strategy == "stratified" and len(rare):
        named = ", ".join(f"{label!r} ({rows})" for label, rows in rare.head(5).iter_rows())
        more = f" and {len(rare) - 5} more" if len(rare) > 5 else ""
        raise StageError(
            Reason.DATA_INVALID,
            f"a stratified split needs 3 rows of each class, fewer have {named}{more}",
            where=where,
            cure="add rows, merge or leave out these classes, or use split.strategy: random",
        )


def fit(raw: pl.Series, read_values: pl.Series, config: PrepareConfig, notation: Notation | None = None) -> Target:
    """The target's state from the usable rows of the training split: `raw` as the source has them, and `read_values`
    as `read` gave them. The label shown is the most frequent spelling, among equals the first by the alphabet."""
    rules = words(config)
    if config.task == "regression":
        mean, deviation = float(read_values.mean()), float(read_values.std(ddof=0) or 0.0)  # type: ignore[arg-type]
        return Target(
            name=config.target,
            task=config.task,
            words=rules,
            notation=notation or Notation(),
            mean=mean,
            scale=deviation if deviation > 0 else 1.0,
        )
    return target_of_classes(spellings(raw, read_values), config)


def target_of_classes(shown: dict[str, str], config: PrepareConfig) -> Target:
    """The state of a classification's target, of the label shown for each key of the training split."""
    if len(shown) == 1 and config.task not in UNSUPERVISED:
        raise StageError(
            Reason.DATA_INVALID,
            f"the training split has the single class {next(iter(shown.values()))!r}",
            where="prepare.split",
            cure="use split.strategy: stratified, or give more rows of the other classes",
        )
    keys = tuple(sorted(shown, key=_natural))
    return Target(
        name=config.target, task=config.task, words=words(config), keys=keys, labels=tuple(shown[key] for key in keys)
    )


def spellings(raw: pl.Series, keys: pl.Series) -> dict[str, str]:
    """The most frequent spelling of each key."""
    counted = (
        pl.DataFrame({"key": keys, "raw": raw.cast(pl.String).str.strip_chars() if holds_text(raw.dtype) else keys})
        .drop_nulls()
        .group_by("key", "raw")
        .len()
        .sort("key", "len", "raw", descending=[False, True, False])
        .unique("key", keep="first", maintain_order=True)
    )
    return {key: " ".join(text.split()) for key, text in counted.select("key", "raw").iter_rows()}


def _natural(key: str) -> tuple[int, float, str]:
    """Labels that are numbers in the order of numbers, before words."""
    try:
        return (0, float(key), key)
    except ValueError:
        return (1, 0.0, key)
