"""How the columns of a table become inputs: numbers, categories, dates, texts, and which of them are kept."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any, Literal

from pydantic import Field

from runwright_api.part import Lax, Part, Path, Rule, unless
from runwright_api.spec.unsupervised import learns_alone, learns_alone_cel
from runwright_api.spec.windows import WINDOW_RULES
from runwright_api.text import ColumnName, Word

Scale = Literal["standard", "minmax", "robust", "power", "none"]
Encoding = Literal["index", "onehot", "ordinal", "target", "hashing"]
DatePart = Literal["days", "year", "month", "day", "weekday", "hour", "weekend"]
ColumnNames = Annotated[tuple[ColumnName, ...], Field(max_length=200), Lax]


class Bins(Part):
    """Numbers as categories: the interval that a number lies in."""

    count: Annotated[int, Field(ge=2, le=1000)] = 10
    """How many intervals; fewer where values repeat so often that edges fall together. Default: 10."""
    edges: Literal["quantile", "uniform"] = "quantile"
    """quantile: as many training rows in each; uniform: equally wide. Default: quantile."""
    encode: Literal["index", "onehot"] = "index"
    """index: a learned embedding; onehot: a 0/1 input an interval. Default: index."""
    columns: ColumnNames = ()
    """The numeric columns that are cut. Default: all."""


class Polynomial(Part):
    """Products of numeric inputs, as they are after scaling."""

    degree: Literal[2, 3] = 2
    """Most factors in a product. Default: 2."""
    interactions_only: bool = False
    """No squares and cubes, only products of different columns. Default: false."""
    columns: ColumnNames = ()
    """The numeric columns that are multiplied. Default: all."""


class NumericRules(Part):
    """How numeric inputs are scaled, cut and multiplied."""

    scale: Scale = "standard"
    """standard: zero mean, unit deviation; robust: median and interquartile range; power: Yeo-Johnson, then standard.

    Default: standard.
    """
    bins: Bins | None = None
    """Cut numbers into intervals."""
    polynomial: Polynomial | None = None
    """Add products of numbers, at most 500."""


class CategoricalRules(Part):
    """How categories become inputs."""

    encode: Encoding = "index"
    """index: a learned embedding; onehot: a 0/1 input a category; ordinal: its place in an order; target: the mean of
    the target in it; hashing: an embedding of one of `buckets`, whatever the category.

    Default: index.
    """
    min_count: Annotated[int, Field(ge=1, le=1_000_000)] = 1
    """Rarer categories count as unseen. Default: 1."""
    max_categories: Annotated[int, Field(ge=1, le=1_000_000)] = 1000
    """The most frequent categories kept for a column. Default: 1000."""
    smoothing: Annotated[float, Field(ge=0.0, le=1e9)] = 10.0
    """target: how many rows the mean of all rows weighs in the mean of a category. Default: 10."""
    folds: Annotated[int, Field(ge=2, le=50)] = 5
    """target: a training row gets the mean of the other folds, never its own target. Default: 5."""
    buckets: Annotated[int, Field(ge=2, le=1_000_000)] = 1024
    """hashing: how many. Default: 1024."""
    typos: Literal["keep", "merge"] = "keep"
    """merge: a rare category that differs from a frequent one by a letter or two is that one. Default: keep."""

    rules = (
        Rule(
            message="onehot takes at most 1000 categories for a column",
            broken=lambda self: unless(self.encode != "onehot" or self.max_categories <= 1000, "maxCategories"),
            cel=(
                "!has(self.encode) || self.encode != 'onehot' || !has(self.maxCategories) || self.maxCategories <= 1000"
            ),
            cure="lower maxCategories, or use `encode: index`",
        ),
    )


class DateRules(Part):
    """Which parts of dates become inputs."""

    parts: Annotated[tuple[DatePart, ...], Field(min_length=1, max_length=7), Lax] = (
        "days",
        "year",
        "month",
        "weekday",
        "hour",
    )
    """days: since 1970, with the time of day; weekend: 0 or 1. Parts that do not vary in training are left out.

    Default: days, year, month, weekday, hour.
    """
    cyclic: bool = True
    """month, day, weekday and hour as sine and cosine, so that December lies beside January. Default: true."""

    rules = (
        Rule(
            message="the parts of dates are named once each",
            broken=lambda self: unless(len(set(self.parts)) == len(self.parts), "parts"),
            cel="!has(self.parts) || self.parts.all(one, self.parts.exists_one(other, other == one))",
            cure="name each part once",
        ),
    )


class TfidfRules(Part):
    """Columns of `type: text`: which words weigh how much in a row."""

    vocabulary: Annotated[int, Field(ge=1, le=5000)] = 1000
    """The words kept, those in most rows first. Default: 1000."""
    min_count: Annotated[int, Field(ge=1, le=1_000_000)] = 2
    """Words in fewer training rows are left out. Default: 2."""
    words: Annotated[int, Field(ge=1, le=3)] = 1
    """Up to this many words in a row count as one. Default: 1."""
    dimensions: Annotated[int, Field(ge=0, le=256)] = 32
    """Inputs a column, by truncated singular value decomposition; 0: an input a word. Default: 32."""


class SelectRules(Part):
    """Only the columns that matter most become inputs."""

    method: Literal["mutualInformation", "variance"] = "mutualInformation"
    """mutualInformation: what a column tells of the target; variance: how much it varies. Default: mutualInformation.
    """
    keep: Annotated[int, Field(ge=1, le=10_000)]
    """How many columns are kept."""


Order = Annotated[tuple[Word, ...], Field(max_length=1000), Lax]
"""Categories from first to last."""

TABLE_FIELDS = ("dates", "tfidf", "select")
_TABLE_NUMBERS = ("bins", "polynomial")
_TABLE_CODES = ("ordinal", "target", "hashing")


def _is_table(spec: Any) -> bool:
    return bool(spec.train.modality == "tabular")


def _foreign(spec: Any) -> Iterable[Path]:
    if _is_table(spec):
        return
    prepare = spec.prepare
    yield from (("prepare", name) for name in TABLE_FIELDS if getattr(prepare, name) is not None)
    yield from (("prepare", "numeric", name) for name in _TABLE_NUMBERS if getattr(prepare.numeric, name) is not None)
    if prepare.numeric.scale == "power":
        yield ("prepare", "numeric", "scale")
    if prepare.categorical.encode in _TABLE_CODES:
        yield ("prepare", "categorical", "encode")
    for place, column in enumerate(prepare.columns):
        if column.encode is not None:
            yield ("prepare", "columns", place, "encode")


def _foreign_cel() -> str:
    fields = [f"!has(self.prepare.{name})" for name in TABLE_FIELDS]
    numbers = [f"!has(self.prepare.numeric.{name})" for name in _TABLE_NUMBERS]
    numbers.append("(!has(self.prepare.numeric.scale) || self.prepare.numeric.scale != 'power')")
    codes = ", ".join(repr(name) for name in _TABLE_CODES)
    none = " && ".join(
        (
            *fields,
            f"(!has(self.prepare.numeric) || ({' && '.join(numbers)}))",
            "(!has(self.prepare.categorical) || !has(self.prepare.categorical.encode)"
            f" || !(self.prepare.categorical.encode in [{codes}]))",
            "(!has(self.prepare.columns) || !self.prepare.columns.exists(one, has(one.encode)))",
        )
    )
    return f"self.train.task.startsWith('tabular-') || !has(self.prepare) || ({none})"


def _without_target(spec: Any) -> Iterable[Path]:
    if not learns_alone(spec.train.task):
        return
    if spec.prepare.categorical.encode == "target":
        yield ("prepare", "categorical", "encode")
    for place, column in enumerate(spec.prepare.columns):
        if column.encode == "target":
            yield ("prepare", "columns", place, "encode")
    if spec.prepare.select is not None and spec.prepare.select.method == "mutualInformation":
        yield ("prepare", "select", "method")


def _without_target_cel() -> str:
    column = "has(one.encode) && one.encode == 'target'"
    return (
        f"!({learns_alone_cel('self.train.task')}) || !has(self.prepare) || ("
        "(!has(self.prepare.categorical) || !has(self.prepare.categorical.encode)"
        " || self.prepare.categorical.encode != 'target')"
        f" && (!has(self.prepare.columns) || !self.prepare.columns.exists(one, {column}))"
        " && (!has(self.prepare.select)"
        " || (has(self.prepare.select.method) && self.prepare.select.method != 'mutualInformation')))"
    )


FEATURE_RULES = (
    *WINDOW_RULES,
    Rule(
        message="encode, bins, polynomial, scale: power, dates, tfidf and select are for tables",
        broken=_foreign,
        cel=_foreign_cel(),
        cure="remove it; for columns of a table set a tabular task",
    ),
    Rule(
        message="a task without a target to learn cannot encode or select by it",
        broken=_without_target,
        cel=_without_target_cel(),
        cure="use `encode: index`, or `select: {method: variance}`",
    ),
)
"""Rules of `spec` for the features of tables."""
