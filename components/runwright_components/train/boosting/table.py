"""Prepared splits of a table as one matrix, and what trees are judged by."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from runwright_components.contract.config import SplitName, TaskKind
from runwright_components.contract.outcome import Reason, StageError
from runwright_components.features import load_split
from runwright_components.features.split_io import CATEGORICAL, NUMERIC, check_target

Matrix = NDArray[np.float32]


@dataclass(frozen=True)
class Columns:
    """The columns of the matrix: the inputs of the tensor `numeric`, then those of `categorical`.

    `names` is the graph's input of each, `sizes` the number of codes of each categorical one.
    """

    names: tuple[str, ...]
    numeric: int
    sizes: tuple[int, ...]

    @property
    def categorical(self) -> range:
        """Places of the categorical columns."""
        return range(self.numeric, len(self.names))


@dataclass(frozen=True)
class Table:
    """A split: `matrix` [N, F] float32, a category as its code; `target` [N] float32, classes or standardized values;
    `weight` [N] float32, None where every row counts the same."""

    matrix: Matrix
    target: NDArray[np.float32]
    weight: NDArray[np.float32] | None = None

    def __len__(self) -> int:
        return len(self.target)


def read_columns(prepared: Path, sizes: tuple[int, ...]) -> Columns:
    """The inputs of the prepared table; `sizes` are those of its manifest. Raises StageError when it has none."""
    schema = pl.read_parquet_schema(prepared / "train.parquet")
    numeric = [name.removeprefix(NUMERIC) for name in schema if name.startswith(NUMERIC)]
    coded = [name.removeprefix(CATEGORICAL) for name in schema if name.startswith(CATEGORICAL)]
    if not numeric and not coded:
        raise StageError(
            Reason.DATA_INVALID,
            "the prepared table has no input columns",
            where=str(prepared),
            cure="give the sources at least one column besides the target that is not ignored",
        )
    return Columns((*numeric, *coded), len(numeric), sizes)


def read_table(prepared: Path, split: SplitName, task: TaskKind, classes: int) -> Table:
    """Load a split. Raises StageError (DataInvalid) for targets that cannot be learned from, such as unseen classes."""
    found = load_split(prepared, split)
    check_target(found.target, task, classes, split=split, where=str(prepared))
    return Table(as_matrix(found.inputs), found.target.astype(np.float32))


def as_matrix(inputs: Mapping[str, NDArray[Any]]) -> Matrix:
    """The graph's tensors side by side, float32 [N, F]. A code below 2**24 is exact in float32."""
    parts = [inputs[name].astype(np.float32, copy=False) for name in ("numeric", "categorical") if name in inputs]
    return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1)


def balanced_weights(target: NDArray[np.float32], classes: int) -> NDArray[np.float32]:
    """Weight of each class [K], n / (K * n_k), so that each counts the same and the mean over the rows is 1."""
    counts = np.bincount(target.astype(np.int64), minlength=classes)
    weights = len(target) / (classes * np.maximum(counts, 1))
    return np.where(counts > 0, weights, 0.0).astype(np.float32)


def figures(output: NDArray[Any], table: Table, task: TaskKind) -> tuple[float, float]:
    """Mean loss and accuracy, or mean squared error and R2, as networks have them.

    `output` is the probability of the second class [N] or those of all [N, K], or values [N] in standardized units.
    """
    truth = table.target.astype(np.float64)
    if task == "regression":
        error = np.square(output - truth).mean()
        spread = truth.var()
        return float(error), float(1 - error / spread) if spread > 0 else 0.0
    chances = np.stack([1 - output, output], axis=1) if output.ndim == 1 else output
    classes = table.target.astype(np.int64)
    own = np.maximum(chances[np.arange(len(classes)), classes].astype(np.float64), 1e-15)
    loss = -np.log(own) if table.weight is None else -np.log(own) * table.weight
    return float(loss.mean()), float((chances.argmax(axis=1) == classes).mean())
