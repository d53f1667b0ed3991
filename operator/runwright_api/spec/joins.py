"""`spec.data.joins`: columns of other sources beside the rows of the first."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from runwright_api.part import Lax, Part, Path, Rule, unless
from runwright_api.text import ColumnName, Duration, SourceName, Text

KeyColumns = Annotated[tuple[ColumnName, ...], Field(max_length=8), Lax]


class AsOf(Part):
    """The newest row that is not newer than the row it is joined to: never one from its future."""

    left: ColumnName
    """The time of the rows that are joined to."""
    right: ColumnName
    """The time of the source's rows."""
    tolerance: Duration | None = None
    """Older rows do not count. Default: however old."""
    formats: Annotated[tuple[Text, ...], Field(max_length=16), Lax] = ()
    """strptime formats of both, tried before ISO 8601."""


class Join(Part):
    """A source whose columns are put beside the rows of those that are not joined. Every such row stays, once."""

    source: SourceName
    """Name of the source. Its rows are not put below the others."""
    by: KeyColumns = ()
    """The key, where its columns have one name in both."""
    left: KeyColumns = ()
    """The key's columns in the rows that are joined to, where the names differ."""
    right: KeyColumns = ()
    """The key's columns in the source, in the order of `left`."""
    relation: Literal["manyToOne", "oneToOne"] = "manyToOne"
    """oneToOne: no key is repeated on the left either. Default: manyToOne."""
    asof: AsOf | None = None
    """Also join by time."""

    rules = (
        Rule(
            message="the key is either `by`, or `left` and `right`, as many columns each",
            broken=lambda self: unless(
                len(self.left) == len(self.right) and not (self.by and self.left), "by" if self.by else "right"
            ),
            cel=(
                "(has(self.left) ? self.left.size() : 0) == (has(self.right) ? self.right.size() : 0)"
                " && (!has(self.by) || self.by.size() == 0 || !has(self.left) || self.left.size() == 0)"
            ),
            cure="name the columns in `by` where both have the same names, else in `left` and `right`",
        ),
        Rule(
            message="a join needs a key or a time",
            broken=lambda self: unless(bool(self.by or self.left or self.asof is not None), "by"),
            cel=("(has(self.by) && self.by.size() > 0) || (has(self.left) && self.left.size() > 0) || has(self.asof)"),
            cure="add `by: [COLUMN]`, or `asof`",
        ),
        Rule(
            message="by time, a key may be repeated",
            broken=lambda self: unless(self.asof is None or self.relation == "manyToOne", "relation"),
            cel="!has(self.asof) || !has(self.relation) || self.relation == 'manyToOne'",
            cure="remove `relation`",
        ),
    )


def _misnamed(data: Any) -> list[Path]:
    names = [source.name for source in data.sources]
    joined = [join.source for join in data.joins]
    return [
        ("joins", place, "source")
        for place, name in enumerate(joined)
        if name not in names[1:] or name in joined[:place]
    ]


DATA_RULES = (
    Rule(
        message="a join names a source other than the first, and each source once",
        broken=_misnamed,
        cel=(
            "!has(self.joins) || (has(self.sources) && self.joins.all(one,"
            " self.joins.exists_one(other, other.source == one.source)"
            " && self.sources.exists(source, has(source.name) && source.name == one.source)"
            " && (!has(self.sources[0].name) || self.sources[0].name != one.source)))"
        ),
        cure="give the source a name and name it; the rows of the first source are those that are joined to",
    ),
)
"""Rules of `spec.data` for joins."""


JOIN_RULE = Rule(
    message="data.joins are for tables and time series",
    broken=lambda spec: unless(not spec.data.joins or spec.train.modality in ("tabular", "series"), "data", "joins"),
    cel=(
        "!has(self.data) || !has(self.data.joins) || self.train.task.startsWith('tabular-')"
        " || self.train.task.startsWith('series-')"
    ),
    cure="remove them; texts and images have no other columns",
)
"""The rule of `spec` for joins."""
