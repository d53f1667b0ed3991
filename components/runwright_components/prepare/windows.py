"""`prepare.windows`: columns of each row's past, made before the columns are planned and the rows are split."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import polars as pl

from runwright_components.contract.artifacts import PREPROCESSING
from runwright_components.contract.config import Column, PrepareConfig, SplitRules
from runwright_components.contract.config.windows import WindowRules
from runwright_components.contract.outcome import Reason, StageError
from runwright_components.features.tabular_state import Reader
from runwright_components.features.windows import HISTORY, WINDOWS, Windows
from runwright_components.prepare.infer import TOLERATED, Plan, plan
from runwright_components.prepare.labels import words
from runwright_components.prepare.raw import RawData
from runwright_components.prepare.rewriting import rewritten
from runwright_components.prepare.sampling import evidence, sample

_WHERE = "prepare.windows"


def look_back(config: PrepareConfig, rules: WindowRules, data: RawData, scratch: Path, folder: Path) -> RawData:
    """The data with the columns of their past, in files of `scratch`; what a server needs lies in `folder`.

    Raises StageError for columns that are not there or cannot be read, and for names that are taken.
    """
    columns = data.columns
    for name in (*rules.by, rules.order, *rules.columns):
        if name not in columns:
            raise StageError(
                Reason.INVALID_CONFIG,
                f"the data have no column {name!r}",
                where=_WHERE,
                cure=f"name one of the columns: {', '.join(columns[:20])}",
            )
    windows = Windows(
        by=rules.by,
        order=_reader(data, config, rules.order, None),
        columns=tuple(_reader(data, config, name, "numeric") for name in rules.columns),
        lags=rules.lags,
        rolling=rules.rolling,
        words=words(config),
    )
    if taken := {HISTORY, *windows.names} & set(columns):
        raise StageError(
            Reason.DATA_INVALID,
            f"the name of column {min(taken)!r} is reserved: windows make such columns, and requests a history",
            where=f"column {min(taken)}",
            cure="rename this column in the source",
        )
    looked_at = data.source.select(windows.sources).collect(engine="streaming")
    made = windows.of(looked_at, data.usable)
    (folder / PREPROCESSING).mkdir(exist_ok=True)
    windows.write(folder / PREPROCESSING, WINDOWS)
    return rewritten(data, scratch / "windows", lambda rows, first: rows.hstack(made.slice(first, len(rows))))


def _reader(data: RawData, config: PrepareConfig, name: str, kind: Literal["numeric"] | None) -> Reader:
    """How a column is read: as numbers, or as the numbers or times that order the rows."""
    given = next((column for column in config.columns if column.name == name), Column(name=name))
    if kind is not None or given.type == "ignore":
        given = given.model_copy(update={"type": kind})
    # As a column of its own: neither target nor split decides how it is read.
    split = SplitRules(strategy="random") if kind else SplitRules(strategy="time", by=name)
    asked = config.model_copy(update={"columns": (given,), "target": "", "split": split, "windows": None})
    found = plan(sample(data, [name]), asked, lambda column: evidence(data, column))[0]
    if found.reader is None or found.type not in ("numeric", "datetime"):
        raise StageError(
            Reason.DATA_INVALID,
            f"column {name!r} holds neither numbers nor times",
            where=_WHERE,
            cure="name a column of numbers or dates, and give the dates' formats (prepare.columns, dateFormats)",
        )
    _require_readable(data, found, found.reader.expression(found.dtype, words(config)), order=kind is None)
    return found.reader


def _require_readable(data: RawData, found: Plan, read: pl.Expr, *, order: bool) -> None:
    """Raise StageError where more values cannot be read than a column of numbers may have, or any of the order."""
    bad = data.source.select(read.is_nan()).collect(engine="streaming").to_series()
    count, present = int(bad.sum()), len(bad) - bad.null_count()
    if count <= (0 if order else TOLERATED * present):
        return
    row = int(bad.arg_true()[0])
    raise StageError(
        Reason.DATA_INVALID,
        f"{count} values of column {found.name!r} cannot be read as {found.type}, such as "
        f"{data.rows_at([row], [found.name])[0][found.name]!r} in row {row}",
        where=_WHERE,
        cure="give the dates' formats (prepare.columns, dateFormats), name another column, or mend the source",
    )
