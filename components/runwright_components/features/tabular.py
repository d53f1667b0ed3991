"""Preprocessing of tables: raw rows to the tensors `numeric` and `categorical`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import polars as pl
from numpy.typing import NDArray

from runwright_components.contract.artifacts import STATE
from runwright_components.contract.outcome import Reason, StageError
from runwright_components.features.derived import Lookups, Products
from runwright_components.features.imputation import Chain, Imputer, Nearest, NearestState
from runwright_components.features.numeric import Numbers, NumericEncoder
from runwright_components.features.preprocessing import Preprocessing, unreadable
from runwright_components.features.preprocessing import State as AnyState
from runwright_components.features.reading import Coder, Codes, NumberReader, float64
from runwright_components.features.tabular_state import TabularState
from runwright_components.features.tfidf import TextEncoder
from runwright_components.features.values import missing_numbers

NEIGHBOURS = "neighbours.npy"  # float64 [inputs, rows], beside the state that has `nearest`
_PLANS = 64  # schemas

Texts = Sequence[str | None]


class TabularPreprocessing(Preprocessing):
    """See `Preprocessing`. Safe to share between threads."""

    state_type: ClassVar[type[AnyState]] = TabularState

    def __init__(self, state: AnyState, neighbours: Numbers | None = None) -> None:
        if not isinstance(state, TabularState):
            raise TypeError("a table's preprocessing needs a TabularState")
        super().__init__(state)
        self.state = state
        self._neighbours = neighbours
        self._numeric = NumericEncoder(state.numeric, imputers(state, neighbours))
        self._readers = {reader.name: reader for reader in state.columns}
        self._plans: dict[tuple[pl.DataType, ...], tuple[list[str], list[str]]] = {}
        self._coders = {item.column: Coder(item, self._readers[item.column], state.words) for item in state.categorical}
        self._lookups = Lookups(state.lookups)
        self._texts = {item.column: TextEncoder(item) for item in state.texts}
        self._products = Products(state.products, state.factor_names)
        self._numbers = {name: NumberReader(self._readers[name], state.words) for name in state.number_columns}
        self._direct = not missing_numbers(state.words)

    @classmethod
    def read(cls, folder: Path) -> Self:
        state = TabularState.read(folder, STATE)
        return cls(state, None if state.nearest is None else _neighbours(folder, state.nearest))

    def save(self, folder: Path) -> None:
        super().save(folder)
        if self._neighbours is not None:
            np.save(folder / NEIGHBOURS, self._neighbours, allow_pickle=False)

    def transform(self, rows: pl.DataFrame) -> dict[str, NDArray[Any]]:
        """`numeric` float32 [N, F] and `categorical` int64 [N, C], each only where the state has some."""
        numbers, codes = self.read_rows(rows)
        texts = {name: self.texts_of(name, rows.get_column(name)) for name in self._texts}
        return self.tensors(numbers, codes, texts, len(rows))

    def tensors(
        self, numbers: Mapping[str, Numbers], codes: Mapping[str, Codes], texts: Mapping[str, Texts], rows: int
    ) -> dict[str, NDArray[Any]]:
        """What `transform` gives, of columns that are read."""
        codes = self.with_bins(numbers, codes)
        inputs: dict[str, NDArray[Any]] = {}
        if self.state.numeric_names:
            inputs["numeric"] = np.ascontiguousarray(self.encode_numbers(numbers, codes, rows, texts=texts).T)
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
        direct, read = self._plans.get(dtypes) or self._plan(rows, dtypes)
        numbers = {name: float64(rows.get_column(name)) for name in direct}
        numbers.update((name, self._numbers[name].read(rows.get_column(name))) for name in read)
        return numbers, {name: coder.read(rows.get_column(name)) for name, coder in self._coders.items()}

    def codes_of(self, column: str, values: pl.Series) -> Codes:
        """The codes int32 [N] of a categorical column's raw values."""
        return self._coders[column].read(values)

    def texts_of(self, column: str, values: pl.Series) -> Texts:
        """The texts of a column's raw values, None where they are missing."""
        reader = self._readers[column]
        read = values.alias(column).to_frame().select_seq(reader.expression(values.dtype, self.state.words))
        return read.to_series().to_list()

    def with_bins(self, numbers: Mapping[str, Numbers], codes: Mapping[str, Codes]) -> Mapping[str, Codes]:
        """`codes`, and those of the numbers that are cut into intervals."""
        if not self.state.binned:
            return codes
        return {**codes, **{item.column: item.codes(numbers[item.column]) for item in self.state.binned}}

    def encode_numbers(
        self,
        numbers: Mapping[str, Numbers],
        codes: Mapping[str, Codes],
        rows: int,
        fills: Mapping[str, Numbers] | None = None,
        texts: Mapping[str, Texts] | None = None,
    ) -> NDArray[np.float32]:
        """The tensor `numeric`, a row an input: float32 [F, N], of `codes` with bins. `fills`: see `NumericEncoder`."""
        parts = []
        if self.state.numeric:
            parts.append(self._numeric.encode(numbers, fills))
        for item in self.state.categories:
            if item.onehot:
                hot = np.arange(1, item.size, dtype=np.int32).reshape(-1, 1) == codes[item.column]
                parts.append(hot.astype(np.float32))
        if self.state.lookups:
            parts.append(self._lookups.encode(codes))
        parts += [encoder.encode((texts or {})[name]) for name, encoder in self._texts.items()]
        encoded = parts[0] if len(parts) == 1 else np.concatenate([part.reshape(len(part), rows) for part in parts])
        return np.concatenate([encoded, self._products.encode(encoded)]) if self.state.products else encoded

    def _plan(self, rows: pl.DataFrame, dtypes: tuple[pl.DataType, ...]) -> tuple[list[str], list[str]]:
        """The number columns that are numbers already, and those to be read; checked once for each schema."""
        schema = dict(zip(self._readers, dtypes, strict=True))
        if not all(reader.accepts(schema[name]) for name, reader in self._readers.items()):
            raise self._drift(rows)
        plain = {name for name, dtype in schema.items() if dtype.is_float() or dtype.is_integer()}
        direct = [name for name in self._numbers if name in plain and self._readers[name].type == "numeric"]
        if not self._direct:
            direct = []
        if len(self._plans) >= _PLANS:
            self._plans.clear()
        plan = (direct, [name for name in self._numbers if name not in direct])
        self._plans[dtypes] = plan
        return plan

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


def imputers(state: TabularState, neighbours: Numbers | None) -> list[Imputer]:
    """What fills the state's numeric inputs from each other."""
    names = [item.name for item in state.numeric if item.part != "missing"]
    found: list[Imputer] = []
    if state.nearest is not None and neighbours is not None:
        found.append(Nearest(state.nearest, neighbours, names))
    if state.chain is not None:
        found.append(Chain(state.chain, names))
    return found


def _neighbours(folder: Path, state: NearestState) -> Numbers:
    try:
        rows: Numbers = np.load(folder / NEIGHBOURS, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise unreadable(folder, f"{NEIGHBOURS} cannot be read: {error}") from error
    if rows.dtype != np.float64 or rows.ndim != 2 or len(rows) != len(state.inputs):
        raise unreadable(folder, f"{NEIGHBOURS} is not of {len(state.inputs)} inputs")
    return rows


def _listed(names: list[str]) -> str:
    shown = ", ".join(repr(name) for name in names[:10])
    return f"{shown} and {len(names) - 10} more" if len(names) > 10 else shown
