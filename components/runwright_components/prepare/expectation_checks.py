"""Expectations compiled to a pandera schema, and the masks of the rows that break them.

A table of what the rules look at is read in batches: `number:`, `moment:` and `text:` columns as `features.values`
reads them (null: missing, NaN: unreadable), `first:` columns that are false for a repeated key. The schema's checks
are Polars expressions over it, evaluated lazily by pandera, so that one pass finds everything that is broken.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from runwright_components.contract.config import Column, PrepareConfig, SplitRules
from runwright_components.contract.config.expectations import (
    CompareRule,
    ExpectationConfig,
    RangeRule,
    ReferenceRule,
)
from runwright_components.contract.outcome import Reason, StageError
from runwright_components.features.values import Words, key
from runwright_components.prepare.infer import Plan, plan
from runwright_components.prepare.labels import words
from runwright_components.prepare.raw import RawData
from runwright_components.prepare.sampling import evidence, sample

if TYPE_CHECKING:
    import pandera.polars as pandera

_BATCH = 500_000  # rows
_SECOND = 1_000_000

Mask = NDArray[np.bool_]
Kind = Literal["numeric", "datetime", "boolean"]


@dataclass(frozen=True)
class Compiled:
    """A rule of rows: `parts` are the columns that it needs, by name, and `holds` is true where it is kept."""

    parts: Mapping[str, pl.Expr]
    holds: pl.Expr
    key: tuple[str, ...] = ()  # of `unique`


def broken_rows(data: RawData, rules: Sequence[ExpectationConfig], config: PrepareConfig) -> list[NDArray[np.int64]]:
    """For each rule the numbers of the rows that break it, ascending. Raises StageError for columns that are not
    there, or that cannot be read as the rule needs them."""
    reading = _Reading(data, config)
    compiled = [_compile(place, rule, reading) for place, rule in enumerate(rules)]
    firsts = {f"first:{place}": _first(data, rule.key, reading) for place, rule in enumerate(compiled) if rule.key}
    schema = _schema(compiled)
    found: list[list[NDArray[np.int64]]] = [[] for _ in rules]
    parts = {name: part for rule in compiled for name, part in rule.parts.items()}
    for start in range(0, data.rows, _BATCH):
        size = min(_BATCH, data.rows - start)
        read = data.source.slice(start, size).select(**parts).collect(engine="streaming") if parts else pl.DataFrame()
        batch = pl.DataFrame([*read, *(first.slice(start, size).alias(name) for name, first in firsts.items())])
        for place, broken in _broken(schema, batch):
            found[place].append(np.flatnonzero(broken) + start)
    return [np.concatenate(parts) if parts else np.empty(0, dtype=np.int64) for parts in found]


def _schema(compiled: Sequence[Compiled]) -> pandera.DataFrameSchema:
    import pandera.polars as pandera

    checks = [
        pandera.Check(_over(rule.holds), name=str(place), n_failure_cases=1) for place, rule in enumerate(compiled)
    ]
    return pandera.DataFrameSchema(checks=checks)


def _over(holds: pl.Expr) -> Callable[[pandera.PolarsData], pl.LazyFrame]:
    return lambda data: data.lazyframe.select(holds)


def _broken(schema: pandera.DataFrameSchema, batch: pl.DataFrame) -> Iterable[tuple[int, Mask]]:
    """The rules that rows of the batch break, with the masks of these rows."""
    from pandera.errors import SchemaErrors

    try:
        schema.validate(batch, lazy=True)
    except SchemaErrors as errors:
        for error in errors.schema_errors:
            yield int(error.check.name), ~error.check_output.to_series().to_numpy()


class _Reading:
    """Columns of the source as rules look at them."""

    def __init__(self, data: RawData, config: PrepareConfig) -> None:
        self._data = data
        self._given = {column.name: column for column in config.columns}
        self._config = config
        self._schema = data.source.collect_schema()
        self.words = words(config)
        self._as_written = Words(missing=self.words.missing, fold_case=False)

    def text(self, column: str, *, fold: bool = False) -> tuple[str, pl.Expr]:
        """Trimmed text, with case folded where the configuration folds it, null where missing."""
        rules = self.words if fold else self._as_written
        return f"{'key' if fold else 'text'}:{column}", key(pl.col(column), self._plain(column), rules)

    def present(self, column: str) -> tuple[str, pl.Expr]:
        dtype = self._dtype(column)
        if dtype.is_nested() or dtype == pl.Binary:
            return f"present:{column}", pl.col(column).is_not_null()
        return f"present:{column}", self.text(column)[1].is_not_null()

    def typed(self, column: str, kind: Kind) -> tuple[str, pl.Expr]:
        """Float64: numbers, 0 and 1, or microseconds since 1970."""
        reader = self._plan(column, kind).reader
        assert reader is not None  # a type that is given has one
        return f"{kind}:{column}", reader.expression(self._dtype(column), self.words)

    def known(self, reference: ReferenceRule) -> pl.Series:
        """The texts that stand in a column of another source, each once."""
        file = self._data.folder / self._data.manifest.references[reference.source]
        frame = pl.scan_parquet(file, glob=False)
        dtype = frame.collect_schema()[reference.column]
        if dtype.is_nested() or dtype in (pl.Binary, pl.Object):
            raise StageError(
                Reason.DATA_INVALID,
                f"column {reference.column!r} of source {reference.source!r} holds {dtype}",
                where="prepare.expectations, references",
                cure="name a column of numbers, dates, truth values or texts",
            )
        text = key(pl.col(reference.column), dtype, self._as_written)
        return frame.select(text).drop_nulls().unique().collect(engine="streaming").to_series()

    def inferred(self, column: str) -> str:
        """numeric or datetime where the column is read as one, else text."""
        given = self._given.get(column)
        found = self._plan(column, given.type if given and given.type != "ignore" else None).type
        return found if found in ("numeric", "datetime") else "text"

    def _plan(self, column: str, kind: str | None) -> Plan:
        self._plain(column)
        rules = self._given.get(column, Column(name=column)).model_copy(update={"type": kind})
        # As an input of its own: neither target nor split decides how it is read.
        asked = self._config.model_copy(update={"columns": (rules,), "target": "", "split": SplitRules()})
        return plan(sample(self._data, [column]), asked, lambda name: evidence(self._data, name))[0]

    def _plain(self, column: str) -> pl.DataType:
        dtype = self._dtype(column)
        if dtype.is_nested() or dtype in (pl.Binary, pl.Object):
            raise StageError(
                Reason.DATA_INVALID,
                f"column {column!r} holds {dtype}, of which only notNull can be expected",
                where="prepare.expectations",
                cure="name a column of numbers, dates, truth values or texts",
            )
        return dtype

    def _dtype(self, column: str) -> pl.DataType:
        if column not in self._schema:
            raise StageError(
                Reason.INVALID_CONFIG,
                f"the data have no column {column!r}",
                where="prepare.expectations",
                cure=f"name one of the columns: {', '.join(self._schema.names()[:20])}",
            )
        return self._schema[column]


def _compile(place: int, rule: ExpectationConfig, reading: _Reading) -> Compiled:
    if rule.unique:
        return Compiled({}, pl.col(f"first:{place}"), key=rule.unique)
    if rule.compare is not None:
        return _compared(rule.compare, reading)
    column = rule.column
    assert column is not None  # the spec's rules say so
    if rule.range is not None:
        return _ranged(column, rule.range, reading)
    if rule.type is not None:
        name, part = reading.typed(column, "numeric" if rule.type == "integer" else rule.type)
        value = pl.col(name)
        whole = (value == value.floor()) if rule.type == "integer" else pl.lit(True)
        return Compiled({name: part}, value.is_null() | (value.is_finite() & whole))
    if rule.one_of:
        name, part = reading.text(column, fold=True)
        allowed = pl.Series([_written(value) for value in rule.one_of])
        keys = allowed.to_frame("value").select(key(pl.col("value"), pl.String(), reading.words)).to_series()
        return Compiled({name: part}, pl.col(name).is_null() | pl.col(name).is_in(keys.implode()))
    if rule.matches is not None:
        name, part = reading.text(column)
        return Compiled({name: part}, pl.col(name).is_null() | pl.col(name).str.contains(f"^(?:{rule.matches})$"))
    if rule.references is not None:
        name, part = reading.text(column)
        known = reading.known(rule.references)
        return Compiled({name: part}, pl.col(name).is_null() | pl.col(name).is_in(known.implode()))
    name, part = reading.present(column)
    return Compiled({name: part}, pl.col(name))


def _ranged(column: str, bounds: RangeRule, reading: _Reading) -> Compiled:
    dates = bounds.earliest is not None or bounds.latest is not None
    name, part = reading.typed(column, "datetime" if dates else "numeric")
    value = pl.col(name)
    inside = value.is_finite()
    low = _microseconds(bounds.earliest, last=False) if bounds.earliest else bounds.min
    high = _microseconds(bounds.latest, last=True) if bounds.latest else bounds.max
    if low is not None:
        inside &= value >= low
    if high is not None:
        inside &= value <= high
    return Compiled({name: part}, value.is_null() | inside)


def _microseconds(text: str, *, last: bool) -> float:
    """Of an ISO date or time, UTC where it has an offset; the end of the day where `last` has no time."""
    moment = datetime.datetime.fromisoformat(text)
    if moment.tzinfo is not None:
        moment = moment.astimezone(datetime.UTC).replace(tzinfo=None)
    whole_day = last and len(text) <= len("2024-01-31")
    since = moment + datetime.timedelta(days=whole_day) - datetime.datetime(1970, 1, 1)
    return float(since // datetime.timedelta(microseconds=1) - whole_day)


def _compared(rule: CompareRule, reading: _Reading) -> Compiled:
    kinds = {reading.inferred(rule.left), reading.inferred(rule.right)}
    if kinds <= {"numeric"} or kinds <= {"datetime"}:
        kind: Kind = "numeric" if kinds == {"numeric"} else "datetime"
        sides = [reading.typed(column, kind) for column in (rule.left, rule.right)]
        readable = pl.all_horizontal(pl.col(name).is_finite() for name, _ in sides)
    else:
        sides = [reading.text(column) for column in (rule.left, rule.right)]
        readable = pl.lit(True)
    left, right = (pl.col(name) for name, _ in sides)
    compared = {
        "<": left < right, "<=": left <= right, "==": left == right,
        "!=": left != right, ">=": left >= right, ">": left > right,
    }  # fmt: skip
    return Compiled(dict(sides), left.is_null() | right.is_null() | (readable & compared[rule.op]))


def _first(data: RawData, columns: Sequence[str], reading: _Reading) -> pl.Series:
    """False for each row whose key stands in an earlier one; a key with a missing value is never repeated.

    Keys are compared by a 64-bit hash, see `clean.first_of_each`.
    """
    parts = [reading.text(column)[1] for column in columns]
    mixed = pl.lit(0, dtype=pl.UInt64)
    for place, part in enumerate(parts):
        mixed = mixed * pl.lit(0x9E3779B97F4A7C15, dtype=pl.UInt64) ^ part.hash(place)
    known = pl.all_horizontal(part.is_not_null() for part in parts)
    hashes = data.source.select(hash=pl.when(known).then(mixed)).collect(engine="streaming").to_series()
    return hashes.is_null() | hashes.is_first_distinct()


def _written(value: str | float | bool) -> str:
    """A value of the configuration as a source would write it."""
    if isinstance(value, bool):
        return str(value).lower()
    return value if isinstance(value, str) else f"{value:.15g}"
