"""Time series: from the rows of a table to series, from series to windows, and from the graph's output to forecasts.

A window is what is seen of a series (its `context`) and the `horizon` that follows. Each is scaled by itself, so that
one model serves series of any size: by the median of what is seen and its mean distance from it, which a few outliers
move little. Kim et al. 2022 (Reversible Instance Normalization) do so with mean and deviation.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from runwright_components.contract.artifacts import Document
from runwright_components.contract.outcome import Reason, StageError
from runwright_components.features.frequency import Frequency, Placed
from runwright_components.features.predictions import Forecasts, Predictions
from runwright_components.features.preprocessing import Preprocessing, State
from runwright_components.features.target import Target
from runwright_components.features.values import moment, number

Floats = NDArray[np.float64]
Gaps = Literal["refuse", "forward"]

HISTORY = "history"  # input of the graph
FORECAST = "forecast"  # its output
TIME, VALUE = "\x00time", "\x00value"  # columns of a table that was read
BOUND = 10.0  # of what is seen, in the units of its window
MOST_FILLED = 20  # stamps for each row; with more, the frequency is not that of the data


class SeriesState(Document):
    """`levels` are the quantiles of the graph's last dimension, the median in the middle; `from_end` says that stamps
    are counted from the ends of months."""

    time: str
    by: tuple[str, ...]
    formats: tuple[str, ...]
    frequency: str
    from_end: bool = False
    context: int
    horizon: int
    season: int
    levels: tuple[float, float, float]
    gaps: Gaps

    @property
    def step(self) -> Frequency:
        return Frequency.parse(self.frequency, from_end=self.from_end)


class SeriesPreprocessingState(State):
    kind: Literal["forecasting"] = "forecasting"
    series: SeriesState


class Scaled(NamedTuple):
    """Windows in their own units: `history` float32 [N, context]; a value is (value - `location`) / `scale` there."""

    history: NDArray[np.float32]
    location: Floats
    scale: Floats


def scaled(history: Floats) -> Scaled:
    """Scale each window [N, context] by its median and the mean distance from it; where all is one number, by its
    size. What is seen is bounded smoothly besides, as Holzmüller et al. 2024 do, for the sake of lone spikes."""
    location = np.median(history, axis=1)
    centred = history - location[:, None]
    scale = np.abs(centred).mean(axis=1)
    size = np.abs(location)
    scale = np.where(scale > 1e-12 * size, scale, np.where(size > 0, size, 1.0))
    own = centred / scale[:, None]
    return Scaled((own / np.sqrt(1 + np.square(own / BOUND))).astype(np.float32), location, scale)


class SeriesPreprocessing(Preprocessing):
    """Of the rows of a request: what is known of a series in one cell, and the stamp of its last value."""

    state_type: ClassVar[type[State]] = SeriesPreprocessingState

    def __init__(self, state: State) -> None:
        assert isinstance(state, SeriesPreprocessingState)
        super().__init__(state)
        self.state = state.series
        self._target = state.target

    def transform(self, rows: pl.DataFrame) -> dict[str, NDArray[Any]]:
        """`history` float32 [N, context], scaled."""
        return {HISTORY: self.scale(rows).history}

    def scale(self, rows: pl.DataFrame) -> Scaled:
        """What the model sees of each row's values, a list, of which the last `context` count. Raises StageError for
        one that is too short, or has a gap that may not be filled."""
        column = self._target.name
        if column not in rows.columns:
            raise StageError(Reason.DATA_INVALID, f"the rows have no column {column!r}", cure="give the known values")
        values = rows[column].cast(pl.List(pl.Float64)).list.tail(self.state.context)
        lengths = values.list.len().to_numpy()
        if (lengths < self.state.context).any():
            raise StageError(
                Reason.DATA_INVALID,
                f"{int(lengths.min())} values of {column!r} are known, the model sees {self.state.context}",
                cure=f"give the last {self.state.context} values or more, the oldest first",
            )
        history = values.explode().cast(pl.Float64).to_numpy().reshape(len(rows), self.state.context)
        if not np.isfinite(history).all():
            history = self._filled(history)
        return scaled(history)

    def _filled(self, history: Floats) -> Floats:
        known = np.isfinite(history)
        if self.state.gaps == "refuse" or not known[:, 0].all():
            what = "the first value" if self.state.gaps == "forward" else "a value"
            raise StageError(
                Reason.DATA_INVALID,
                f"{what} of {self._target.name!r} is missing",
                cure="give more of the past, from a known value on"
                if self.state.gaps == "forward"
                else "give every value; prepare.series.gaps: forward trains a model that takes gaps",
            )
        return forward_filled(history.ravel(), known.ravel()).reshape(history.shape)

    def forecasts(self, rows: pl.DataFrame, output: NDArray[Any], windows: Scaled) -> Predictions:
        """From the graph's `forecast` [N, horizon, levels] to values in the target's unit, with stamps where the row
        tells its last one."""
        found = output.astype(np.float64) * windows.scale[:, None, None] + windows.location[:, None, None]
        last = rows[self.state.time] if self.state.time in rows.columns else pl.Series([None] * len(rows))
        return Predictions(forecasts=Forecasts(found[..., 1], found[..., 0], found[..., 2], self.stamps_after(last)))

    def stamps_after(self, last: pl.Series) -> list[list[str] | None]:
        """The stamps of each row's forecast as ISO texts; None where the last one is not known."""
        known = last.cast(pl.Datetime("us")).to_physical()
        stamps = self.state.step.after(known.fill_null(0).to_numpy(), self.state.horizon)
        return [None if stamp is None else iso(row) for stamp, row in zip(known.to_list(), stamps, strict=True)]

    def read_words(self, field: str, texts: Sequence[str]) -> list[float | None]:
        """Stamps of a request as microseconds; NaN does not read."""
        frame = pl.DataFrame({field: texts}, schema={field: pl.String})
        read = moment(pl.col(field), pl.String(), self.state.formats, self._target.words)
        return frame.select(read).to_series().to_list()

    def requests(self, table: pl.DataFrame) -> pl.DataFrame:
        """A row for each series of a table of the source: the columns of `by`, the stamp of the last value, and what is
        known. Raises StageError for a table that holds no such series."""
        state = self.state
        reader = Reader(state.by, state.time, state.formats, self._target)
        found = arrange(reader.read(table), state.by, state.step, state.gaps)
        ends = found.offsets[1:]
        begins = np.maximum(found.offsets[:-1], ends - state.context)
        known = [found.values[begin:end] for begin, end in zip(begins, ends, strict=True)]
        self._require_context(found)
        last = state.step.at(found.starts, np.diff(found.offsets) - 1)
        return found.keys.with_columns(
            pl.Series(state.time, last).cast(pl.Datetime("us")),
            pl.Series(self._target.name, known, dtype=pl.List(pl.Float64)),
        )

    def _require_context(self, found: SeriesTable) -> None:
        lengths = np.diff(found.offsets)
        if (lengths < self.state.context).any():
            place = int(lengths.argmin())
            key = found.keys.row(place) if self.state.by else ()
            raise StageError(
                Reason.DATA_INVALID,
                f"the series{' ' if key else ''}{', '.join(key)} has {lengths[place]} steps, the model sees "
                f"{self.state.context}",
                cure="give more of its past, or leave the series out",
            )

    def outputs(self, raw: Mapping[str, NDArray[Any]]) -> Predictions:
        """Windows are scaled each by itself, so that `forecasts` needs them, too."""
        raise NotImplementedError("forecasts(rows, output, windows) brings forecasts back to the target's unit")


