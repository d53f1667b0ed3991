"""Rows of a request that bring their history: what the model was given of the past is made of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl

from runwright_components.features.numeric import Numbers
from runwright_components.features.reading import float64
from runwright_components.features.tabular_state import Reader
from runwright_components.features.windows import HISTORY, Windows
from runwright_components.serve.request_error import Kind, Limits, RequestError, kind_of


class Histories:
    """Puts the columns of the past into rows. Those of `history` are of the row's entity; only earlier ones count, all
    of them where the row gives no time."""

    def __init__(self, windows: Windows, limits: Limits) -> None:
        self._windows = windows
        self._most = limits.rows

    def fill(self, rows: object) -> object:
        """The rows with what their history tells in its place; rows without one, and what is none, as they are. Raises
        RequestError."""
        if not isinstance(rows, Sequence) or isinstance(rows, str | bytes):
            return rows
        return [
            self._filled(row, number) if isinstance(row, Mapping) and HISTORY in row else row
            for number, row in enumerate(rows)
        ]

    def _filled(self, row: Mapping[str, Any], number: int) -> dict[str, Any]:
        history = row[HISTORY]
        if not isinstance(history, list) or not all(isinstance(each, Mapping) for each in history):
            raise _refused("type", f"expected a list of rows, got {kind_of(history)}", number)
        if len(history) > self._most:
            raise _refused("size", f"{len(history):,} rows are more than {self._most:,}", number)
        rest = {name: value for name, value in row.items() if name != HISTORY}
        own = rest.get(self._windows.order.name)
        times = self._read(self._windows.order, [*_values(history, self._windows.order.name), own], number)
        if np.isnan(times[:-1]).any():
            raise _refused("null", f"a row of the history has no {self._windows.order.name!r}", number)
        if np.isnan(times[-1]):
            times[-1] = np.nextafter(times[:-1].max(initial=0.0), np.inf)
        numbers = {
            reader.name: self._read(reader, [*_values(history, reader.name), None], number)
            for reader in self._windows.columns
        }
        alone = np.zeros(len(times), dtype=np.uint64)
        made = self._windows.looked_back(times, alone, np.ones(len(times), dtype=np.bool_), numbers)
        return {**made.row(-1, named=True), **rest}

    def _read(self, reader: Reader, values: Sequence[Any], number: int) -> Numbers:
        """The values as training would have read them, NaN where they are missing."""
        present = [value for value in values if value is not None]
        if not present:
            series = pl.Series(reader.name, values, pl.Null)
        elif all(type(value) in (int, float) for value in present):
            series = pl.Series(reader.name, [None if value is None else float(value) for value in values], pl.Float64)
        elif all(type(value) is str for value in present):
            series = pl.Series(reader.name, values, pl.String)
        else:
            raise _refused("type", f"the values of {reader.name!r} are neither all numbers nor all strings", number)
        if not reader.accepts(series.dtype):
            raise _refused("type", f"the values of {reader.name!r} are not written as in the training data", number)
        read = series.to_frame().select(reader.expression(series.dtype, self._windows.words)).to_series()
        if (wrong := read.is_nan().fill_null(value=False)).any():
            shown = series.filter(wrong)[0]
            raise _refused("value", f"{shown!r} does not read as {reader.type} ({reader.name!r})", number)
        return float64(read)


def _values(history: Sequence[Mapping[str, Any]], name: str) -> list[Any]:
    return [row.get(name) for row in history]


def _refused(kind: Kind, message: str, number: int) -> RequestError:
    return RequestError(kind, message, cure="give the earlier rows of the same entity", row=number, field=HISTORY)
