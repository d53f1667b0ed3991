"""How a CSV file is written: its delimiter and its header, from the first kilobytes."""

from __future__ import annotations

import contextlib
import csv
import io
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from runwright_components.contract.config import CsvOptions
from runwright_components.contract.outcome import Reason, StageError

DELIMITERS = ",;\t|"
_SAMPLE = 256 * 1024
_BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class CsvLayout:
    delimiter: str
    quote: str | None
    header: bool
    columns: tuple[str, ...]


def read_layout(path: Path, options: CsvOptions, *, where: str) -> CsvLayout:
    """The layout of a UTF-8 file. Raises StageError for an empty file, a wrong delimiter, a bad header."""
    with path.open("rb") as file:
        sample = file.read(_SAMPLE)
        whole = not file.read(1)
    sample = sample.removeprefix(_BOM)
    if not sample.strip():
        raise StageError(
            Reason.DATA_INVALID, "the file is empty", where=where, cure="remove the file or write its rows"
        )
    if b"\0" in sample[:4096]:
        raise StageError(
            Reason.DATA_UNREADABLE,
            "the file holds NUL bytes: it is not UTF-8 text",
            where=where,
            cure="set csv.encoding (utf-16 is common), or format, to what the file is",
        )
    if b"\r" in sample and b"\n" not in sample:
        raise StageError(
            Reason.DATA_UNREADABLE,
            "the lines end with carriage returns alone",
            where=where,
            cure="save the file with line ends of LF or CRLF",
        )
    # Invalid bytes are the reader's to report, with their line; here they must only not get in the way.
    text = sample.decode("utf-8", errors="replace")
    quote = _quote(options, where)
    delimiter = _one_byte(options.delimiter, "csv.delimiter", where) if options.delimiter else None
    delimiter = delimiter or detect_delimiter(text, quote, whole=whole)
    first = next(_records(text, delimiter, quote), [])
    if not options.header:
        return CsvLayout(delimiter, quote, False, tuple(f"column_{index}" for index in range(len(first))))
    _check_header(first, delimiter, where)
    names = tuple(name or f"column_{index}" for index, name in enumerate(first))
    repeated = [name for name, count in Counter(names).items() if count > 1]
    if repeated:
        raise StageError(
            Reason.DATA_INVALID,
            f"the header names {', '.join(map(repr, repeated))} more than once",
            where=f"{where}, line 1",
            cure="give each column a name of its own; for a file without a header set csv.header: false",
        )
    return CsvLayout(delimiter, quote, True, names)


def detect_delimiter(text: str, quote: str | None, *, whole: bool) -> str:
    """The delimiter whose first record has several fields and agrees best with the records after it; else a comma.

    `whole` says that `text` is all of the file, so that the last record is not cut.
    """
    best, best_score = DELIMITERS[0], (0.0, 0)
    for delimiter in DELIMITERS:
        records = [record for record, _ in zip(_records(text, delimiter, quote), range(200), strict=False)]
        if not whole and len(records) > 1:
            records.pop()  # may be cut
        fields = len(records[0]) if records else 0
        agreeing = sum(len(record) == fields for record in records)
        score = (agreeing / len(records), fields) if fields > 1 else (0.0, 0)
        if score > best_score:
            best, best_score = delimiter, score
    return best


def _records(text: str, delimiter: str, quote: str | None) -> Iterator[list[str]]:
    """Records that are not blank, up to the first that the csv module cannot read."""
    lines = io.StringIO(text, newline="")
    if quote is None:
        reader = csv.reader(lines, delimiter=delimiter, quoting=csv.QUOTE_NONE)
    else:
        reader = csv.reader(lines, delimiter=delimiter, quotechar=quote)
    with contextlib.suppress(csv.Error):
        yield from (record for record in reader if record)


def _check_header(names: list[str], delimiter: str, where: str) -> None:
    other = next((mark for mark in DELIMITERS if mark != delimiter and mark in names[0]), None) if names else None
    if len(names) == 1 and other:
        raise StageError(
            Reason.DATA_INVALID,
            f"the header is one column, {names[0][:80]!r}, at the delimiter {delimiter!r}",
            where=f"{where}, line 1",
            cure=f"set csv.delimiter to {other!r}",
        )


def _one_byte(mark: str, field: str, where: str) -> str:
    if len(mark) != 1 or not mark.isascii() or mark in "\r\n":
        raise StageError(
            Reason.INVALID_CONFIG,
            f"{field} must be one ASCII character, not {mark!r}",
            where=where,
            cure=f"set {field} to a single character such as ',' or ';' or '\\t'",
        )
    return mark


def _quote(options: CsvOptions, where: str) -> str | None:
    return _one_byte(options.quote, "csv.quote", where) if options.quote else None
