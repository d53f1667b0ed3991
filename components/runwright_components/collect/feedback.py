"""Training rows of what a server was asked: logged predictions with the labels that came later.

A row is the input as it was sent, with the label of its key. Predictions without a label, and those whose label came
too late, are left out and counted.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import polars as pl

from runwright_components.collect.compressed import Expansion, uncompressed
from runwright_components.collect.files import SourceFile, file_sign, of_format
from runwright_components.collect.joins import join
from runwright_components.collect.json_tables import scan_json
from runwright_components.collect.opening import Opened
from runwright_components.collect.sources import source_files
from runwright_components.collect.tables import OnBytes, Table, explain_broken
from runwright_components.contract.config import CollectConfig, JoinConfig, Source
from runwright_components.contract.config.feedback import FeedbackConfig
from runwright_components.contract.files import file_digest
from runwright_components.contract.outcome import Reason, StageError
from runwright_components.contract.progress import Progress
from runwright_components.features.tabular_state import ISO_FORMATS
from runwright_components.features.values import Words, moment
from runwright_components.storage.reading import reading

_ID, _ASKED, _LABEL, _KNOWN = "\x01id", "\x01asked", "\x01label", "\x01known"  # no field of a request has such a name
_WORDS = Words(missing=("",), fold_case=False)
_SECOND = 1_000_000  # microseconds


def open_feedback(
    source: Source,
    rules: FeedbackConfig,
    labels: Path,
    config: CollectConfig,
    scratch: Callable[[], Path],
    progress: Progress,
) -> Opened:
    """The logged predictions that have a label; `labels` is the Parquet file of the source that has the labels.

    Raises StageError: a line that is no logged prediction, a column that is not there, a key with several labels, no
    prediction with a label.
    """
    found = source_files(source, config.base, scratch=scratch, progress=progress)
    files, _ = of_format(source, "jsonl", found)
    asked, known, joined, rows = scratch(), scratch(), scratch(), scratch()
    _flatten(files, scratch).sink_parquet(asked, statistics=False)
    _columns(source, rules, labels).sink_parquet(known, statistics=False)
    try:
        both = join([asked], known, JoinConfig(source=rules.labels, left=(_ID,), right=(rules.key,)), joined, scratch())
    except StageError as error:
        cure = error.cure.partition(";")[0]
        raise StageError(error.reason, error.message, where=f"{source.name}, feedback", cure=cure) from error
    taken = _labelled(pl.scan_parquet(joined, glob=False), rules)
    taken.sink_parquet(rows, statistics=False, maintain_order=True)
    number = int(pl.scan_parquet(rows, glob=False).select(pl.len()).collect().item())
    late = f", {both.found - number:,} came too late" if rules.within_seconds is not None else ""
    progress.note(f"{source.name}: {number:,} of {both.rows:,} logged predictions have a label{late}")
    if number == 0:
        raise StageError(
            Reason.DATA_INVALID,
            f"none of {both.rows} logged predictions has a label in time",
            where=f"{source.name}, feedback",
            cure="wait for labels, or widen feedback.within",
        )
    digests = {f"predictions/{file.name}": file_digest(file.path) for file in files}
    digests["labels"] = file_digest(known)
    size = sum(file.path.stat().st_size for file in files)

    def check(on_bytes: OnBytes) -> Mapping[str, str]:
        on_bytes(size)
        return digests

    table = Table(source.name, pl.scan_parquet(rows, glob=False), check, explain_broken(source.name))
    return Opened(source, "feedback", files, size, [table], {file: file_sign(file) for file in files})


def _flatten(files: list[SourceFile], scratch: Callable[[], Path]) -> pl.LazyFrame:
    """The inputs as columns, typed as JSON is, with id and time."""
    budget, flat = Expansion(files), scratch()
    with flat.open("wb") as target:
        for file in files:
            with reading(file.display), uncompressed(file, scratch, budget).open("rb") as opened:
                for row in _rows(opened, file.display):
                    target.write(json.dumps(row).encode() + b"\n")
    return scan_json(flat, display="the logged predictions", scratch=scratch)


def _rows(lines: Iterator[bytes] | Any, display: str) -> Iterator[dict[str, Any]]:
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            logged = json.loads(line)
            yield {**logged["input"], _ID: str(logged["id"]), _ASKED: str(logged["time"])}
        except (ValueError, TypeError, KeyError, RecursionError):
            raise StageError(
                Reason.DATA_UNREADABLE,
                "the line is no logged prediction: an object with id, time and input",
                where=f"{display}, line {number}",
                cure="name the folder that the server logs to (RUNWRIGHT_LOG_PREDICTIONS), and nothing else in it",
            ) from None


def _columns(source: Source, rules: FeedbackConfig, labels: Path) -> pl.LazyFrame:
    """The key, the label and since when it is known, of the labels that are there."""
    frame = pl.scan_parquet(labels, glob=False)
    schema = frame.collect_schema()
    wanted = [name for name in (rules.key, rules.label, rules.time) if name is not None]
    missing = [name for name in wanted if name not in schema]
    if missing:
        raise StageError(
            Reason.INVALID_CONFIG,
            f"source {rules.labels!r} has no column {missing[0]!r}",
            where=f"{source.name}, feedback",
            cure=f"name one of its columns: {', '.join(schema.names()[:20])}",
        )
    taken = [pl.col(rules.key), pl.col(rules.label).alias(_LABEL)]
    if rules.time is not None:
        known = moment(pl.col(rules.time), schema[rules.time], ISO_FORMATS, _WORDS).alias(_KNOWN)
        wrong = frame.filter(known.is_nan()).select(rules.time).head(1).collect()
        if len(wrong):
            raise StageError(
                Reason.DATA_INVALID,
                f"column {rules.time!r} holds {wrong.item()!r}, which is no time",
                where=f"source {rules.labels}",
                cure="write times as ISO 8601: 2026-01-31T12:00:00Z",
            )
        taken.append(known)
    return frame.select(taken).drop_nulls(_LABEL)


def _labelled(frame: pl.LazyFrame, rules: FeedbackConfig) -> pl.LazyFrame:
    """The rows whose label came in time, without what only joins them."""
    taken = frame.filter(pl.col(_LABEL).is_not_null())
    if rules.within_seconds is not None:
        asked = moment(pl.col(_ASKED), pl.String(), ISO_FORMATS, _WORDS)
        taken = taken.filter(pl.col(_KNOWN) - asked <= rules.within_seconds * _SECOND)
    own = [name for name in frame.collect_schema().names() if name not in (_ID, _ASKED, _LABEL, _KNOWN, rules.label)]
    return taken.select(*own, pl.col(_LABEL).alias(rules.label))
