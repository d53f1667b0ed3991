"""From the checked cells of a request to the frame, or straight to the tensors, that the model takes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from runwright_components.contract.artifacts import Signature
from runwright_components.features.tabular import TabularPreprocessing
from runwright_components.features.values import missing_numbers
from runwright_components.serve.cells import Cell
from runwright_components.serve.validation import Columns

_FEW = 256  # rows
_REMEMBERED = 65_536  # spellings a column

_DTYPES: dict[str, Any] = {
    "numeric": pl.Float64,
    "categorical": pl.String,
    "boolean": pl.Float64,
    "datetime": pl.Float64,
    "text": pl.String,
    "image": pl.Binary,
    "numbers": pl.List(pl.Float64),
}


def frame_of(columns: Columns, signature: Signature) -> pl.DataFrame:
    """The cells as a frame that `Preprocessing.transform` takes."""
    schema = {field.name: _DTYPES[field.type] for field in signature.inputs}
    dates = [field.name for field in signature.inputs if field.type == "datetime"]
    frame = pl.DataFrame(dict(columns), schema=schema)
    return frame.with_columns(pl.col(dates).cast(pl.Int64).cast(pl.Datetime("us"))) if dates else frame


class TableEncoder:
    """Tensors of a table's cells without a frame: for one row a frame and its expressions cost ten times the rest.

    Numbers, truth values and dates are read already, by the expressions of `transform`; what is left of it is the
    same code, so the bits are the same.
    """

    def __init__(self, preprocessing: TabularPreprocessing) -> None:
        self._preprocessing = preprocessing
        state = preprocessing.state
        self._numbers = state.number_columns
        self._categories = [item.column for item in state.categorical]
        self._texts = [item.column for item in state.texts]
        self._seen: dict[str, dict[Cell, int]] = {name: {} for name in self._categories}

    @staticmethod
    def fits(preprocessing: object) -> bool:
        """Numbers that mean missing ("-999") need the frame's expressions."""
        return isinstance(preprocessing, TabularPreprocessing) and not missing_numbers(preprocessing.state.words)

    def tensors(self, columns: Columns) -> dict[str, NDArray[Any]]:
        """`numeric` float32 [N, F] and `categorical` int64 [N, C], as `TabularPreprocessing.transform` gives them."""
        rows = len(next(iter(columns.values())))
        # None becomes NaN, which the encoder takes for missing.
        numbers = {name: np.array(columns[name], dtype=np.float64) for name in self._numbers}
        codes = {name: self._codes(name, columns[name]) for name in self._categories}
        texts: dict[str, Any] = {name: columns[name] for name in self._texts}
        return self._preprocessing.tensors(numbers, codes, texts, rows)

    def _codes(self, name: str, cells: Sequence[Cell]) -> NDArray[np.int32]:
        """The codes int32 [N] of a categorical column; those of few cells at a time are remembered."""
        seen = self._seen[name]
        if len(cells) <= _FEW:
            try:
                return np.array([seen[cell] for cell in cells], dtype=np.int32)
            except KeyError:
                pass
        codes = self._preprocessing.codes_of(name, pl.Series(cells, dtype=pl.String))
        if len(cells) <= _FEW:
            if len(seen) > _REMEMBERED:
                seen.clear()
            seen.update(zip(cells, codes.tolist(), strict=True))
        return codes
