"""Columns of other sources beside the rows of the first: by key, and as of a time.

Every row stays once, in its place: a key that is repeated on the right would multiply rows, and is refused. As of a
time a row gets the newest row of the source that is not newer than itself, so nothing is known before it happened.
Keys are compared as text, as categories are but for their case: 1, 1.0 and " 1" are one key. A missing key finds
nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from runwright_components.contract.config import JoinConfig
from runwright_components.contract.outcome import Reason, StageError
from runwright_components.features.tabular_state import ISO_FORMATS
from runwright_components.features.values import Words, key, moment

_ROW, _TIME, _FOUND = "\0row", "\0time", "\0found"
_WORDS = Words(missing=("",), fold_case=False)
_EARLIEST = -(2**63)  # before every time


@dataclass(frozen=True)
class Joined:
    """The rows of `frame` in their order, and how many of them found their row in the source."""

    rows: int
    found: int
    columns: dict[str, pl.DataType]


def join(left: Sequence[Path], right: Path, rules: JoinConfig, target: Path, scratch: Path) -> Joined:
    """Write the rows of `left` with the columns of `right` to `target`, all Parquet; `scratch` is a file for between.
    Raises StageError where a column or the key is not as it must be, or no row finds anything."""
    here, there = pl.scan_parquet(list(left), glob=False), pl.scan_parquet(right, glob=False)
    _require(here, (*rules.left, *((rules.asof.left,) if rules.asof else ())), rules, "the rows that it is joined to")
    _require(there, (*rules.right, *((rules.asof.right,) if rules.asof else ())), rules, "the source")
    keys = [f"\0key{place}" for place in range(len(rules.left))]
    here = here.with_columns(_keys(here, rules.left, keys)).with_row_index(_ROW)
    there = there.with_columns(_keys(there, rules.right, keys)).drop_nulls(keys)
    if rules.asof is not None:
        here = here.with_columns(_time(here, rules.asof.left, rules).fill_null(_EARLIEST))
        there = there.with_columns(_time(there, rules.asof.right, rules)).drop_nulls(_TIME)
    elif rules.relation == "oneToOne":
        _require_once(here.drop_nulls(keys), keys, rules, rules.left, "the rows that it is joined to")
    _require_once(there, keys if rules.asof is None else [*keys, _TIME], rules, rules.right, f"source {rules.source!r}")
    there = _renamed(there.drop(rules.right), set(here.collect_schema().names()), keys, rules).with_columns(
        pl.lit(value=True).alias(_FOUND)
    )
    found = (
        _by_time(here, there, keys, rules) if rules.asof else here.join(there, keys, how="left", maintain_order="left")
    )
    plain = found.drop(_ROW, _TIME, *keys, strict=False)
    plain.sink_parquet(scratch, statistics=False, maintain_order=True)
    joined = _counted(scratch, rules)
    pl.scan_parquet(scratch, glob=False).drop(_FOUND).sink_parquet(target, statistics=False, maintain_order=True)
    scratch.unlink()
    return joined


def _by_time(here: pl.LazyFrame, there: pl.LazyFrame, keys: list[str], rules: JoinConfig) -> pl.LazyFrame:
    assert rules.asof is not None
    seconds = rules.asof.tolerance_seconds
    return (
        here.sort(_TIME)
        .join_asof(
            there.sort(_TIME),
            on=_TIME,
            by=keys or None,
            strategy="backward",
            tolerance=None if seconds is None else seconds * 1_000_000,
            check_sortedness=False,
        )
        .sort(_ROW)
    )


def _counted(file: Path, rules: JoinConfig) -> Joined:
    """What was joined. Raises StageError when no row found anything."""
    written = pl.scan_parquet(file, glob=False)
    rows, found = written.select(pl.len(), pl.col(_FOUND).is_not_null().sum()).collect().row(0)
    if not found:
        raise StageError(
            Reason.DATA_INVALID,
            f"none of {rows} rows finds its row in source {rules.source!r}",
            where=f"data.joins, source {rules.source}",
            cure="check that the columns of the key hold the same values in both"
            + (", and the times and the tolerance of asof" if rules.asof else ""),
        )
    return Joined(rows, found, dict(written.drop(_FOUND).collect_schema()))


def _keys(frame: pl.LazyFrame, columns: Sequence[str], names: Sequence[str]) -> list[pl.Expr]:
    schema = frame.collect_schema()
    return [
        key(pl.col(column), schema[column], _WORDS).alias(name) for column, name in zip(columns, names, strict=True)
    ]


def _time(frame: pl.LazyFrame, column: str, rules: JoinConfig) -> pl.Expr:
    """The column as microseconds since 1970, Int64. Raises StageError for what is no time."""
    assert rules.asof is not None
    dtype = frame.collect_schema()[column]
    if not (dtype == pl.String or isinstance(dtype, (pl.Date, pl.Datetime))):
        raise _no_time(column, f"is of type {dtype}", rules)
    read = moment(pl.col(column), dtype, (*rules.asof.formats, *ISO_FORMATS), _WORDS)
    wrong = frame.filter(read.is_nan()).select(column).head(3).collect().to_series()
    if len(wrong):
        raise _no_time(column, f"holds {', '.join(repr(value) for value in wrong)}", rules)
    return read.cast(pl.Int64).alias(_TIME)


def _no_time(column: str, what: str, rules: JoinConfig) -> StageError:
    return StageError(
        Reason.DATA_INVALID,
        f"column {column!r} {what}, which is no time",
        where=f"data.joins, source {rules.source}, asof",
        cure="name a column of dates, and give their strptime formats in asof.formats where they are not ISO 8601",
    )


def _require(frame: pl.LazyFrame, columns: Sequence[str], rules: JoinConfig, whose: str) -> None:
    names = frame.collect_schema().names()
    missing = [column for column in columns if column not in names]
    if missing:
        raise StageError(
            Reason.INVALID_CONFIG,
            f"{whose} of the join lack{'s' if whose == 'the source' else ''} the column {missing[0]!r}",
            where=f"data.joins, source {rules.source}",
            cure=f"name one of the columns: {', '.join(names[:20])}",
        )


def _require_once(frame: pl.LazyFrame, keys: list[str], rules: JoinConfig, shown: Sequence[str], whose: str) -> None:
    """Raises StageError that shows a key of several rows."""
    several = frame.group_by(keys).len("rows").filter(pl.col("rows") > 1).sort("rows", *keys, descending=True)
    worst = several.head(1).collect(engine="streaming")
    if not len(worst):
        return
    *values, rows = worst.row(0)
    said = ", ".join(f"{column} = {value!r}" for column, value in zip(shown, values, strict=False))
    raise StageError(
        Reason.DATA_INVALID,
        f"{rows} rows of {whose} have the key {said or 'of one time'}{' at one time' if rules.asof and said else ''}",
        where=f"data.joins, source {rules.source}",
        cure="keep one row a key in the source, or join by more columns"
        + ("" if rules.asof or rules.relation == "oneToOne" else "; of several times take the newest with asof"),
    )


def _renamed(frame: pl.LazyFrame, taken: set[str], keys: Sequence[str], rules: JoinConfig) -> pl.LazyFrame:
    """`frame` with each name that is taken under that of the source before it."""
    own = [name for name in frame.collect_schema().names() if name not in (*keys, _TIME)]
    new = {name: f"{rules.source}.{name}" for name in own if name in taken}
    for name, other in new.items():
        if other in taken or other in own:
            raise StageError(
                Reason.DATA_INVALID,
                f"both have a column {name!r}, and {other!r} is taken as well",
                where=f"data.joins, source {rules.source}",
                cure="rename the column in the source",
            )
    return frame.rename(new)
