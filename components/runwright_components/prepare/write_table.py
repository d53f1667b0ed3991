"""The encoded splits of a table, streamed from the cleaned columns to Parquet."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from runwright_components.contract.artifacts import RAW_TEST, ROW_ID, TARGET
from runwright_components.contract.config import SPLITS
from runwright_components.contract.kinds import LABELLED
from runwright_components.features.reading import Codes, coded
from runwright_components.features.split_io import CATEGORICAL, NUMERIC
from runwright_components.features.tabular import TabularPreprocessing
from runwright_components.features.target import UNLABELLED
from runwright_components.prepare.clean import Cleaned
from runwright_components.prepare.fit_encodings import OutOfFold
from runwright_components.prepare.fit_imputation import Gaps
from runwright_components.prepare.parts import Part, assemble, replacing, write_parquet
from runwright_components.prepare.raw import RawData
from runwright_components.prepare.select import Selection


def write_splits(
    folder: Path,
    data: RawData,
    cleaned: Cleaned,
    preprocessing: TabularPreprocessing,
    selection: Selection,
    gaps: Mapping[str, Gaps],
    out_of_fold: OutOfFold | None = None,
) -> None:
    """Write `{train,validation,test}.parquet` and the raw rows of the test split. `gaps` are what training rows are
    filled with in their order, `out_of_fold` what they get of their categories."""
    encoder = _Encoder(cleaned, preprocessing, gaps, out_of_fold)
    rows = [(part, selection.codes[part.first : part.first + part.rows]) for part in cleaned.parts]
    cleaned.engine.run(_Writing(encoder, data.frame, folder), rows)
    for name in (*(f"{split}.parquet" for split in SPLITS), RAW_TEST):
        assemble([_piece(folder, name, part) for part in cleaned.parts], folder / name)


@dataclass(frozen=True)
class _Writing:
    """Writes the pieces of the splits that a part has, and of the raw test rows."""

    encoder: _Encoder
    raw: pl.LazyFrame
    folder: Path

    def __call__(self, given: tuple[Part, NDArray[np.uint8]]) -> None:
        part, codes = given
        encoder = self.encoder
        cleaned = pl.scan_ipc(part.path, row_index_name=ROW_ID, row_index_offset=part.first)
        source = cleaned.select(ROW_ID, *encoder.columns)
        for code, name in enumerate(SPLITS):
            rows = source.filter(_in_split(codes, part.first, code))
            encoded = rows.map_batches(encoder, schema=encoder.schema, streamable=True, validate_output_schema=False)
            self._sink(encoded, f"{name}.parquet", part)
        test = _in_split(codes, part.first, SPLITS.index("test"))
        self._sink(part.of(self.raw).filter(test), RAW_TEST, part)

    def _sink(self, frame: pl.LazyFrame, name: str, part: Part) -> None:
        with replacing(_piece(self.folder, name, part)) as path:
            write_parquet(frame, path)


def _piece(folder: Path, name: str, part: Part) -> Path:
    return folder / f".{part.path.stem}.{name}"


class _Encoder:
    """Encodes cleaned rows by the code that also encodes a request; a spelling's code is worked out once."""

    def __init__(
        self,
        cleaned: Cleaned,
        preprocessing: TabularPreprocessing,
        gaps: Mapping[str, Gaps],
        out_of_fold: OutOfFold | None,
    ) -> None:
        state = preprocessing.state
        self._preprocessing = preprocessing
        self._gaps = gaps
        self._out_of_fold = out_of_fold
        self._target = state.target
        self._numbers = state.number_columns
        self._texts = {item.column: cleaned.spellings[item.column].texts for item in state.texts}
        self._looked_up = {item.name: (state.factor_names.index(item.name), item.column) for item in state.lookups}
        self._codes: dict[str, tuple[Codes, int]] = {}
        for item in state.categorical:
            texts = cleaned.spellings[item.column].texts
            self._codes[item.column] = (preprocessing.codes_of(item.column, texts), item.missing)
        self._classes: Codes | None = None
        if self._target.name and self._target.task in LABELLED:
            keys = cleaned.spellings[self._target.name].keys
            self._classes = self._target.classes_of(keys)
        names = state.numeric_names
        target = [self._target.name] if self._target.name else []
        self.columns = [*self._numbers, *self._codes, *self._texts, *target]
        self.schema: dict[str, type[pl.DataType]] = {ROW_ID: pl.UInt32}
        self.schema |= {NUMERIC + name: pl.Float32 for name in names}
        self.schema |= {CATEGORICAL + item.name: pl.Int32 for item in state.coded}
        self.schema[TARGET] = pl.Int32 if self._target.task in LABELLED else pl.Float32

    def __call__(self, rows: pl.DataFrame) -> pl.DataFrame:
        state = self._preprocessing.state
        numbers = {name: rows.get_column(name).to_numpy() for name in self._numbers}
        read = {name: coded(rows.get_column(name), *known) for name, known in self._codes.items()}
        codes = self._preprocessing.with_bins(numbers, read)
        texts = {name: spelled.gather(rows.get_column(name)).to_list() for name, spelled in self._texts.items()}
        columns = [rows.get_column(ROW_ID)]
        if state.numeric_names:
            numbered = columns[0].to_numpy()
            fills = {name: gaps.of(numbered) for name, gaps in self._gaps.items()}
            encoded = self._preprocessing.encode_numbers(numbers, codes, len(rows), fills, texts)
            if self._out_of_fold is not None:
                self._out_of_fold.put(encoded, self._looked_up, codes, numbered)
            columns += [pl.Series(NUMERIC + name, encoded[i]) for i, name in enumerate(state.numeric_names)]
        columns += [pl.Series(CATEGORICAL + item.name, codes[item.column]) for item in state.coded]
        if not self._target.name:
            return pl.DataFrame([*columns, pl.Series(TARGET, np.full(len(rows), UNLABELLED, dtype=np.int32))])
        target = rows.get_column(self._target.name)
        if self._classes is not None:
            return pl.DataFrame([*columns, pl.Series(TARGET, coded(target, self._classes, UNLABELLED))])
        values = (target.to_numpy() - self._target.mean) / self._target.scale
        return pl.DataFrame([*columns, pl.Series(TARGET, values.astype(np.float32))])


def _in_split(codes: NDArray[np.uint8], first: int, code: int) -> pl.Expr:
    """Whether the row of this `row_id` is in the split; `codes` are of the rows from `first` on."""
    # Clipped: Polars also asks for bounds of row groups that lie outside the part.
    return pl.col(ROW_ID).map_batches(
        lambda rows: pl.Series(np.take(codes, rows.to_numpy() - np.uint32(first), mode="clip") == code),
        return_dtype=pl.Boolean,
        is_elementwise=True,
    )
