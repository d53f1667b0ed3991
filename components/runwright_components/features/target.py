"""The target's fitted state: class labels, or the scale of a regression's values; shared by every modality."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from runwright_components.contract.artifacts import Document
from runwright_components.contract.config import TaskKind
from runwright_components.contract.kinds import LABELLED, UNSUPERVISED
from runwright_components.contract.outcome import Reason, StageError
from runwright_components.features.predictions import Predictions, softmax
from runwright_components.features.unsupervised import answers
from runwright_components.features.values import Notation, Words, key, number

UNLABELLED = -1  # in place of a class


class Target(Document):
    """Fitted on the training split. Classes: `keys` (as `values.key` reads them, sorted) and `labels`, the
    spelling shown for each. Regression: a value is standardized as (value - mean) / scale."""

    name: str
    task: TaskKind
    words: Words = Words()
    notation: Notation = Notation()
    keys: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    mean: float = 0.0
    scale: float = 1.0

    def encode(self, dtype: pl.DataType) -> pl.Expr:
        """From the raw column: the class as Int32, or the standardized value as Float32; null where it is missing,
        unreadable, or a label that the training split does not have."""
        return self.encode_read(read_target(pl.col(self.name), dtype, self.task, self.notation, self.words))

    def encode_read(self, read: pl.Expr) -> pl.Expr:
        """The same from a column that `read_target` has read (label keys, or Float64)."""
        if self.task in LABELLED:
            codes = pl.Series(range(len(self.keys)), dtype=pl.Int32)
            return read.replace_strict(
                pl.Series(self.keys, dtype=pl.String), codes, default=None, return_dtype=pl.Int32
            )
        return ((read - self.mean) / self.scale).cast(pl.Float32)

    def classes_of(self, keys: pl.Series) -> NDArray[np.int32]:
        """The class int32 [N] of each label key; -1 where the training split does not have it."""
        read = pl.col(keys.name)
        return keys.to_frame().select(self.encode_read(read)).to_series().fill_null(UNLABELLED).to_numpy()

    def of(self, rows: pl.DataFrame) -> NDArray[Any]:
        """int32 [N], -1 where `encode` gives null; or float32 [N], NaN there. Raises StageError without the column."""
        if not self.name:
            return np.full(len(rows), UNLABELLED, dtype=np.int32)
        if self.name not in rows.columns:
            raise StageError(
                Reason.DATA_INVALID,
                f"the rows have no target column {self.name!r}",
                cure="give rows with the target, or ask for a prediction alone",
            )
        encoded = rows.select(self.encode(rows.schema[self.name]).alias(self.name)).to_series()
        return encoded.fill_null(UNLABELLED if self.task in LABELLED else float("nan")).to_numpy()

    def outputs(self, raw: Mapping[str, NDArray[Any]]) -> Predictions:
        """From the graph's output, `logits` [N, K], `value` [N] or [N, 1], or what `answers` knows, in float64."""
        if self.task in UNSUPERVISED:
            return Predictions(answers=answers(raw))
        if self.task == "classification":
            probabilities = softmax(raw["logits"])
            return Predictions([self.labels[i] for i in probabilities.argmax(axis=1)], probabilities)
        return Predictions(values=self.unscale(raw["value"]))

    def unscale(self, standardized: NDArray[Any]) -> NDArray[np.float64]:
        """Standardized values in the target's own unit, float64 [N]."""
        return np.asarray(standardized, dtype=np.float64).reshape(-1) * self.scale + self.mean


def read_target(value: pl.Expr, dtype: pl.DataType, task: TaskKind, notation: Notation, words: Words) -> pl.Expr:
    """The label's key (String) or the value (Float64); null: missing or unreadable."""
    if task in LABELLED:
        return key(value, dtype, words)
    return number(value, dtype, notation, words)
