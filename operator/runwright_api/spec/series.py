"""`spec.prepare.series`: what a table of time series is, and the rules of forecasting."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field

from runwright_api.part import Part, Path, Rule, fill, unless
from runwright_api.spec.shared import Columns
from runwright_api.text import ColumnName, Frequency

TASK = "series-forecasting"


class Series(Part):
    """What is a series in the table, how far it is forecast, and what of its past is seen for that."""

    time: ColumnName
    """The column of the time stamps."""
    by: Columns = ()
    """The columns that tell one series from another. Default: the table is one series."""
    frequency: Frequency | None = None
    """The step from one stamp to the next: 15m, 1h, 1d, 1w, 1mo, 1q, 1y. Default: inferred."""
    horizon: Annotated[int, Field(ge=1, le=10_000)]
    """How many steps are forecast."""
    context: Annotated[int | None, Field(ge=2, le=100_000)] = None
    """How many steps before them are seen. Default: two horizons or two seasons, whichever is more."""
    season: Annotated[int | None, Field(ge=1, le=100_000)] = None
    """Steps after which the series repeats; the seasonal naive forecast says the same again. 1: never.
    Default: by the frequency, a day of hours, a week of days, a year of weeks, months or quarters."""
    interval: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.8
    """Share of the truths that the forecast interval should hold. Default: 0.8."""
    gaps: Literal["refuse", "forward"] = "refuse"
    """Stamps without a value. forward: the last value stands in for them in what is seen; they are neither learned
    nor judged. Default: refuse."""

    rules = (
        Rule(
            message="the columns of `by` are not the column of the time",
            broken=lambda self: unless(self.time not in self.by, "by"),
            cel="!has(self.by) || !(self.time in self.by)",
            cure="name the columns that tell one series from another",
        ),
        Rule(
            message="context is at least one season",
            broken=lambda self: unless(
                self.context is None or self.season is None or self.season <= self.context, "context"
            ),
            cel="!has(self.context) || !has(self.season) || self.season <= self.context",
            cure="the model is compared with the seasonal naive forecast, which repeats the last season of the context",
        ),
    )


def _forecasts(spec: Any) -> bool:
    return bool(spec.train.task == TASK)


def _misplaced_split(spec: Any) -> list[Path]:
    split, series = spec.prepare.split, spec.prepare.series
    if not _forecasts(spec) or series is None:
        return []
    given = (("strategy", split.strategy == "time"), ("by", split.by in (None, series.time)))
    return [("prepare", "split", field) for field, fits in given if not fits]


SERIES_RULES = (
    Rule(
        message=f"{TASK} needs prepare.target, the column of the values, and prepare.series",
        broken=lambda self: [
            ("prepare", field)
            for field, given in (("target", self.prepare.target != ""), ("series", self.prepare.series is not None))
            if _forecasts(self) and not given
        ],
        cel=(
            f"self.train.task != '{TASK}'"
            " || (has(self.prepare) && has(self.prepare.target) && has(self.prepare.series))"
        ),
        cure="for example `prepare: {target: sales, series: {time: day, by: [shop], horizon: 14}}`",
    ),
    Rule(
        message=f"prepare.series is for {TASK}",
        broken=lambda self: unless(_forecasts(self) or self.prepare.series is None, "prepare", "series"),
        cel=f"self.train.task == '{TASK}' || !has(self.prepare) || !has(self.prepare.series)",
        cure=f"remove it, or set `task: {TASK}`",
    ),
    Rule(
        message="series are split by time, the newest stamps are the test",
        broken=_misplaced_split,
        cel=(
            f"self.train.task != '{TASK}' || !has(self.prepare) || !has(self.prepare.split)"
            " || ((!has(self.prepare.split.strategy) || self.prepare.split.strategy == 'time')"
            " && (!has(self.prepare.split.by) || !has(self.prepare.series)"
            " || self.prepare.split.by == self.prepare.series.time))"
        ),
        cure="remove `strategy` and `by`; a random split would let the model see what it is to foretell",
    ),
    Rule(
        message="the target is neither the time nor what tells one series from another",
        broken=lambda self: unless(
            self.prepare.series is None
            or self.prepare.target not in (self.prepare.series.time, *self.prepare.series.by),
            "prepare",
            "target",
        ),
        cel=(
            "!has(self.prepare) || !has(self.prepare.series) || !has(self.prepare.target)"
            " || (self.prepare.target != self.prepare.series.time"
            " && (!has(self.prepare.series.by) || !(self.prepare.target in self.prepare.series.by)))"
        ),
        cure="name the column of the values that are forecast",
    ),
    Rule(
        message=f"own code does not do {TASK} yet",
        broken=lambda self: unless(not _forecasts(self) or self.train.code is None, "train", "code"),
        cel=f"self.train.task != '{TASK}' || !has(self.train.code)",
        cure="remove `train.code`; a built-in model learns the series",
    ),
)
"""Rules of `spec` for forecasting."""


def fill_split(prepare: Any) -> Any:
    """`prepare` of a forecasting task with its split by time."""
    split = _member(prepare, "split") or {}
    time = _member(_member(prepare, "series"), "time")
    split = fill(split, "strategy", "random" if time is None else "time")  # without a series another rule is broken
    if _member(split, "strategy") == "time":
        split = fill(split, "by", time)
    return fill(prepare, "split", split, replace=True)


def _member(part: Any, field: str) -> Any:
    return part.get(field) if isinstance(part, Mapping) else getattr(part, field, None)
