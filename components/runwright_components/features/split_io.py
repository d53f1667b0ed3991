"""Prepared splits as numpy arrays."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from runwright_components.contract.artifacts import ROW_ID, TARGET, PreparedManifest
from runwright_components.contract.config import SplitName, TaskKind
from runwright_components.contract.kinds import UNSUPERVISED
from runwright_components.contract.outcome import Reason, StageError

NUMERIC = "n:"
CATEGORICAL = "c:"


@dataclass(frozen=True)
class Split:
    """A whole split. `inputs` by tensor name, first dimension N: `numeric` float32 [N, F], `categorical` int64 [N, C],
    `input_ids` and `attention_mask` int64 [N, T], `pixels` uint8 [N, C, H, W]. `target` [N] is int32 classes or float32
    standardized values; `row_id` [N] numbers the raw rows."""

    inputs: dict[str, NDArray[Any]]
    target: NDArray[Any]
    row_id: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.target)


def load_split(prepared: Path, split: SplitName) -> Split:
    """Read a split of the prepared data in `prepared` into memory."""
    manifest = PreparedManifest.read(prepared)
    return _as_split(pl.read_parquet(prepared / f"{split}.parquet"), prepared, manifest)


def load_parts(prepared: Path, split: SplitName, rows: int) -> Iterator[Split]:
    """A split in parts of `rows`, one after the other in memory. Texts of a part are as wide as its longest."""
    manifest = PreparedManifest.read(prepared)
    scanned = pl.scan_parquet(prepared / f"{split}.parquet")
    for start in range(0, manifest.rows[split], rows):
        yield _as_split(scanned.slice(start, rows).collect(), prepared, manifest)


def _as_split(frame: pl.DataFrame, prepared: Path, manifest: PreparedManifest) -> Split:
    if manifest.modality == "text":
        from runwright_components.features.text import split_inputs
    elif manifest.modality == "image":
        from runwright_components.features.image import split_inputs
    else:
        split_inputs = table_inputs
    return Split(
        split_inputs(frame, prepared, manifest),
        frame[TARGET].to_numpy(),
        frame[ROW_ID].cast(pl.Int64).to_numpy(),
    )


def check_target(
    target: NDArray[Any], task: TaskKind, classes: int, *, split: SplitName, where: str, first: int = 0
) -> None:
    """Raise StageError (DataInvalid) for a target [N] that is no class or no number, in rows from `first` on. What
    learns without a target has nothing to check."""
    if task in UNSUPERVISED:
        return
    bad = (target < 0) | (target >= classes) if task == "classification" else ~np.isfinite(target)
    if bad.any():
        row = int(np.flatnonzero(bad)[0])
        raise StageError(
            Reason.DATA_INVALID,
            f"row {first + row} of the {split} split has the target {target[row]}",
            where=where,
            cure="the prepared data was altered or made by another version; run prepare again",
        )


def table_inputs(frame: pl.DataFrame, _prepared: Path, _manifest: PreparedManifest, /) -> dict[str, NDArray[Any]]:
    """`numeric` and `categorical` of the columns `n:NAME` and `c:NAME`, each only where there are some."""
    numeric = [name for name in frame.columns if name.startswith(NUMERIC)]
    categorical = [name for name in frame.columns if name.startswith(CATEGORICAL)]
    inputs: dict[str, NDArray[Any]] = {}
    if numeric:
        inputs["numeric"] = frame.select(numeric).to_numpy(order="c")
    if categorical:
        inputs["categorical"] = frame.select(categorical).to_numpy(order="c").astype(np.int64)
    return inputs