@dataclass(frozen=True)
class SeriesTable:
    """Series one after the other. `keys` [S]: the columns that tell them apart; `starts` int64 [S]: their first stamps;
    `offsets` int64 [S + 1]: where each begins in `values` float64 [L]; `observed` bool [L]: not filled."""

    keys: pl.DataFrame
    starts: NDArray[np.int64]
    offsets: NDArray[np.int64]
    values: Floats
    observed: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.starts)


def require_columns(columns: Sequence[str], wanted: Sequence[str]) -> None:
    """Raises StageError for one of `wanted` that is not among `columns`."""
    for name in wanted:
        if name not in columns:
            raise StageError(
                Reason.DATA_INVALID,
                f"the data have no column {name!r}",
                where="prepare.series",
                cure=f"name one of the columns: {', '.join(columns[:20])}",
            )


@dataclass(frozen=True)
class Reader:
    """How the columns of a table read: `by` as text, the stamps of `time`, the numbers of `target`."""

    by: tuple[str, ...]
    time: str
    formats: tuple[str, ...]
    target: Target

    def read(self, rows: pl.DataFrame) -> pl.DataFrame:
        """The columns `by`, TIME int64 and VALUE float64, NaN where it is missing. Raises StageError for a column that
        is missing, and for a stamp or a value that does not read."""
        value, words = self.target.name, self.target.words
        require_columns(rows.columns, (self.time, *self.by, value))
        read = rows.select(
            *(pl.col(name).cast(pl.String) for name in self.by),
            moment(pl.col(self.time), rows.schema[self.time], self.formats, words).alias(TIME),
            number(pl.col(value), rows.schema[value], self.target.notation, words).alias(VALUE),
        )
        stamped = read[TIME].is_not_nan().fill_null(value=False)
        if not stamped.all():
            raise _unread(rows[self.time], ~stamped, "a date such as 2024-05-31", "prepare.series.time")
        numeric = read[VALUE].is_finite().fill_null(value=True)
        if not numeric.all():
            raise _unread(rows[value], ~numeric, "a finite number", "prepare.target")
        return read.with_columns(pl.col(TIME).cast(pl.Int64), pl.col(VALUE).fill_null(float("nan")))


def _unread(column: pl.Series, bad: pl.Series, expected: str, where: str) -> StageError:
    place = int(bad.arg_max() or 0)
    return StageError(
        Reason.DATA_INVALID,
        f"{int(bad.sum())} of {len(bad)} values of column {column.name!r} are not {expected}; "
        f"the first is {column[place]!r} in row {place}",
        where=where,
        cure="name the right column, or mend these rows",
    )


