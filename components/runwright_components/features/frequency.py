"""The steps of a time series: what they are, which step a stamp is, and which stamps come next. Pure.

Stamps are int64 microseconds since 1970, without a time zone. Steps of seconds to weeks have one length; months,
quarters and years are counted by the calendar, from the start of a month or, as month ends are, from its end.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

Stamps = NDArray[np.int64]
Unit = Literal["s", "m", "h", "d", "w", "mo", "q", "y"]

_SECOND = 1_000_000
_SECONDS: dict[str, int] = {"w": 604_800, "d": 86_400, "h": 3600, "m": 60, "s": 1}
_MONTHS: dict[str, int] = {"y": 12, "q": 3, "mo": 1}
_SHORTEST_MONTH = 28 * 86_400 * _SECOND
_SHAPE = re.compile(r"([1-9][0-9]*)(s|m|h|d|w|mo|q|y)")


class Placed(NamedTuple):
    """The number of each stamp's step, int64 [N], from the first of its series on; and whether it is on a step."""

    steps: NDArray[np.int64]
    regular: NDArray[np.bool_]


@dataclass(frozen=True)
class Frequency:
    """`count` units a step, `from_end`: stamps stand as far from the ends of their months as from one another's."""

    count: int
    unit: Unit
    from_end: bool = False

    @classmethod
    def parse(cls, text: str, *, from_end: bool = False) -> Self:
        """From 15m, 1h, 1d, 1w, 1mo, 1q, 1y. Raises ValueError for anything else."""
        match = _SHAPE.fullmatch(text)
        if match is None:
            raise ValueError(f"{text!r} is no step such as 15m, 1h, 1d or 1mo")
        return cls(int(match[1]), match[2], from_end)  # type: ignore[arg-type]

    @property
    def text(self) -> str:
        return f"{self.count}{self.unit}"

    @property
    def months(self) -> int:
        """Months of a step; 0 for steps of one length."""
        return self.count * _MONTHS.get(self.unit, 0)

    @property
    def season(self) -> int:
        """Steps of the period that series of this frequency usually have: a day, a week, a year; 1 where it is none."""
        if self.months:
            return 12 // self.months if 12 % self.months == 0 else 1
        period = {"s": 3600, "m": 86_400, "h": 86_400, "d": 604_800, "w": 52 * 604_800}[self.unit]
        step = self.count * _SECONDS[self.unit]
        return period // step if period % step == 0 else 1

    def place(self, stamps: Stamps, first: Stamps) -> Placed:
        """Where `stamps` [N] stand in series that start at `first` [N]."""
        if not self.months:
            steps, rest = np.divmod(stamps - first, self.count * _SECONDS[self.unit] * _SECOND)
            return Placed(steps, rest == 0)
        months, rest = self._in_month(stamps)
        start, due = self._in_month(first)
        steps, off = np.divmod(months - start, self.months)
        return Placed(steps, (off == 0) & (rest == due))

    def at(self, first: Stamps, steps: NDArray[np.int64]) -> Stamps:
        """The stamps `steps` after `first`; the two are of one shape, or become so. A day that a month lacks is its
        last one."""
        if not self.months:
            return first + steps * (self.count * _SECONDS[self.unit] * _SECOND)
        months, rest = self._in_month(first)
        months = months + steps * self.months
        if self.from_end:
            return _start_of(months + 1) - rest
        last_day = _start_of(months + 1) - _day_left(rest)
        found: Stamps = np.minimum(_start_of(months) + rest, last_day)
        return found

    def after(self, last: Stamps, steps: int) -> Stamps:
        """The `steps` stamps after each of `last` [N]: [N, steps]."""
        return self.at(last[:, None], np.arange(1, steps + 1)[None, :])

    def before(self, cut: int, first: Stamps) -> NDArray[np.int64]:
        """How many steps of series that start at `first` [N] come before the stamp `cut`."""
        steps = self.place(np.full_like(first, cut), first).steps
        found: NDArray[np.int64] = np.maximum(steps + (self.at(first, steps) < cut), 0)
        return found

    def _in_month(self, stamps: Stamps) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Months since 1970, and microseconds from the month's start or to its end."""
        months = stamps.astype("datetime64[us]").astype("datetime64[M]").astype(np.int64)
        return months, _start_of(months + 1) - stamps if self.from_end else stamps - _start_of(months)


def _start_of(months: NDArray[np.int64]) -> Stamps:
    found: Stamps = months.astype("datetime64[M]").astype("datetime64[us]").astype(np.int64)
    return found


def _day_left(rest: NDArray[np.int64]) -> NDArray[np.int64]:
    """From the time of day to the end of the day."""
    day = 86_400 * _SECOND
    left: NDArray[np.int64] = day - rest % day
    return left


def infer(stamps: Stamps, starts: NDArray[np.bool_]) -> Frequency | None:
    """The step that most neighbours in `stamps` [N] are apart, sorted within each series; `starts` [N] marks the first
    of each. None where there are no two different neighbours, or they are apart by no whole seconds."""
    apart = np.diff(stamps)[~starts[1:]]
    apart = apart[apart > 0]
    if not len(apart):
        return None
    lengths, rows = np.unique(apart, return_counts=True)
    usual = int(lengths[rows.argmax()])
    if usual >= _SHORTEST_MONTH and (found := _by_calendar(stamps, starts)) is not None:
        return found
    if usual % _SECOND:
        return None
    unit = next(unit for unit, seconds in _SECONDS.items() if usual % (seconds * _SECOND) == 0)
    return Frequency(usual // (_SECONDS[unit] * _SECOND), unit)  # type: ignore[arg-type]


def _by_calendar(stamps: Stamps, starts: NDArray[np.bool_]) -> Frequency | None:
    """The step in months, if the stamps stand at one place in their months."""
    first = stamps[np.maximum.accumulate(np.where(starts, np.arange(len(stamps)), 0))]
    for from_end in (False, True):
        month = Frequency(1, "mo", from_end)
        placed = month.place(stamps, first)
        if not placed.regular.all():
            continue
        apart = np.diff(placed.steps)[~starts[1:]]
        lengths, rows = np.unique(apart[apart > 0], return_counts=True)
        usual = int(lengths[rows.argmax()])
        unit = next(unit for unit, months in _MONTHS.items() if usual % months == 0)
        return Frequency(usual // _MONTHS[unit], unit, from_end)  # type: ignore[arg-type]
    return None
