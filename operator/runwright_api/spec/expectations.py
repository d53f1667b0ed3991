"""`spec.prepare.expectations`: what the data must be like, and what becomes of rows that are not."""

from __future__ import annotations

import datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, StringConstraints, TypeAdapter
from pydantic_core import PydanticCustomError, SchemaError

from runwright_api.part import Lax, Part, Path, Rule, unless
from runwright_api.spec.shared import Columns, Scalar
from runwright_api.text import ColumnName, SourceName, Text, Word

PREDICATES = ("type", "range", "oneOf", "matches", "notNull", "references", "unique", "compare", "minRows")
"""The fields of an expectation of which exactly one says what is expected."""
_OF_ONE_COLUMN = PREDICATES[:6]
_ATTRIBUTES = {"oneOf": "one_of", "notNull": "not_null", "minRows": "min_rows"}
_NUMBER = Field(ge=-1e15, le=1e15)


def _linear(pattern: str) -> str:
    """Refuse what the engine that runs it cannot read: Rust's, whose time is linear in the text."""
    try:
        TypeAdapter(Annotated[str, StringConstraints(pattern=f"^(?:{pattern})$")])
    except SchemaError as error:
        why = str(error).strip().splitlines()[-1].removeprefix("error: ")
        raise PydanticCustomError("pattern", "is no regular expression here: {why}", {"why": why}) from None
    return pattern


def _date(text: str) -> str:
    try:
        datetime.datetime.fromisoformat(text)
    except ValueError:
        raise PydanticCustomError("date", "is no date or time as in ISO 8601, such as 2024-01-31") from None
    return text


Pattern = Annotated[Text, AfterValidator(_linear)]
Moment = Annotated[Word, AfterValidator(_date)]


class Range(Part):
    """Bounds that belong to it: of numbers min and max, of dates earliest and latest."""

    min: Annotated[float | None, _NUMBER] = None
    """Least number."""
    max: Annotated[float | None, _NUMBER] = None
    """Greatest number."""
    earliest: Moment | None = None
    """First date or time, as in ISO 8601: 2024-01-31, 2024-01-31T12:00."""
    latest: Moment | None = None
    """Last date or time."""

    rules = (
        Rule(
            message="a range has bounds of numbers (min, max) or of dates (earliest, latest)",
            broken=lambda self: unless(_of_numbers(self) != _of_dates(self)),
            cel="(has(self.min) || has(self.max)) != (has(self.earliest) || has(self.latest))",
            cure="for example `range: {min: 0, max: 120}`, or `range: {earliest: 2020-01-01}`",
        ),
        Rule(
            message="a range is not empty",
            broken=lambda self: unless(not _empty(self), "max" if self.max is not None else "latest"),
            cel="!has(self.min) || !has(self.max) || self.min <= self.max",
            cure="exchange the bounds",
        ),
    )


def _of_numbers(given: Range) -> bool:
    return given.min is not None or given.max is not None


def _of_dates(given: Range) -> bool:
    return given.earliest is not None or given.latest is not None


def _empty(given: Range) -> bool:
    if given.min is not None and given.max is not None:
        return given.min > given.max
    if given.earliest is None or given.latest is None:
        return False
    first, last = (datetime.datetime.fromisoformat(text) for text in (given.earliest, given.latest))
    return first.replace(tzinfo=None) > last.replace(tzinfo=None)


class Compare(Part):
    """Two columns of a row, compared as numbers, dates or texts, whichever both are."""

    left: ColumnName
    """The column on the left."""
    op: Literal["<", "<=", "==", "!=", ">=", ">"]
    """What holds between them."""
    right: ColumnName
    """The column on the right."""


class References(Part):
    """A column of another source, whose rows are not put below the others."""

    source: SourceName
    """Name of the source."""
    column: ColumnName
    """Its column."""


def _given(expectation: Expectation) -> list[str]:
    """The predicates that are given, as they are written."""
    return [name for name in PREDICATES if getattr(expectation, _ATTRIBUTES.get(name, name))]


def _several(expectation: Expectation) -> list[Path]:
    given = _given(expectation)
    return [] if len(given) == 1 else [(name,) for name in given[1:]] or [()]


# The values of oneOf have no one type, and CEL cannot see the field: there the rules say less, the operator the rest.
_SEEN = {
    name: "(has(self.notNull) && self.notNull)" if name == "notNull" else f"has(self.{name})"
    for name in PREDICATES
    if name != "oneOf"
}
_OF_ONE_COLUMN_CEL = " || ".join(cel for name, cel in _SEEN.items() if name in _OF_ONE_COLUMN)
_OF_NO_COLUMN_CEL = " || ".join(cel for name, cel in _SEEN.items() if name not in _OF_ONE_COLUMN)


