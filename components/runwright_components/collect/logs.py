"""Log files as one table: rotated files in order of time, lines cut into columns, lines of no known form counted."""

from __future__ import annotations

import codecs
import hashlib
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from runwright_components.collect import limits
from runwright_components.collect.compressed import CHUNK, Expansion, content_now
from runwright_components.collect.files import SourceFile, bare_name
from runwright_components.collect.json_tables import scan_json
from runwright_components.collect.log_layouts import MATCHED, line_layout
from runwright_components.collect.tables import Table, explain_broken
from runwright_components.contract.config import LogConfig, Source
from runwright_components.contract.outcome import Reason, StageError
from runwright_components.contract.progress import Progress
from runwright_components.storage.reading import reading

_LINE, _NUMBER, _FILE = "__runwright_line", "__runwright_number", "__runwright_file"
_ROTATED = re.compile(
    r"(?P<stem>.+?)(?:[.-](?P<date>\d{8}(?:[-T.]?\d{2,6})?|\d{4}-\d\d-\d\d(?:[-_T]\d\d(?:[-_:]?\d\d){0,2})?))?"
    r"(?:\.(?P<number>\d{1,5}))?"
)


def open_logs(
    source: Source,
    config: LogConfig,
    files: Sequence[SourceFile],
    *,
    scratch: Callable[[], Path],
    budget: Expansion,
    progress: Progress,
) -> Table:
    """The lines of all files as one table. A copy is read, of what the files hold now: logs grow.

    Warns of lines that do not match. Raises StageError when their share is above `config.max_unmatched`, or a file
    cannot be read. Memory is bounded by the longest line.
    """
    copies = []
    for file in in_time_order(files):
        with reading(file.display):
            copies.append(_copy(file, scratch(), budget))
    where = f"data.sources[{source.name}].logs"
    if config.layout == "json":
        target = scratch()
        count = _cut_json(copies, target)
    else:
        target = scratch()
        count = _cut_lines(copies, config, target, where=where)
    _judge(count, config, source.name, progress)
    if config.layout == "json":
        frame = scan_json(target, display=source.name, scratch=scratch)
    else:
        frame = pl.scan_parquet(target, glob=False).filter(MATCHED).drop(MATCHED, _FILE, _NUMBER)
    digests = {one.file.name: one.digest for one in copies}
    return Table(source.name, frame, lambda _on_bytes: digests, explain_broken(source.name))


def in_time_order(files: Sequence[SourceFile]) -> list[SourceFile]:
    """Logs by name, and of each the rotated files from the oldest: by date, then from the highest number, then the one
    that is written now."""

    def key(file: SourceFile) -> tuple[str, int, str, int]:
        match = _ROTATED.fullmatch(bare_name(file.name))
        if match is None:
            return file.name, 2, "", 0
        stem, date, number = match.group("stem", "date", "number")
        rank = 0 if date else 1 if number else 2
        return stem, rank, date or "", -int(number or 0)

    return sorted(files, key=key)


# ---------------------------------------------------------------- a copy


@dataclass(frozen=True, slots=True)
class _Copy:
    """The content of a log as UTF-8 on this machine, and the digest of what was read."""

    file: SourceFile
    path: Path
    digest: str


def _copy(file: SourceFile, target: Path, budget: Expansion) -> _Copy:
    """Write the file's content now, uncompressed; bytes that are not UTF-8, which attacks on servers leave in their
    logs, become U+FFFD."""
    digest = hashlib.sha256()
    decode = codecs.getincrementaldecoder("utf-8")("replace").decode
    line, lines = 0, 1
    with content_now(file) as source, target.open("wb") as out:
        while chunk := source.read(CHUNK):
            budget.add(len(chunk), file.display)
            digest.update(chunk)
            feeds = chunk.count(b"\n")
            line = len(chunk) - 1 - chunk.rfind(b"\n") if feeds else line + len(chunk)
            lines += feeds
            if line > limits.MAX_RECORD:
                raise StageError(
                    Reason.DATA_INVALID,
                    f"a line of more than {limits.MAX_RECORD:,} bytes",
                    where=f"{file.display}, line {lines:,}",
                    cure="check that the file is a log; remove the line",
                )
            out.write(decode(chunk).encode())
        out.write(decode(b"", final=True).encode())
    return _Copy(file, target, f"sha256:{digest.hexdigest()}")


