"""`spec.prepare.windows`: what a row's past says, as further columns of the row."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from runwright_api.part import Lax, Part, Path, Rule, unless
from runwright_api.spec.shared import SET, Columns, unique
from runwright_api.text import ColumnName

Rows = Annotated[int, Field(ge=1, le=366)]
Function = Literal["mean", "min", "max", "std", "count"]
_SPLITS = ("time", "group", "predefined")


class Rolling(Part):
    """Figures of the rows before a row."""

    window: Rows
    """How many rows; fewer where an entity begins."""
    functions: Annotated[
        tuple[Function, ...], Field(min_length=1, max_length=5, json_schema_extra=SET), Lax, AfterValidator(unique)
    ]
    """mean, min, max, std (of a sample) and count of the values that are not missing."""


class Windows(Part):
    """Columns made of earlier rows of the same entity; never of the row itself, nor of rows of the same time.

    They are named like amount_lag_1 and amount_mean_7.
    """

    by: Columns = ()
    """The columns that tell one entity from another. Default: all rows are of one."""
    order: ColumnName
    """The column of numbers or times that says which rows are earlier."""
    columns: Annotated[tuple[ColumnName, ...], Field(min_length=1, max_length=32, json_schema_extra=SET), Lax]
    """The columns of numbers that are looked back at; the target may be one."""
    lags: Annotated[tuple[Rows, ...], Field(max_length=16, json_schema_extra=SET), Lax, AfterValidator(unique)] = ()
    """The value so many rows before."""
    rolling: Annotated[tuple[Rolling, ...], Field(max_length=8), Lax] = ()
    """Figures over the rows before."""

    rules = (
        Rule(
            message="windows have lags or rolling figures",
            broken=lambda self: unless(bool(self.lags or self.rolling), "lags"),
            cel="(has(self.lags) && self.lags.size() > 0) || (has(self.rolling) && self.rolling.size() > 0)",
            cure="for example `lags: [1, 7]`, or `rolling: [{window: 7, functions: [mean]}]`",
        ),
        Rule(
            message="each window is given once",
            broken=lambda self: _repeated([each.window for each in self.rolling]),
            cel="!has(self.rolling) || self.rolling.all(one, self.rolling.exists_one(two, two.window == one.window))",
            cure="put the functions of a window in one place",
        ),
    )


def _repeated(windows: list[int]) -> list[Path]:
    return [("rolling", place, "window") for place, window in enumerate(windows) if window in windows[:place]]


def _foreign(spec: Any) -> list[Path]:
    return unless(spec.prepare.windows is None or spec.train.modality == "tabular", "prepare", "windows")


def _leaking(spec: Any) -> list[Path]:
    kept_apart = spec.prepare.windows is None or spec.prepare.split.strategy in _SPLITS
    return unless(kept_apart, "prepare", "split", "strategy")


WINDOW_RULES = (
    Rule(
        message="prepare.windows are for tables",
        broken=_foreign,
        cel="!has(self.prepare) || !has(self.prepare.windows) || self.train.task.startsWith('tabular-')",
        cure="remove them; forecasts of series look back by themselves (prepare.series)",
    ),
    Rule(
        message="with prepare.windows the split is by time, group or predefined",
        broken=_leaking,
        cel=(
            "!has(self.prepare) || !has(self.prepare.windows) || (has(self.prepare.split)"
            f" && has(self.prepare.split.strategy) && self.prepare.split.strategy in [{', '.join(map(repr, _SPLITS))}])"
        ),
        cure="add `split: {strategy: time, by: COLUMN}`: split by chance, test rows stand in the past of training rows",
    ),
)
"""Rules of `spec` for windows."""