class Expectation(Part):
    """One rule for rows or columns. Exactly one of type, range, oneOf, matches, notNull, references, unique, compare
    and minRows.

    Values are looked at as they are read: numbers and dates in their notations, words that mean missing as missing.
    A missing value breaks `notNull` alone; one that cannot be read breaks `type` and `range`.
    """

    name: Annotated[Text | None, Field(max_length=100)] = None
    """Names the rule in messages and reports, unique in the run. Default: what it says."""
    column: ColumnName | None = None
    """The column of type, range, oneOf, matches, notNull and references."""
    type: Literal["numeric", "integer", "datetime", "boolean"] | None = None
    """Every value reads as one of this type."""
    range: Range | None = None
    """Every value lies within bounds, which belong to it."""
    one_of: Annotated[tuple[Scalar, ...], Field(max_length=256), Lax] = ()
    """Every value is one of these; case and white space count as prepare.formats.foldCase says."""
    matches: Pattern | None = None
    """The whole value matches this regular expression (Rust's dialect: no look-around, no back-references)."""
    not_null: bool = False
    """No value is missing."""
    references: References | None = None
    """Every value stands in a column of another source."""
    unique: Columns = ()
    """No two rows have the same values in these columns; the first row of several keeps the rule."""
    compare: Compare | None = None
    """What holds between two columns of a row."""
    min_rows: Annotated[int | None, Field(ge=1, le=2**53)] = None
    """At least so many rows are left when those in quarantine are gone."""
    on_failure: Literal["fail", "quarantine", "warn"] = "fail"
    """fail: the run ends; quarantine: rows that break the rule are put aside, with the reason, and never train;
    warn: they are counted and kept. Default: fail."""
    max_share: Annotated[float | None, Field(ge=0.0, le=1.0)] = None
    """Share of the rows that may break the rule; more end the run. Default: 0 with fail, else 1."""

    rules = (
        Rule(
            message="exactly one of " + ", ".join(PREDICATES) + " says what is expected",
            broken=_several,
            cel=f"[{', '.join(_SEEN.values())}].filter(given, given).size() <= 1",
            cure="give one of them; several rules are several expectations",
        ),
        Rule(
            message=", ".join(_OF_ONE_COLUMN) + " have a column, the others have none",
            broken=lambda self: unless(
                (self.column is not None) == any(name in _OF_ONE_COLUMN for name in _given(self)), "column"
            ),
            cel=f"has(self.column) ? !({_OF_NO_COLUMN_CEL}) : !({_OF_ONE_COLUMN_CEL})",
            cure="`column: NAME` says what is looked at; unique and compare name their columns themselves",
        ),
        Rule(
            message="minRows is of no one row: there is nothing to put aside",
            broken=lambda self: unless(self.min_rows is None or self.on_failure != "quarantine", "onFailure"),
            cel="!has(self.minRows) || !has(self.onFailure) || self.onFailure != 'quarantine'",
            cure="use `onFailure: fail` or `warn`",
        ),
        Rule(
            message="minRows has no share of rows",
            broken=lambda self: unless(self.min_rows is None or self.max_share is None, "maxShare"),
            cel="!has(self.minRows) || !has(self.maxShare)",
            cure="remove maxShare",
        ),
    )


Expectations = Annotated[tuple[Expectation, ...], Field(max_length=100), Lax]


def _repeated(prepare: Any) -> list[Path]:
    names = [expectation.name for expectation in prepare.expectations]
    return [
        ("expectations", index, "name")
        for index, name in enumerate(names)
        if name is not None and name in names[:index]
    ]


EXPECTATION_RULES = (
    Rule(
        message="names of expectations are unique",
        broken=_repeated,
        cel="",  # names are optional, so the list is no list-map, and comparing all pairs costs CEL too much
        cure="give each a name of its own, or none",
    ),
)
"""Rules of `spec.prepare` for expectations."""


def _unknown_sources(spec: Any) -> list[Path]:
    others = [] if spec.data is None else [source.name for source in spec.data.sources[1:]]
    return [
        ("prepare", "expectations", place, "references", "source")
        for place, rule in enumerate(spec.prepare.expectations)
        if rule.references is not None and rule.references.source not in others
    ]


REFERENCES_RULE = Rule(
    message="an expectation's references name a source other than the first",
    broken=_unknown_sources,
    cel="",  # each rule with each source costs CEL too much
    cure="give the source a name and name it; the rows of the first source are those that are checked",
)
"""The rule of `spec` for expectations."""