def arrange(table: pl.DataFrame, by: Sequence[str], step: Frequency, gaps: Gaps) -> SeriesTable:
    """The series of a table as `Reader.read` gives it, in the order of their keys, each from its first known value to
    its last. Raises StageError for a stamp that is there twice or on no step, and for gaps that may not be filled."""
    rows = table.filter(pl.col(VALUE).is_not_nan()).sort(*by, TIME)
    if rows.is_empty():
        raise StageError(
            Reason.DATA_INVALID, "no row has a value", where="prepare.target", cure="name the column of the values"
        )
    stamps = rows[TIME].to_numpy()
    begins = first_of_series(rows, by)
    numbers = np.cumsum(begins) - 1
    starts = stamps[begins]
    placed = step.place(stamps, starts[numbers])
    order = _Order(rows, tuple(by), stamps, begins, placed, step)
    order.refuse_repeated()
    order.refuse_irregular(starts[numbers])
    if gaps == "refuse":
        order.refuse_gaps()
    lengths = placed.steps[np.append(begins[1:], True)] + 1
    offsets = np.append(0, np.cumsum(lengths))
    if offsets[-1] > MOST_FILLED * len(rows):
        raise StageError(
            Reason.DATA_INVALID,
            f"{len(rows)} values stand for {int(offsets[-1])} steps of {step.text}",
            where="prepare.series.frequency",
            cure="give the frequency at which the data come",
        )
    places = offsets[numbers] + placed.steps
    known = np.zeros(int(offsets[-1]), dtype=np.bool_)
    known[places] = True
    values = np.zeros(len(known))
    values[places] = rows[VALUE].to_numpy()
    keys = rows.select(by).filter(pl.Series(begins)) if by else pl.DataFrame()
    return SeriesTable(keys, starts, offsets, forward_filled(values, known), known)


@dataclass(frozen=True)
class _Order:
    """Sorted rows and their steps, to be checked. `begins` bool [N] marks the first of each series."""

    rows: pl.DataFrame
    by: tuple[str, ...]
    stamps: NDArray[np.int64]
    begins: NDArray[np.bool_]
    placed: Placed
    step: Frequency

    def refuse_repeated(self) -> None:
        repeated = self._between(np.diff(self.stamps) == 0)
        if repeated.any():
            place = int(repeated.argmax())
            raise StageError(
                Reason.DATA_INVALID,
                f"{self._series(place)} has two values at {self._stamp(place)}; {int(repeated.sum())} stamps repeat",
                where="prepare.series.by",
                cure="name every column that tells one series from another, or leave these rows out of the source",
            )

    def refuse_irregular(self, first: NDArray[np.int64]) -> None:
        if not self.placed.regular.all():
            place = int((~self.placed.regular).argmax())
            raise StageError(
                Reason.DATA_INVALID,
                f"{self._series(place)} has a value at {self._stamp(place)}, which is no whole number of steps of "
                f"{self.step.text} after its first one at {iso(first[place : place + 1])[0]}",
                where="prepare.series.frequency",
                cure="give the frequency of the data, or bring the stamps onto it",
            )

    def refuse_gaps(self) -> None:
        missing = self._between(np.diff(self.placed.steps) > 1)
        if missing.any():
            place = int(missing.argmax())
            raise StageError(
                Reason.DATA_INVALID,
                f"{self._series(place)} has no value between {self._stamp(place - 1)} and {self._stamp(place)}, more "
                f"than a step of {self.step.text}; gaps in all: {int(missing.sum())}",
                where="prepare.series.gaps",
                cure="add the rows, or set `gaps: forward`",
            )

    def _between(self, holds: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """What holds of a row [N] and the one before it, of the same series."""
        found = np.zeros(len(self.stamps), dtype=np.bool_)
        found[1:] = holds & ~self.begins[1:]
        return found

    def _series(self, place: int) -> str:
        key = self.rows.select(self.by).row(place) if self.by else ()
        return "the series" + (f" {', '.join(map(str, key))}" if key else "")

    def _stamp(self, place: int) -> str:
        return iso(self.stamps[place : place + 1])[0]


def first_of_series(rows: pl.DataFrame, by: Sequence[str]) -> NDArray[np.bool_]:
    """Of sorted rows, which is the first of its series [N]."""
    if not by:
        begins = np.zeros(len(rows), dtype=np.bool_)
    else:
        same = pl.all_horizontal(pl.col(name).eq_missing(pl.col(name).shift(1)) for name in by)
        begins = (~rows.select(same).to_series()).to_numpy().copy()
    begins[:1] = True
    return begins


def forward_filled(values: Floats, known: NDArray[np.bool_]) -> Floats:
    """`values` [L] with the last known one where they are not; the first is known."""
    found: Floats = values[np.maximum.accumulate(np.where(known, np.arange(len(values)), 0))]
    return found


def iso(stamps: NDArray[np.int64]) -> list[str]:
    """Stamps [N] as ISO texts, days without their midnight."""
    moments = stamps.astype("datetime64[us]")
    days = bool((stamps % 86_400_000_000 == 0).all())
    return [str(moment) for moment in moments.astype("datetime64[D]" if days else "datetime64[s]")]
