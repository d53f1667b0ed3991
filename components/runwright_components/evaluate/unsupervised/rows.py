"""The rows that a model without a target is judged on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from runwright_components.contract.artifacts import RAW_TEST, ROW_ID, PreparedManifest
from runwright_components.contract.config import SplitName
from runwright_components.contract.outcome import Reason, StageError
from runwright_components.features import Split, load_split
from runwright_components.features.target import UNLABELLED

Matrix = NDArray[np.float32]
Labels = NDArray[np.int64]


@dataclass(frozen=True)
class Rows:
    """A split as the model sees it: `inputs` by tensor name, `matrix` float32 [N, F] the same side by side, categories
    as 0/1; `labels` int64 [N], UNLABELLED where there is none."""

    split: Split
    matrix: Matrix
    labels: Labels

    @property
    def labelled(self) -> NDArray[np.bool_]:
        known: NDArray[np.bool_] = self.labels != UNLABELLED
        return known


def read_rows(prepared: Path, data: PreparedManifest, name: SplitName) -> Rows:
    """A split in the order of its rows' numbers."""
    split = load_split(prepared, name)
    order = np.argsort(split.row_id, kind="stable")
    split = Split(
        {tensor: values[order] for tensor, values in split.inputs.items()}, split.target[order], split.row_id[order]
    )
    return Rows(split, _matrix(split, data), split.target.astype(np.int64))


def raw_test(prepared: Path, test: Rows) -> pl.DataFrame:
    """The test rows as they came from the source, in the same order. Raises StageError when they are not the same."""
    raw = pl.read_parquet(prepared / RAW_TEST).sort(ROW_ID)
    if raw.is_empty() or raw[ROW_ID].cast(pl.Int64).to_list() != test.split.row_id.tolist():
        raise StageError(
            Reason.DATA_INVALID,
            f"{RAW_TEST} ({len(raw)} rows) and test.parquet ({len(test.labels)} rows) are not the same rows",
            where=str(prepared),
            cure="prepare the data again; the folder was altered",
        )
    return raw


def _matrix(split: Split, data: PreparedManifest) -> Matrix:
    parts: list[Matrix] = []
    if "numeric" in split.inputs:
        parts.append(split.inputs["numeric"])
    if "categorical" in split.inputs:
        for column, size in enumerate(data.categories):
            codes = split.inputs["categorical"][:, column : column + 1]
            parts.append((codes == np.arange(size)).astype(np.float32))
    return np.concatenate(parts, axis=1) if parts else np.zeros((len(split), 0), dtype=np.float32)