# ---------------------------------------------------------------- lines into columns


@dataclass(frozen=True, slots=True)
class _Count:
    """How many lines that are not blank there were, how many did not match, and where the first of them is."""

    lines: int
    unmatched: int
    first: str


def _cut_lines(copies: Sequence[_Copy], config: LogConfig, target: Path, *, where: str) -> _Count:
    """Write the columns of all lines to `target`, with the place of each line and whether it matched."""
    layout = line_layout(config, where=where)
    frames = [_lines(copy.path, index) for index, copy in enumerate(copies) if copy.path.stat().st_size]
    if not frames:
        return _Count(0, 0, "")
    layout.cut(pl.concat(frames), _LINE, where=where).sink_parquet(target, statistics=False)
    written = pl.scan_parquet(target, glob=False)
    lines, matched = written.select(pl.len(), pl.col(MATCHED).sum()).collect(engine="streaming").row(0)
    if lines == matched:
        return _Count(lines, 0, "")
    index, number = written.filter(~pl.col(MATCHED)).select(_FILE, _NUMBER).head(1).collect().row(0)
    return _Count(lines, lines - matched, f"{copies[index].file.display}, line {number}")


def _lines(path: Path, index: int) -> pl.LazyFrame:
    frame = pl.scan_lines(path, name=_LINE, row_index_name=_NUMBER, row_index_offset=1, glob=False)
    line = pl.col(_LINE).str.strip_chars_end("\r")
    return (
        frame.with_columns(line, pl.lit(index, pl.UInt32).alias(_FILE))
        .filter(pl.col(_LINE).str.contains(r"\S"))
        .select(_FILE, _NUMBER, _LINE)
    )


def _cut_json(copies: Sequence[_Copy], target: Path) -> _Count:
    """Write the lines that are objects to `target`."""
    lines = unmatched = 0
    first = ""
    with target.open("wb") as out:
        for copy in copies:
            with copy.path.open("rb") as file:
                for number, line in enumerate(file, start=1):
                    if not (line := line.strip()):
                        continue
                    lines += 1
                    if _is_object(line):
                        out.write(line + b"\n")
                    else:
                        unmatched += 1
                        first = first or f"{copy.file.display}, line {number}"
    return _Count(lines, unmatched, first)


def _is_object(line: bytes) -> bool:
    def refuse(constant: str) -> None:
        raise ValueError(constant)

    try:
        return isinstance(json.loads(line, parse_constant=refuse), dict)
    except (ValueError, RecursionError):
        return False


def _judge(count: _Count, config: LogConfig, name: str, progress: Progress) -> None:
    """Tell of the lines that did not match. Raises StageError when they are too many."""
    how = f"layout {config.layout}" if config.layout else "grok expression" if config.grok else "pattern"
    if count.lines == 0:
        raise StageError(
            Reason.DATA_INVALID,
            "the logs hold no line",
            where=name,
            cure="check logs.path; rotation may have moved them",
        )
    if count.unmatched == 0:
        return
    share = count.unmatched / count.lines
    said = f"{count.unmatched:,} of {count.lines:,} lines ({share:.2%}) do not match the {how}"
    if share > config.max_unmatched:
        raise StageError(
            Reason.DATA_INVALID,
            f"{said}; at most {config.max_unmatched:.2%} may",
            where=count.first,
            cure="look at this line, the first: mend the layout, pattern or grok, or raise logs.maxUnmatched",
        )
    progress.warning(f"{name}: {said} and are left out; the first is {count.first}")
