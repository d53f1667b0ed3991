"""`spec.prepare.missing`: what becomes of missing values."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from runwright_api.part import Lax, Part, Path, Rule
from runwright_api.text import ColumnName, Word

MISSING_WORDS = ("", "na", "n/a", "nan", "null", "none", "missing", "unknown", "?", "-", ".")
ORDERED = ("forward", "backward", "interpolate")


class MissingRules(Part):
    """What becomes of missing values."""

    numeric: Literal[
        "median", "mean", "constant", "drop", "nearest", "iterative", "forward", "backward", "interpolate"
    ] = "median"
    """Numeric columns. drop drops the row. nearest: the mean of the nearest training rows; iterative: a regression on
    the other numbers. forward, backward and interpolate fill the training split in its order; a row that is served
    gets the last value of training, for backward the median. Default: median of the training split."""
    categorical: Literal["category", "mode", "constant", "drop"] = "category"
    """Categorical columns. Default: category, missing is a category of its own."""
    indicator: bool = True
    """Add a 0/1 input for each numeric column that had missing values in training. Default: true."""
    words: Annotated[tuple[Word, ...], Field(max_length=64), Lax] = MISSING_WORDS
    """Texts that mean "missing", in any case. Default: "", na, n/a, nan, null, none, missing, unknown, ?, - and "."."""
    fill_numeric: Annotated[float, Field(ge=-1e15, le=1e15)] = 0.0
    """Value for `numeric: constant`. Default: 0."""
    fill_categorical: Word = "missing"
    """Value for `categorical: constant`. Default: missing."""
    neighbours: Annotated[int, Field(ge=1, le=100)] = 5
    """nearest: how many rows fill a gap. Default: 5."""
    sample: Annotated[int, Field(ge=10, le=20_000)] = 2000
    """nearest: how many training rows are kept to choose from. Default: 2000."""
    rounds: Annotated[int, Field(ge=1, le=50)] = 10
    """iterative: how often the columns are gone through, at most. Default: 10."""
    order_by: ColumnName | None = None
    """forward, backward, interpolate: the column of times or numbers that orders the rows. It is no input then.
    Default: the column of a split by time."""


def _unordered(prepare: Any) -> list[Path]:
    if prepare.missing.order_by is not None or prepare.split.strategy == "time":
        return []
    places: list[Path] = [("missing", "numeric")] if prepare.missing.numeric in ORDERED else []
    return places + [
        ("columns", index, "missing") for index, column in enumerate(prepare.columns) if column.missing in ORDERED
    ]


_LISTED = ", ".join(f"'{name}'" for name in ORDERED)

ORDER_RULE = Rule(
    message="forward, backward and interpolate need an order of the rows",
    broken=_unordered,
    cel=(
        "(has(self.missing) && has(self.missing.orderBy))"
        " || (has(self.split) && has(self.split.strategy) && self.split.strategy == 'time')"
        f" || ((!has(self.missing) || !has(self.missing.numeric) || !(self.missing.numeric in [{_LISTED}]))"
        f" && (!has(self.columns) || self.columns.all(one, !has(one.missing) || !(one.missing in [{_LISTED}]))))"
    ),
    cure="add `missing: {orderBy: COLUMN}`, or split by time",
)
"""A rule of `spec.prepare`."""
