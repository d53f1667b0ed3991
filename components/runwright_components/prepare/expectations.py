"""What the data are expected to be like, before anything is filled, dropped or split: rows that break a rule end the
run, go into quarantine, or are counted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from runwright_components.contract.artifacts import QUARANTINE, ROW_ID
from runwright_components.contract.config import PrepareConfig
from runwright_components.contract.config.expectations import ExpectationConfig
from runwright_components.contract.outcome import Reason, StageError
from runwright_components.contract.progress import Progress
from runwright_components.prepare.expectation_checks import broken_rows
from runwright_components.prepare.quality import SAMPLES
from runwright_components.prepare.raw import RawData, rows_in
from runwright_components.prepare.verdicts import EXPECTATIONS, Verdict, Verdicts

RULE, REASON = "quarantine_rule", "quarantine_reason"  # columns of QUARANTINE, before those of the source
_CURE = "mend the source, correct the rule, or set `onFailure: quarantine` to leave such rows out"


def meet(
    config: PrepareConfig, data: RawData, folder: Path, progress: Progress, *, shown: RawData
) -> tuple[RawData, Verdicts]:
    """`shown` without the rows in quarantine, which are written to `folder` with the reason, and the verdicts.

    Rules look at `data`; `shown` are the same rows as they may be shown and kept.

    Raises StageError (DataInvalid) that names every rule that ends the run, its columns, the rows and first values.
    """
    rules = [rule for rule in config.expectations if rule.min_rows is None]
    found = broken_rows(data, rules, config) if rules else []
    left_out = np.zeros(data.rows, dtype=np.bool_)
    for rule, rows in zip(rules, found, strict=True):
        if rule.on_failure == "quarantine":
            left_out[rows] = True
    by_row = {id(rule): _verdict(rule, rows, shown) for rule, rows in zip(rules, found, strict=True)}
    left = data.rows - int(left_out.sum())
    verdicts = [by_row.get(id(rule)) or _counted(rule, left) for rule in config.expectations]
    _require(config.expectations, verdicts, data.rows, left)
    for verdict in verdicts:
        if verdict.outcome != "kept":
            progress.warning(_sentence(verdict, data.rows))
    document = Verdicts(verdicts=tuple(verdicts), quarantined=data.rows - left)
    document.write(folder, EXPECTATIONS)
    if not left_out.any():
        return shown, document
    aside = [(rule, rows) for rule, rows in zip(rules, found, strict=True) if rule.on_failure == "quarantine"]
    _put_aside(shown, left_out, aside, folder / QUARANTINE)
    return replace(shown, left_out=left_out), document


def _verdict(rule: ExpectationConfig, rows: NDArray[np.int64], data: RawData) -> Verdict:
    samples = data.rows_at(rows[:SAMPLES].tolist(), rule.columns)
    return Verdict(
        rule=rule.title,
        said=rule.said,
        columns=rule.columns,
        outcome="kept" if not len(rows) else "quarantined" if rule.on_failure == "quarantine" else "warned",
        rows=len(rows),
        samples=tuple(
            (number, ", ".join(repr(value) for value in row.values()))
            for number, row in zip(rows.tolist(), samples, strict=False)
        ),
    )


def _counted(rule: ExpectationConfig, left: int) -> Verdict:
    """Of minRows."""
    assert rule.min_rows is not None
    kept = left >= rule.min_rows
    return Verdict(rule=rule.title, said=rule.said, outcome="kept" if kept else "warned", rows=0 if kept else left)


def _require(rules: Sequence[ExpectationConfig], verdicts: Sequence[Verdict], rows: int, left: int) -> None:
    fatal = [
        verdict
        for rule, verdict in zip(rules, verdicts, strict=True)
        if verdict.outcome != "kept"
        and (rule.on_failure == "fail" if rule.min_rows is not None else verdict.rows > rule.tolerated * rows)
    ]
    if fatal:
        raise StageError(
            Reason.DATA_INVALID,
            "; ".join(_sentence(verdict, rows) for verdict in fatal),
            where="prepare.expectations",
            cure=_CURE if any(verdict.columns for verdict in fatal) else "give more data, or lower minRows",
        )
    if not left:
        raise StageError(
            Reason.DATA_INVALID,
            f"all {rows} rows stand in quarantine: "
            + "; ".join(_sentence(verdict, rows) for verdict in verdicts if verdict.outcome == "quarantined"),
            where="prepare.expectations",
            cure="correct the rules: no row keeps all of them",
        )


def _sentence(verdict: Verdict, rows: int) -> str:
    name = f"expectation {verdict.rule!r}"
    meaning = "" if verdict.said == verdict.rule else f" ({verdict.said})"
    if not verdict.columns:
        return f"{name}{meaning} is broken: {verdict.rows} rows are left"
    shown = ", ".join(f"row {number}: {values}" for number, values in verdict.samples)
    columns = f"column{'s' if len(verdict.columns) > 1 else ''} {', '.join(verdict.columns)}"
    return f"{name}{meaning} is broken by {verdict.rows} of {rows} rows, {columns}: {shown}"


def _put_aside(
    data: RawData,
    left_out: NDArray[np.bool_],
    broken: Sequence[tuple[ExpectationConfig, NDArray[np.int64]]],
    path: Path,
) -> None:
    """Write the rows in quarantine as the source has them, each with the rules that it breaks."""
    if taken := {RULE, REASON} & set(data.columns):
        raise StageError(
            Reason.DATA_INVALID,
            f"the name of column {min(taken)!r} is reserved for the rows in quarantine",
            where=f"column {min(taken)}",
            cure="rename this column in the source",
        )
    reasons = pl.concat(
        pl.DataFrame({ROW_ID: rows.astype(np.uint32)}).with_columns(
            pl.lit(rule.title).alias(RULE), pl.lit(rule.said).alias(REASON)
        )
        for rule, rows in broken
    )
    together = reasons.group_by(ROW_ID, maintain_order=True).agg(pl.col(RULE, REASON).str.join("; "))
    rows = data.frame.filter(rows_in(left_out)).join(together.lazy(), on=ROW_ID, maintain_order="left")
    rows.select(ROW_ID, RULE, REASON, pl.exclude(ROW_ID, RULE, REASON)).sink_parquet(path, maintain_order=True)
