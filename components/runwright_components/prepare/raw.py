"""The raw data that collect made, opened."""

from __future__ import annotations

import datetime
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray
from polars import selectors
from pydantic import JsonValue

from runwright_components.contract.artifacts import MANIFEST, ROW_ID, RawManifest
from runwright_components.contract.outcome import Reason, StageError
from runwright_components.prepare.folds import Fold
from runwright_components.prepare.memory import Memory
from runwright_components.prepare.quality import Finding

_NEAR = 1000  # rows


@dataclass(frozen=True)
class RawData:
    """`frame` has the source's columns and `row_id` (UInt32), the row's number over all files, in order. `source` lacks
    `row_id`: a slice of it reads that slice alone, where Polars must count rows for the other."""

    folder: Path
    manifest: RawManifest
    frame: pl.LazyFrame
    source: pl.LazyFrame
    left_out: NDArray[np.bool_] | None = None  # [rows]: what stands in quarantine
    findings: tuple[Finding, ...] = ()  # about the raw data, for the report
    unread: tuple[str, ...] = ()  # columns of the source that are not in `frame`
    memory: Memory | None = None  # the splits of the revision before
    fold: Fold | None = None  # of a cross-validation, that is prepared

    @property
    def usable(self) -> NDArray[np.bool_]:
        """False for each row in quarantine, bool [rows]."""
        return np.ones(self.rows, dtype=np.bool_) if self.left_out is None else ~self.left_out

    @property
    def kept(self) -> pl.LazyFrame:
        """`frame` without the rows in quarantine."""
        return self.frame if self.left_out is None else self.frame.filter(rows_in(self.usable))

    def without(self, columns: Sequence[str]) -> RawData:
        """The data that lack these columns."""
        if not columns:
            return self
        return replace(
            self, frame=self.frame.drop(columns), source=self.source.drop(columns), unread=(*self.unread, *columns)
        )

    @property
    def rows(self) -> int:
        return self.manifest.rows

    @property
    def columns(self) -> list[str]:
        """The source's columns, without `row_id`."""
        return [name for name in self.frame.collect_schema().names() if name != ROW_ID]

    def rows_at(self, numbers: Sequence[int], columns: Sequence[str] | None = None) -> list[dict[str, JsonValue]]:
        """A few rows by their numbers, ascending, without `row_id`, in values that JSON knows; of some columns."""
        if not numbers:
            return []
        source = self.source if columns is None else self.source.select(columns)
        first, span = numbers[0], numbers[-1] - numbers[0] + 1
        if span <= _NEAR:
            rows = source.slice(first, span).collect()[[number - first for number in numbers]]
        else:
            rows = pl.concat(pl.collect_all([source.slice(number, 1) for number in numbers], engine="streaming"))
        return [{name: json_value(value) for name, value in row.items()} for row in _listed(rows)]


def _listed(rows: pl.DataFrame) -> list[dict[str, object]]:
    """The rows in Python's values; times as text where Python's calendar, years 1 to 9999, does not hold them."""
    try:
        return rows.to_dicts()
    except (ValueError, OverflowError):
        return rows.with_columns(selectors.temporal().cast(pl.String)).to_dicts()


def rows_in(mask: NDArray[np.bool_]) -> pl.Expr:
    """Whether the row with this `row_id` is in the mask, bool [rows]."""
    return pl.col(ROW_ID).map_batches(
        lambda rows: pl.Series(mask[rows.to_numpy()]), return_dtype=pl.Boolean, is_elementwise=True
    )


def json_value(value: object) -> JsonValue:
    """A cell as JSON has it: what is neither null, number, text nor truth value becomes text; NaN becomes null."""
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, bytes):
        return f"{len(value)} bytes"
    if isinstance(value, (datetime.date, datetime.datetime)):
        return value.isoformat()
    return str(value)


def open_raw(folder: Path) -> RawData:
    """Open raw data without reading the rows. Raises StageError: manifest or file missing, no rows, reserved name."""
    manifest = RawManifest.read(folder)
    files = [folder / name for name in manifest.files]
    for file in files:
        if not file.is_file():
            raise StageError(
                Reason.DATA_UNREADABLE,
                f"{file.name} is missing, which {MANIFEST} lists",
                where=str(folder),
                cure="collect the data again",
            )
    if ROW_ID in manifest.columns:
        raise StageError(
            Reason.DATA_INVALID,
            f"the name of column {ROW_ID!r} is reserved",
            where=str(folder),
            cure="rename this column in the source",
        )
    if manifest.rows == 0 or not files:
        raise StageError(
            Reason.DATA_INVALID,
            "the data have no rows",
            where=", ".join(source.uri for source in manifest.sources) or str(folder),
            cure="give data with rows below the header",
        )
    frame = pl.scan_parquet(files, row_index_name=ROW_ID, glob=False)
    return RawData(folder, manifest, frame, pl.scan_parquet(files, glob=False))
