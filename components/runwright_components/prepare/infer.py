"""What each column of a table is: its role and type, given or told from a sample, and how it is read."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import polars as pl

from runwright_components.contract.config import Column, ColumnType, PrepareConfig
from runwright_components.contract.kinds import LABELLED, UNSUPERVISED
from runwright_components.contract.outcome import Reason, StageError
from runwright_components.features.tabular_state import ISO_FORMATS, Reader
from runwright_components.features.values import FALSE_WORDS, TRUE_WORDS, Words, holds_text, key
from runwright_components.prepare import dates, labels, notations

TOLERATED = 0.1  # share of a column's values that may be unreadable; they become missing
SAMPLE = 20_000  # rows
_SURE = 0.95  # share of the sample that must fit an inferred type
_DISTINCT = 5_000  # of the sample, looked at for notations
_FEW = 20
_ID_NAME = re.compile(r"^(?:id|idx|index|uuid|guid|rowid|row|no|nr|unnamed: ?0|)$|[_\s.\-](?:id|idx|uuid|guid)$", re.I)
_CAMEL_ID = re.compile(r"[a-z](?:Id|ID)$")

Role = Literal["input", "target", "group", "time", "ignored"]
Evidence = Callable[[str], tuple[int, int]]


@dataclass(frozen=True)
class Plan:
    """What is done with one column. `reader` is None where it is ignored."""

    name: str
    dtype: pl.DataType
    role: Role
    type: ColumnType
    reader: Reader | None
    reason: str = ""
    rules: Column | None = None  # what the user says of it
    warning: str = ""

    @property
    def spelled(self) -> bool:
        """Whether the cleaned column numbers its spellings."""
        return self.type in ("categorical", "text")

    @property
    def given(self) -> bool:
        return self.rules is not None and self.rules.type is not None

    def ignore(self, reason: str) -> Plan:
        return replace(self, role="ignored", type="ignore", reader=None, reason=reason)

    def as_categories(self, reason: str) -> Plan:
        reader = Reader(name=self.name, type="categorical", text=holds_text(self.dtype))
        return replace(self, type="categorical", reader=reader, reason=reason, warning="")


def plan(sample: pl.DataFrame, config: PrepareConfig, evidence: Evidence) -> list[Plan]:
    """A plan for each column of the sample, in its order. `evidence(column)` counts, over all rows, dates whose first
    and whose second number is above 12. Raises StageError for what is given and does not fit the data."""
    names = sample.columns
    rules = {column.name: column for column in config.columns}
    for place, name in enumerate(rules):
        if name not in names:
            near = difflib.get_close_matches(name, names, n=1)
            raise StageError(
                Reason.INVALID_CONFIG,
                f"the data have no column {name!r}" + (f"; did you mean {near[0]!r}?" if near else ""),
                where=f"prepare.columns[{place}].name",
                cure=f"name one of the columns: {', '.join(names[:20])}",
            )
    order = config.missing.order_by
    if order is not None and order not in names:
        raise StageError(
            Reason.INVALID_CONFIG,
            f"the data have no column {order!r} to order the rows by",
            where="prepare.missing.orderBy",
            cure=f"name one of the columns: {', '.join(names[:20])}",
        )
    return [_plan_column(sample[name], rules.get(name), config, evidence) for name in names]


def _plan_column(values: pl.Series, rules: Column | None, config: PrepareConfig, evidence: Evidence) -> Plan:
    name, dtype = values.name, values.dtype
    given = rules.type if rules else None
    base = Plan(name, dtype, "input", "ignore", None, rules=rules)
    if config.target and name == config.target:
        kind: ColumnType = "categorical" if config.task in LABELLED else "numeric"
        reason = "the model is judged by it" if config.task in UNSUPERVISED else config.task
        return replace(_typed(base, values, kind, config, evidence), role="target", reason=reason)
    if config.split.by == name and config.split.strategy == "predefined":
        return base.ignore("names the split")
    if config.split.by == name and config.split.strategy in ("group", "time", "hash"):
        return _split_column(base, values, config, evidence)
    if config.missing.order_by == name:
        return _time_column(base, values, config, evidence, "orders the rows")
    if given == "image":
        raise StageError(
            Reason.UNSUPPORTED,
            "a table has no image columns",
            where=f"column {name}",
            cure="for images choose the task image-classification; else type: ignore",
        )
    if given == "text":
        if not holds_text(dtype):
            raise _misfit(base, given, f"are of type {dtype}")
        reader = Reader(name=name, type="text", text=True)
        return replace(base, type=given, reader=reader, reason="the configuration says so")
    if given == "ignore":
        return base.ignore("the configuration says so")
    if given is not None:
        return replace(_typed(base, values, given, config, evidence), reason="the configuration says so")
    return _inferred(base, values, config, evidence)


def _split_column(base: Plan, values: pl.Series, config: PrepareConfig, evidence: Evidence) -> Plan:
    """The group or time column is no input, unless the configuration gives it a type: it would tell the split."""
    given = base.rules.type if base.rules else None
    if config.split.strategy in ("group", "hash") and given in (None, "ignore"):
        return replace(base.as_categories("groups the split"), role="group")
    return _time_column(base, values, config, evidence, "orders the split")


def _time_column(base: Plan, values: pl.Series, config: PrepareConfig, evidence: Evidence, reason: str) -> Plan:
    """The column that orders rows, read as numbers or times."""
    given = base.rules.type if base.rules else None
    if given not in (None, "ignore"):
        return replace(_typed(base, values, given, config, evidence), reason="the configuration says so")
    found = (
        _inferred(base, values, config, evidence) if given is None else _typed(base, values, given, config, evidence)
    )
    if found.type not in ("datetime", "numeric"):
        numbers = base.dtype.is_numeric()
        found = _typed(base, values, "numeric" if numbers else "datetime", config, evidence)
    return replace(found, role="time", reason=reason)


def _typed(base: Plan, values: pl.Series, kind: ColumnType, config: PrepareConfig, evidence: Evidence) -> Plan:
    """The plan for a type that is certain. Raises StageError where the values do not fit."""
    name, dtype = base.name, base.dtype
    text = holds_text(dtype)
    counted = _counted(values, labels.words(config)) if text and kind != "categorical" else []
    if kind == "categorical":
        if dtype.is_nested() or dtype in (pl.Binary, pl.Object):
            raise _misfit(base, kind, f"are of type {dtype}")
        return base.as_categories("")
    if kind == "numeric":
        if not text:
            if not (dtype.is_numeric() or dtype in (pl.Boolean, pl.Null)):
                raise _misfit(base, kind, f"are of type {dtype}")
            return replace(base, type=kind, reader=Reader(name=name, type="numeric", text=False))
        found = notations.find(counted, config.formats.decimal, free=config.formats.numbers)
        reader = Reader(name=name, type="numeric", text=True, notation=found.notation)
        return replace(base, type=kind, reader=reader, warning=_named(name, found.note))
    if kind == "boolean":
        if not (text or dtype.is_numeric() or dtype in (pl.Boolean, pl.Null)):
            raise _misfit(base, kind, f"are of type {dtype}")
        return replace(base, type=kind, reader=Reader(name=name, type="boolean", text=text))
    return _dated(base, counted, config, evidence)


def _dated(base: Plan, counted: notations.Counted, config: PrepareConfig, evidence: Evidence) -> Plan:
    name, dtype = base.name, base.dtype
    if isinstance(dtype, (pl.Date, pl.Datetime)):
        reader = Reader(name=name, type="datetime", text=False, formats=ISO_FORMATS)
        return replace(base, type="datetime", reader=reader)
    if not holds_text(dtype) and not (dtype.is_integer() or dtype == pl.Null):
        raise _misfit(base, "datetime", f"are of type {dtype}")
    if dtype.is_integer():
        reader = Reader(name=name, type="datetime", text=True, formats=("%Y%m%d",))
        return replace(base, type="datetime", reader=reader)
    found = _date_formats(base, counted, config, evidence)
    formats = tuple(dict.fromkeys((*found.formats, *ISO_FORMATS)))
    reader = Reader(name=name, type="datetime", text=True, formats=formats)
    return replace(base, type="datetime", reader=reader, reason=found.note, warning=_doubt(name, found))


def _inferred(base: Plan, values: pl.Series, config: PrepareConfig, evidence: Evidence) -> Plan:
    name, dtype = base.name, base.dtype
    if dtype == pl.Null:
        return base.ignore("every value is missing")
    if dtype == pl.Boolean:
        return _typed(base, values, "boolean", config, evidence)
    if isinstance(dtype, (pl.Date, pl.Datetime)):
        return _typed(base, values, "datetime", config, evidence)
    if dtype.is_numeric():
        if _numbers_rows(values):
            return base.ignore("an identifier: whole numbers, each once")
        return _typed(base, values, "numeric", config, evidence)
    if not holds_text(dtype):
        return base.ignore(f"values of type {dtype} are not supported")
    counted = _counted(values, labels.words(config))
    if not counted:
        return base.ignore("every value is missing")
    folded = {text.lower() for text, _ in counted}
    if folded <= {*TRUE_WORDS, *FALSE_WORDS} and folded & set(TRUE_WORDS) and folded & set(FALSE_WORDS):
        reason = "truth values: " + ", ".join(sorted(folded))
        return replace(_typed(base, values, "boolean", config, evidence), reason=reason)
    dated = _inferred_dates(base, counted, config, evidence)
    if dated is not None:
        return dated
    found = notations.find(counted, config.formats.decimal, free=config.formats.numbers)
    if found.share >= _SURE:
        if _numbers_rows(values.cast(pl.String).str.strip_chars().cast(pl.Int64, strict=False)):
            return base.ignore("an identifier: whole numbers, each once")
        reader = Reader(name=name, type="numeric", text=True, notation=found.notation)
        reason = notations.describe(found.notation)
        return replace(base, type="numeric", reader=reader, reason=reason, warning=_named(name, found.note))
    total = sum(rows for _, rows in counted)
    if len(counted) > max(_FEW, total // 2):
        words = sum(len(text.split()) for text, _ in counted[:_DISTINCT]) / min(len(counted), _DISTINCT)
        what = "free text" if words >= 3 else "an identifier or free text"
        return base.ignore(f"{what}: {len(counted)} different values in {total} rows")
    return base.as_categories(found.note)


def _inferred_dates(base: Plan, counted: notations.Counted, config: PrepareConfig, evidence: Evidence) -> Plan | None:
    """Dates that are written with more than digits; eight digits are a date only in a column whose name says so."""
    digits = sum(rows for text, rows in counted if re.fullmatch(r"[+-]?[\d.,]+", text) and text.count(".") != 2)
    named = re.search(r"date|day|time", base.name, re.I)
    formats = base.rules.date_formats if base.rules else ()
    if digits and not formats and not (named and all(re.fullmatch(r"(?:19|20)\d{6}", text) for text, _ in counted)):
        return None
    found = _date_formats(base, counted, config, evidence)
    if found.share < _SURE or not found.formats:
        return None
    formats = tuple(dict.fromkeys((*found.formats, *ISO_FORMATS)))
    reader = Reader(name=base.name, type="datetime", text=True, formats=formats)
    reason = found.note or ", ".join(found.formats[:4])
    return replace(base, type="datetime", reader=reader, reason=reason, warning=_doubt(base.name, found))


def _date_formats(base: Plan, counted: notations.Counted, config: PrepareConfig, evidence: Evidence) -> dates.Reading:
    given = (*(base.rules.date_formats if base.rules else ()), *config.formats.dates)
    found = dates.find(counted[:_DISTINCT], given)
    if found.note:  # day and month can change places: every row of the column has a say
        return dates.find(counted[:_DISTINCT], given, evidence(base.name))
    return found


def _counted(values: pl.Series, words: Words) -> list[tuple[str, int]]:
    """Distinct values, trimmed, that are not missing, the most frequent first."""
    text = values.cast(pl.String).alias("text").to_frame()
    trimmed = text.select(
        pl.col("text").str.strip_chars(), present=key(pl.col("text"), pl.String(), words).is_not_null()
    ).filter("present")
    return trimmed.group_by("text").len().sort("len", "text", descending=[True, False]).rows()


def names_an_identifier(name: str) -> bool:
    """Whether a column is named like one that tells rows or entities apart."""
    return bool(_ID_NAME.search(name.strip()) or _CAMEL_ID.search(name.strip()))


def _numbers_rows(values: pl.Series) -> bool:
    """Whether whole numbers count rows: each once (but for a few duplicates), and named like an identifier or rising
    by one."""
    present = values.drop_nulls()
    if len(present) <= _FEW or not present.dtype.is_integer() or len(present) < len(values):
        return False
    if present.n_unique() < _SURE * len(present):
        return False
    if names_an_identifier(values.name):
        return True
    return int((present.diff() == 1).sum()) >= _SURE * (len(present) - 1)


def _misfit(base: Plan, kind: str, what: str) -> StageError:
    return StageError(
        Reason.DATA_INVALID,
        f"column {base.name!r} is given as {kind}, its values {what}",
        where=f"column {base.name}",
        cure="give another type in prepare.columns, or leave it to inference",
    )


def _doubt(name: str, found: dates.Reading) -> str:
    if not found.unsure:
        return ""
    return f"column {name!r}: {found.note}; set columns: [{{name: {name}, dateFormats: [...]}}] to be sure"


def _named(name: str, note: str) -> str:
    return f"column {name!r}: {note}" if note else ""
