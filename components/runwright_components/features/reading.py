"""Reading one column of a table, with a memory for what was read before.

What a value reads as is worked out by the column's expression alone. But an expression over one row costs a hundred
times what a look into a dictionary costs, and requests repeat categories, dates and words; so few rows are looked up
first, and a batch of categories is worked out by its distinct values.
"""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from runwright_components.features.numeric import Numbers
from runwright_components.features.tabular_state import CategoricalInput, Reader
from runwright_components.features.values import Words

Codes = NDArray[np.int32]

_FEW = 256  # rows that are looked up
_REMEMBERED = 100_000  # values a column


class _Memory:
    """Values that were met, by their type: 1, 1.0 and True are one key of a dictionary, and need not read alike."""

    def __init__(self) -> None:
        self._known: dict[pl.DataType, dict[Any, Any]] = {}

    def recall(self, dtype: pl.DataType, values: list[Any]) -> list[Any] | None:
        """What they were read as, or None unless all are known."""
        known = self._known.get(dtype)
        if known is None:
            return None
        try:
            return [known[value] for value in values]
        except (KeyError, TypeError):
            return None

    def keep(self, dtype: pl.DataType, values: list[Any], read: list[Any]) -> None:
        known = self._known.setdefault(dtype, {})
        if len(known) > _REMEMBERED:
            known.clear()
        known.update(zip(values, read, strict=True))


def _listed(values: pl.Series) -> list[Any]:
    """Values to look up; times as their numbers, since Python's calendar has no year 0 and none after 9999."""
    return (values.to_physical() if values.dtype.is_temporal() else values).to_list()


class NumberReader:
    """Reads a numeric, boolean or datetime column as float64 [N] (not finite: missing)."""

    def __init__(self, reader: Reader, words: Words) -> None:
        self._reader = reader
        self._words = words
        self._memory = _Memory()

    def read(self, values: pl.Series) -> Numbers:
        if len(values) > _FEW:
            return self._work_out(values)
        listed = _listed(values)
        known = self._memory.recall(values.dtype, listed)
        if known is not None:
            return np.array(known, dtype=np.float64)
        read = self._work_out(values)
        self._memory.keep(values.dtype, listed, read.tolist())
        return read

    def _work_out(self, values: pl.Series) -> Numbers:
        return float64(_read(values, self._reader, self._words))


class Coder:
    """Reads a categorical column as codes int32 [N]."""

    def __init__(self, item: CategoricalInput, reader: Reader, words: Words) -> None:
        self._codes: dict[str | None, int] = {key: code for code, key in enumerate(item.keys, start=1)}
        self._codes[None] = item.missing
        self._buckets = item.buckets
        self._reader = reader
        self._words = words
        self._memory = _Memory()

    def read(self, values: pl.Series) -> Codes:
        if len(values) <= _FEW:
            listed = _listed(values)
            known = self._memory.recall(values.dtype, listed)
            if known is not None:
                return np.array(known, dtype=np.int32)
            codes = self._work_out(values)
            self._memory.keep(values.dtype, listed, codes.tolist())
            return codes
        distinct = values.unique()
        if len(distinct) > len(values) // 2:
            return self._work_out(values)
        by_value = pl.Series(self._work_out(distinct), dtype=pl.Int32)
        mapped: Codes = values.replace_strict(distinct, by_value, return_dtype=pl.Int32).to_numpy()
        return mapped

    def _work_out(self, values: pl.Series) -> Codes:
        keys = _read(values, self._reader, self._words).to_list()
        if self._buckets:
            return np.array(
                [self._codes[None] if key is None else bucket(key, self._buckets) for key in keys], np.int32
            )
        return np.array([self._codes.get(key, 0) for key in keys], dtype=np.int32)


def bucket(key: str, buckets: int) -> int:
    """From 1 to `buckets`, by BLAKE2b of the key: the same on every machine and in every version."""
    return 1 + int.from_bytes(hashlib.blake2b(key.encode(), digest_size=8).digest(), "big") % buckets


def coded(spelled: pl.Series, code_of: Codes, missing: int) -> Codes:
    """The codes int32 [N] of a column of the numbers of spellings, by the code of each spelling."""
    if not spelled.null_count():
        codes: Codes = code_of[spelled.to_numpy()]
        return codes
    if not len(code_of):
        return np.full(len(spelled), missing, dtype=np.int32)
    return np.where(spelled.is_null().to_numpy(), np.int32(missing), code_of[spelled.fill_null(0).to_numpy()])


def float64(column: pl.Series) -> Numbers:
    """The numbers of a column, NaN where they are missing."""
    numbers = column.to_numpy()
    return numbers if numbers.dtype == np.float64 else numbers.astype(np.float64)


def _read(values: pl.Series, reader: Reader, words: Words) -> pl.Series:
    source = values.alias(reader.name).to_frame()
    return source.select_seq(reader.expression(values.dtype, words)).to_series()
