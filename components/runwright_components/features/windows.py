"""Columns made of a row's past, by the same code for a table and for a request with its history.

A row's past are the rows of the same entity at an earlier time; rows of its own time are none of it. Every figure is
summed up in one order, from the newest row back, so that it has the same bits wherever it is computed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from runwright_components.contract.artifacts import Document
from runwright_components.contract.config.windows import RollingRules, WindowFunction
from runwright_components.contract.outcome import Reason, StageError
from runwright_components.features.numeric import Numbers
from runwright_components.features.reading import float64
from runwright_components.features.tabular_state import Reader
from runwright_components.features.values import Words, key

WINDOWS = "windows.json"  # in PREPROCESSING, where rows have columns of their past
HISTORY = "history"  # of a row in a request: the rows before it

Entities = NDArray[np.uint64]
Places = NDArray[np.int64]


class Windows(Document):
    """How the past becomes columns: `order` and `columns` read the source's, `by` are compared as text."""

    by: tuple[str, ...]
    order: Reader
    columns: tuple[Reader, ...]
    lags: tuple[int, ...]
    rolling: tuple[RollingRules, ...]
    words: Words

    @classmethod
    def beside(cls, preprocessing: Path) -> Windows | None:
        """Those of a preprocessing's folder; None where rows have no past."""
        return cls.read(preprocessing, WINDOWS) if (preprocessing / WINDOWS).exists() else None

    @property
    def names(self) -> tuple[str, ...]:
        """The columns that are made."""
        return tuple(
            name
            for reader in self.columns
            for name in (
                *(f"{reader.name}_lag_{lag}" for lag in self.lags),
                *(f"{reader.name}_{function}_{one.window}" for one in self.rolling for function in one.functions),
            )
        )

    @property
    def sources(self) -> tuple[str, ...]:
        """The columns that are looked at, each once."""
        return tuple(dict.fromkeys((*self.by, self.order.name, *(reader.name for reader in self.columns))))

    def of(self, rows: pl.DataFrame, usable: NDArray[np.bool_] | None = None) -> pl.DataFrame:
        """The columns that are made of raw rows [N], Float64; null where there is no past to tell of, and in rows that
        are not `usable`, which are nobody's past. Raises StageError for rows that lack a column."""
        missing = [name for name in self.sources if name not in rows.columns]
        if missing:
            raise StageError(
                Reason.DATA_INVALID,
                f"the rows lack {missing[0]!r}, which is looked back at",
                cure=f"give {', '.join(self.sources)}, or the columns that are made of them: {', '.join(self.names)}",
            )
        times = self._read(self.order, rows)
        entities, known = self._entities(rows)
        numbers = {reader.name: self._read(reader, rows) for reader in self.columns}
        return self.looked_back(times, entities, known if usable is None else known & usable, numbers)

    def looked_back(
        self, times: Numbers, entities: Entities, known: NDArray[np.bool_], numbers: Mapping[str, Numbers]
    ) -> pl.DataFrame:
        """The same of columns that are read [N]; rows without a time (NaN), or not `known`, have no past."""
        rows = np.flatnonzero(known & np.isfinite(times))
        rows = rows[np.lexsort((times[rows], entities[rows]))]  # stable: in the order of the rows
        past = _Past.of(entities[rows], times[rows])
        made = {}
        for name, values in numbers.items():
            ordered = np.where(np.isfinite(values), values, np.nan)[rows]
            found = [past.lag(ordered, lag) for lag in self.lags]
            for one in self.rolling:
                found += past.figures(ordered, one.window, one.functions)
            made[name] = found
        every = (part for found in made.values() for part in found)
        return pl.DataFrame(
            [_column(name, part, rows, len(times)) for name, part in zip(self.names, every, strict=True)]
        )

    def _read(self, reader: Reader, rows: pl.DataFrame) -> Numbers:
        return float64(rows.select(reader.expression(rows.schema[reader.name], self.words)).to_series())

    def _entities(self, rows: pl.DataFrame) -> tuple[Entities, NDArray[np.bool_]]:
        """A number of 64 bits for each row's entity, and whether it has one."""
        if not self.by:
            return np.zeros(len(rows), dtype=np.uint64), np.ones(len(rows), dtype=np.bool_)
        keys = rows.select(key(pl.col(name), rows.schema[name], self.words).alias(name) for name in self.by)
        known = keys.select(pl.all_horizontal(pl.all().is_not_null())).to_series()
        return keys.hash_rows().to_numpy(), known.to_numpy()


class _Past:
    """The past of rows in the order of entities and times: row i's are the places `first[i]` to `end[i]`, excluded."""

    def __init__(self, first: Places, end: Places) -> None:
        self._first, self._end = first, end

    @classmethod
    def of(cls, entities: Entities, times: Numbers) -> _Past:
        places = np.arange(len(times))
        other = np.ones(len(times), dtype=np.bool_)
        other[1:] = entities[1:] != entities[:-1]
        later = other.copy()
        later[1:] |= times[1:] != times[:-1]
        return cls(np.maximum.accumulate(places * other), np.maximum.accumulate(places * later))

    def lag(self, values: Numbers, rows: int) -> Numbers:
        """The value so many rows before, NaN where there is none."""
        places = self._end - rows
        there = places >= self._first
        return np.where(there, values[np.where(there, places, 0)], np.nan)

    def figures(self, values: Numbers, window: int, functions: Sequence[WindowFunction]) -> list[Numbers]:
        """Each function of the values in the window that are not missing."""
        count, total = np.zeros(len(values)), np.zeros(len(values))
        low, high = np.full(len(values), np.inf), np.full(len(values), -np.inf)
        for back in range(1, window + 1):
            value = self.lag(values, back)
            there = ~np.isnan(value)
            count += there
            with np.errstate(over="ignore", invalid="ignore"):
                total += np.where(there, value, 0.0)
            low, high = np.fmin(low, value), np.fmax(high, value)
        with np.errstate(invalid="ignore", divide="ignore"):
            mean = total / count
        made: dict[WindowFunction, Numbers] = {
            "count": count,
            "mean": mean,
            "min": np.where(count > 0, low, np.nan),
            "max": np.where(count > 0, high, np.nan),
        }
        if "std" in functions:
            made["std"] = self._deviation(values, window, mean, count)
        return [made[function] for function in functions]

    def _deviation(self, values: Numbers, window: int, mean: Numbers, count: Numbers) -> Numbers:
        squares = np.zeros(len(values))
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            for back in range(1, window + 1):
                off = self.lag(values, back) - mean
                squares += np.where(np.isnan(off), 0.0, off * off)
            return np.where(count > 1, np.sqrt(squares / (count - 1)), np.nan)


def _column(name: str, found: Numbers, rows: NDArray[np.intp], total: int) -> pl.Series:
    values = np.full(total, np.nan)
    values[rows] = found
    values[~np.isfinite(values)] = np.nan
    return pl.Series(name, values, nan_to_null=True)
