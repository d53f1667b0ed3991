"""Fitting the numbers that stand for categories: the mean of the target, or the place in an order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from runwright_components.contract.config import CategoricalRules, PrepareConfig
from runwright_components.contract.kinds import LABELLED
from runwright_components.contract.outcome import Reason, StageError
from runwright_components.features.derived import LookupInput
from runwright_components.features.reading import Codes
from runwright_components.features.tabular_state import CategoricalInput
from runwright_components.features.target import Target
from runwright_components.features.values import Words, key
from runwright_components.prepare.clean import Cleaned, Mask
from runwright_components.prepare.infer import Plan

Numbers = NDArray[np.float64]

_CLASSES = 100  # an input each
NO_FOLD = 255


@dataclass(frozen=True)
class Outcomes:
    """The target of each of n training rows: its class int64 [n], or its standardized value float64 [n]. `columns` are
    the classes that get an input, each with its label: of two classes the second alone."""

    target: NDArray[np.int64] | Numbers
    columns: tuple[tuple[int, str], ...] = ()
    classes: int = 0


@dataclass(frozen=True)
class Folds:
    """The fold of each row of the table, uint8 [rows]; NO_FOLD outside the training split."""

    of_row: NDArray[np.uint8]
    count: int


@dataclass(frozen=True)
class Encoded:
    """The inputs of one column; `out_of_fold` float32 [folds, codes] by input: what the training rows get."""

    inputs: tuple[LookupInput, ...] = ()
    out_of_fold: dict[str, NDArray[np.float32]] = field(default_factory=dict)


@dataclass(frozen=True)
class OutOfFold:
    """What the training rows get of inputs that are fitted on their own targets."""

    folds: Folds
    tables: dict[str, NDArray[np.float32]]  # [folds, codes] by input

    def put(
        self,
        encoded: NDArray[np.float32],
        places: Mapping[str, tuple[int, str]],
        codes: Mapping[str, Codes],
        rows: NDArray[Any],
    ) -> None:
        """Into the inputs [F, N] of the table's `rows` [N]; `places` are the row and the column of each input."""
        fold = self.folds.of_row[rows]
        trained = fold != NO_FOLD
        for name, table in self.tables.items():
            place, column = places[name]
            encoded[place, trained] = table[fold[trained], codes[column][trained]]


def folds_of(train: Mask, config: PrepareConfig) -> Folds:
    """Equal folds of the training rows, by chance."""
    count, rows = config.categorical.folds, int(np.count_nonzero(train))
    of_row = np.full(len(train), NO_FOLD, dtype=np.uint8)
    of_row[train] = np.random.default_rng(config.split.seed).permutation(rows) % count
    return Folds(of_row, count)


def outcomes(cleaned: Cleaned, target: Target, train: Mask) -> Outcomes:
    """The target of the training rows. Raises StageError where it has too many classes for an input each."""
    if target.task not in LABELLED:
        return Outcomes((cleaned.numbers(target.name)[train] - target.mean) / target.scale)
    if len(target.labels) > _CLASSES:
        raise StageError(
            Reason.INVALID_CONFIG,
            f"the target has {len(target.labels)} classes, and target encoding makes an input of each",
            where="prepare.categorical.encode",
            cure=f"use encode: index, or a target of at most {_CLASSES} classes",
        )
    spelled = cleaned.spellings[target.name]
    classes = target.classes_of(spelled.keys)[cleaned.column(target.name).fill_null(0).to_numpy()][train]
    columns = tuple(enumerate(target.labels))
    return Outcomes(classes.astype(np.int64), columns[1:] if len(columns) == 2 else columns, len(columns))


def by_target(item: CategoricalInput, codes: Codes, seen: Outcomes, folds: Folds, rules: CategoricalRules) -> Encoded:
    """The mean of the target in each category, drawn towards the mean of all rows (Micci-Barreca 2001).

    `codes` [n] of the training rows. A row of the training split gets the mean over the other folds, so that its own
    target is not among its inputs; everything else gets the mean over all folds.
    """
    fold = folds.of_row[folds.of_row != NO_FOLD].astype(np.int64)
    shape = (folds.count, item.size)
    cells = fold * item.size + codes
    rows = np.bincount(cells, minlength=folds.count * item.size).reshape(shape)
    inputs, out_of_fold = [], {}
    for name, sums in _sums(item.name, cells, seen, shape).items():
        whole = _smoothed(sums.sum(axis=0), rows.sum(axis=0), rules.smoothing)
        inputs.append(LookupInput(name=name, column=item.column, values=tuple(whole.tolist())))
        others = [
            _smoothed(sums.sum(axis=0) - sums[at], rows.sum(axis=0) - rows[at], rules.smoothing)
            for at in range(folds.count)
        ]
        out_of_fold[name] = np.array(others, dtype=np.float32)
    return Encoded(tuple(inputs), out_of_fold)


def _sums(name: str, cells: NDArray[np.int64], seen: Outcomes, shape: tuple[int, int]) -> dict[str, Numbers]:
    """The sum of the target in each fold and category, float64 [folds, codes], by the input's name."""
    size = shape[0] * shape[1]
    if not seen.classes:
        return {name: np.bincount(cells, seen.target, size).astype(np.float64).reshape(shape)}
    counts = np.bincount(cells * seen.classes + seen.target, minlength=size * seen.classes)
    by_class = counts.reshape(*shape, seen.classes).astype(np.float64)
    several = len(seen.columns) > 1
    return {f"{name}:{label}" if several else name: by_class[..., at] for at, label in seen.columns}


def _smoothed(sums: Numbers, rows: NDArray[np.int64], weight: float) -> Numbers:
    """The means of the categories as if each had `weight` more rows of the mean of all; that mean without any row."""
    overall = float(sums.sum()) / max(int(rows.sum()), 1)
    total = rows + weight
    return np.where(total > 0, (sums + weight * overall) / np.where(total > 0, total, 1.0), overall)


def by_order(item: CategoricalInput, codes: Codes, plan: Plan, words: Words) -> Encoded:
    """The place of each category in the order given, or from the rarest to the most frequent; standardized over the
    training rows' `codes` [n]. What is unseen or missing stands at the mean, 0."""
    rows = np.bincount(codes, minlength=item.size).astype(np.float64)
    known = np.arange(1, len(item.keys) + 1)
    places = np.zeros(item.size)
    if plan.rules is not None and plan.rules.order:
        places[known] = _given(item, plan.rules.order, words)
    else:
        ranked = sorted(known.tolist(), key=lambda code: (rows[code], item.keys[code - 1]))
        places[ranked] = np.arange(len(ranked))
    weights = rows[known]
    mean = float(np.average(places[known], weights=weights))
    spread = float(np.sqrt(np.average(np.square(places[known] - mean), weights=weights)))
    values = np.zeros(item.size)
    values[known] = (places[known] - mean) / (spread if spread > 0 else 1.0)
    return Encoded((LookupInput(name=item.name, column=item.column, values=tuple(values.tolist())),))


def _given(item: CategoricalInput, order: Sequence[str], words: Words) -> list[int]:
    """The place of each key. Raises StageError for a category that the order lacks."""
    keys = pl.DataFrame({"order": order}).select(key(pl.col("order"), pl.String(), words)).to_series().to_list()
    lacking = [found for found in item.keys if found not in keys]
    if lacking:
        raise StageError(
            Reason.INVALID_CONFIG,
            f"the order of column {item.column!r} lacks {', '.join(repr(found) for found in lacking[:5])}",
            where="prepare.columns.order",
            cure="name every category that the training split has, from first to last",
        )
    return [keys.index(found) for found in item.keys]
