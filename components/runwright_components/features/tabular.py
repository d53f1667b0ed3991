"""Preprocessing of tables: raw rows to the tensors `numeric` and `categorical`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import polars as pl
from numpy.typing import NDArray

from runwright_components.contract.outcome import Reason, StageError
from runwright_components.features.numeric import Numbers, NumericEncoder
from runwright_components.features.preprocessing import Preprocessing
from runwright_components.features.preprocessing import State as AnyState
from runwright_components.features.tabular_state import CategoricalInput, Reader, TabularState
from runwright_components.features.values import Words, missing_numbers

Codes = NDArray[np.int32]

_FEW = 256  # rows; more are read by their distinct values
_REMEMBERED = 100_000  # spellings a column
_PLANS = 64


class TabularPreprocessing(Preprocessing):
    """See `Preprocessing`. Safe to share between threads."""

    state_type: ClassVar[type[AnyState]] = TabularState

    def __init__(self, state: AnyState) -> None:
        if not isinstance(state, TabularState):
            raise TypeError("a table's preprocessing needs a TabularState")
        super().__init__(state)
        self.state = state
        self._numeric = NumericEncoder(state.numeric)
        self._readers = {reader.name: reader for reader in state.columns}
        self._plans: dict[tuple[pl.DataType, ...], tuple[list[str], list[pl.Expr]]] = {}
        self._coders = {
            item.column: _Coder(item, self._readers[item.column], state.words) for item in state.categorical
        }
        self._numbers = [reader for reader in state.columns if reader.type != "categorical"]
        self._direct = not missing_numbers(state.words)

    def transform(self, rows: pl.DataFrame) -> dict[str, NDArray[Any]]:
        """`numeric` float32 [N, F] and `categorical` int64 [N, C], each only where the state has some."""
        numbers, codes = self.read_rows(rows)
        inputs: dict[str, NDArray[Any]] = {}
        if self.state.numeric_names:
            inputs["numeric"] = np.ascontiguousarray(self.encode_numbers(numbers, codes, len(rows)).T)
        if self.state.coded:
            stacked = np.array([codes[item.column] for item in self.state.coded])
            inputs["categorical"] = np.ascontiguousarray(stacked.T.astype(np.int64))
        return inputs

    def read_rows(self, rows: pl.DataFrame) -> tuple[dict[str, Numbers], dict[str, Codes]]:
        """Each column as numbers (not finite: missing) or as codes. Raises StageError for a schema unlike the fit's."""
        try:
            dtypes = tuple(rows.get_column(name).dtype for name in self._readers)
        except pl.exceptions.ColumnNotFoundError:
            raise self._drift(rows) from None
        plan = self._plans.get(dtypes) or self._plan(rows, dtypes)
        direct, expressions = plan
        numbers = {name: _numbers(rows.get_column(name)) for name in direct}
        if expressions:
            read = rows.select_seq(expressions)
            numbers.update((name, _numbers(read.get_column(name))) for name in read.columns)
        return numbers, {name: coder.codes(rows.get_column(name)) for name, coder in self._coders.items()}

    def codes_of(self, column: str, values: pl.Series) -> Codes:
        """The codes int32 [N] of a categorical column's raw values."""
        return self._coders[column].codes(values)

    def encode_numbers(
        self, numbers: Mapping[str, Numbers], codes: Mapping[str, Codes], rows: int
    ) -> NDArray[np.float32]:
        """The tensor `numeric`, a row an input: float32 [F, N]."""
        parts = []
        if self.state.numeric:
            parts.append(self._numeric.encode(numbers))
        for item in self.state.categorical:
            if item.onehot:
                hot = np.arange(1, item.size, dtype=np.int32).reshape(-1, 1) == codes[item.column]
                parts.append(hot.astype(np.float32))
        return parts[0] if len(parts) == 1 else np.concatenate(parts).reshape(-1, rows)

    def _plan(self, rows: pl.DataFrame, dtypes: tuple[pl.DataType, ...]) -> tuple[list[str], list[pl.Expr]]:
        schema = dict(zip(self._readers, dtypes, strict=True))
        if not all(reader.accepts(schema[name]) for name, reader in self._readers.items()):
            raise self._drift(rows)
        direct, expressions = [], []
        for reader in self._numbers:
            dtype = schema[reader.name]
            # Such a column needs no reading, and an expression would cost more than all the rest of one row's encoding.
            if reader.type == "numeric" and self._direct and (dtype.is_float() or dtype.is_integer()):
                direct.append(reader.name)
            else:
                expressions.append(reader.expression(dtype, self.state.words))
        if len(self._plans) >= _PLANS:
            self._plans.clear()
        self._plans[dtypes] = (direct, expressions)
        return direct, expressions

    def _drift(self, rows: pl.DataFrame) -> StageError:
        missing = [name for name in self._readers if name not in rows.columns]
        if missing:
            return StageError(
                Reason.DATA_INVALID,
                f"the rows lack {_listed(missing)}",
                cure=f"give every input of the signature: {_listed(list(self._readers))}; a value may be null",
            )
        name, reader = next((n, r) for n, r in self._readers.items() if not r.accepts(rows.schema[n]))
        return StageError(
            Reason.DATA_INVALID,
            f"{reader.type} column {name!r} is of type {rows.schema[name]}, the training data had "
            f"{'text' if reader.text else 'typed values'}",
            where=f"column {name}",
            cure="give the column in the form of the training data, or train again with the new form",
        )


class _Coder:
    """The codes of one categorical column. What a spelling reads as is worked out once, by the column's expression, and
    remembered: for one row this saves nine tenths of the time, for a batch all but the distinct values."""

    def __init__(self, item: CategoricalInput, reader: Reader, words: Words) -> None:
        self._codes: dict[str | None, int] = {key: code for code, key in enumerate(item.keys, start=1)}
        self._codes[None] = item.missing
        self._reader = reader
        self._words = words
        self._seen: dict[pl.DataType, dict[Any, int]] = {}

    def codes(self, values: pl.Series) -> Codes:
        """int32 [N]."""
        if len(values) <= _FEW:
            seen = self._seen.get(values.dtype)
            listed = values.to_list()
            if seen is not None:
                try:
                    return np.array([seen[value] for value in listed], dtype=np.int32)
                except KeyError:
                    pass
            return self._remember(values, listed)
        distinct = values.unique()
        if len(distinct) > len(values) // 2:
            return self._work_out(values)
        codes = pl.Series(self._work_out(distinct), dtype=pl.Int32)
        mapped: Codes = values.replace_strict(distinct, codes, return_dtype=pl.Int32).to_numpy()
        return mapped

    def _work_out(self, values: pl.Series) -> Codes:
        source = values.alias(self._reader.name).to_frame()
        keys = source.select_seq(self._reader.expression(values.dtype, self._words)).to_series()
        known = self._codes
        return np.array([known.get(key, 0) for key in keys.to_list()], dtype=np.int32)

    def _remember(self, values: pl.Series, listed: list[Any]) -> Codes:
        codes = self._work_out(values)
        seen = self._seen.setdefault(values.dtype, {})
        if len(seen) > _REMEMBERED:
            seen.clear()
        seen.update(zip(listed, codes.tolist(), strict=True))
        return codes


def _numbers(column: pl.Series) -> Numbers:
    numbers = column.to_numpy()
    return numbers if numbers.dtype == np.float64 else numbers.astype(np.float64)


def _listed(names: list[str]) -> str:
    shown = ", ".join(repr(name) for name in names[:10])
    return f"{shown} and {len(names) - 10} more" if len(names) > 10 else shown
