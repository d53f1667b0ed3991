"""JSON as lazy frames: one object a line, or an array of objects that is first cut into lines."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

import polars as pl

from runwright_components.collect import limits
from runwright_components.contract.outcome import Reason, StageError

_READ = 1 << 20
_LONGEST = 64 << 20  # characters of one object of an array
_BLANK = re.compile(r"[ \t\r\n]*")
_DECODER = json.JSONDecoder()
_BOM = "\ufeff"


def scan_json(path: Path, *, display: str, scratch: Callable[[], Path]) -> pl.LazyFrame:
    """A lazy frame over a file of objects, typed as JSON is; a column of several JSON types becomes strings.

    Raises StageError with the line of a syntax error. Memory is bounded by the longest object.
    """
    with path.open("rb") as file:
        start = file.read(_READ)
    bare = start.removeprefix(_BOM.encode()).lstrip()
    if not bare:
        raise StageError(Reason.DATA_INVALID, "the file is empty", where=display, cure="remove it or write its rows")
    if bare.startswith(b"["):
        path = _array_to_lines(path, scratch(), display)
    elif start.startswith(_BOM.encode()):
        path = _without_bom(path, scratch())
    _refuse_long_line(path, display)
    return _typed(_scan_lines(path, display))


def _refuse_long_line(path: Path, display: str) -> None:
    if path.stat().st_size <= limits.MAX_RECORD:
        return
    length, lines = 0, 1
    with path.open("rb", buffering=0) as file:
        while chunk := file.read(_READ):
            feeds = chunk.count(b"\n")
            length = len(chunk) - 1 - chunk.rfind(b"\n") if feeds else length + len(chunk)
            lines += feeds
            if length > limits.MAX_RECORD:
                raise StageError(
                    Reason.DATA_INVALID,
                    f"an object of more than {limits.MAX_RECORD:,} bytes",
                    where=f"{display}, line {lines}",
                    cure="write an object a line; large values belong into files of their own",
                )


def _scan_lines(path: Path, display: str) -> pl.LazyFrame:
    """Polars infers from all lines, but knows no supertype for some mixtures (bool and int): then we decide."""
    frame = pl.scan_ndjson(path, infer_schema_length=None)
    try:
        if frame.collect_schema():
            frame.select(pl.all().null_count()).collect(engine="streaming")
            return frame
    except pl.exceptions.PolarsError:
        pass
    return pl.scan_ndjson(path, schema=_schema_of_lines(path, display))


def _typed(frame: pl.LazyFrame) -> pl.LazyFrame:
    """Columns without any value, and integers beyond 64 bits (identifiers, not quantities), are strings."""
    casts = [pl.col(name).cast(pl.String) for name, kind in frame.collect_schema().items() if kind in _TO_TEXT]
    return frame.with_columns(casts) if casts else frame


_TO_TEXT = (pl.Null, pl.Int128)
_TYPES: dict[frozenset[type], pl.DataType] = {
    frozenset({bool}): pl.Boolean(),
    frozenset({int}): pl.Int64(),
    frozenset({float}): pl.Float64(),
    frozenset({int, float}): pl.Float64(),
}


def _schema_of_lines(path: Path, display: str) -> dict[str, pl.DataType]:
    """The schema by Python's own parser, line by line; raises StageError at the first line that is no object."""
    kinds: dict[str, set[type]] = defaultdict(set)
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            if not line.strip():
                continue
            for name, value in _object_of(line, f"{display}, line {number}").items():
                kinds[name].update(() if value is None else (_kind(value),))
    if not kinds:
        raise StageError(Reason.DATA_INVALID, "no object has a field", where=display, cure="write {name: value} rows")
    return {name: _TYPES.get(frozenset(found), pl.String()) for name, found in kinds.items()}


def _kind(value: Any) -> type:
    return str if isinstance(value, int) and not -(2**63) <= value < 2**63 else type(value)


def _object_of(line: bytes, where: str) -> dict[str, Any]:
    try:
        value = json.loads(line, parse_constant=_refuse_constant)
    except UnicodeDecodeError as error:
        raise StageError(
            Reason.DATA_UNREADABLE, "the line is not UTF-8", where=where, cure="save the file as UTF-8"
        ) from error
    except (ValueError, RecursionError) as error:
        said = error.msg if isinstance(error, json.JSONDecodeError) else str(error)
        place = f" at column {error.colno}" if isinstance(error, json.JSONDecodeError) else ""
        raise StageError(
            Reason.DATA_UNREADABLE,
            f"not JSON: {said}{place}",
            where=where,
            cure="mend the line: each line holds one whole object, or the file is an array of objects",
        ) from error
    return _require_object(value, where)


def _require_object(value: Any, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise StageError(
            Reason.DATA_INVALID,
            f"expected an object, found {json.dumps(value)[:60]}",
            where=where,
            cure='write each row as an object: {"column": value}',
        )
    return value


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON value; write null")


def _array_to_lines(path: Path, target: Path, display: str) -> Path:
    """Cut `[{...}, {...}]` into one object a line. Line feeds inside an object are white space (in strings they are
    escaped), so they can be blanked and the text is copied as it is."""
    with path.open(encoding="utf-8-sig") as file, target.open("w", encoding="utf-8", newline="\n") as out:
        for text in _objects(file, display):
            out.write(text.replace("\r", " ").replace("\n", " "))
            out.write("\n")
    if not target.stat().st_size:
        raise StageError(Reason.DATA_INVALID, "the array is empty", where=display, cure="write rows into it")
    return target


class _Window:
    """A moving window over a text file that counts the lines it leaves behind."""

    def __init__(self, file: IO[str], display: str) -> None:
        self.file, self.display = file, display
        self.text, self.at, self.lines = "", 0, 1

    def more(self) -> bool:
        self.lines += self.text.count("\n", 0, self.at)
        try:
            read = self.file.read(max(_READ, len(self.text) - self.at))
        except UnicodeDecodeError as error:
            raise self.error("the text is not UTF-8", cure="save the file as UTF-8") from error
        self.text, self.at = self.text[self.at :] + read, 0
        return bool(read)

    def peek(self) -> str:
        """The next character that is not blank; empty at the end."""
        while True:
            self.at = _BLANK.match(self.text, self.at).end()  # type: ignore[union-attr]
            if self.at < len(self.text):
                return self.text[self.at]
            if not self.more():
                return ""

    def error(self, message: str, *, at: int | None = None, cure: str = "mend the JSON there") -> StageError:
        line = self.lines + self.text.count("\n", 0, self.at if at is None else at)
        return StageError(Reason.DATA_UNREADABLE, message, where=f"{self.display}, line {line}", cure=cure)


def _objects(file: IO[str], display: str) -> Iterator[str]:
    window = _Window(file, display)
    window.peek()
    window.at += 1  # the bracket
    if window.peek() == "]":
        return
    while True:
        yield _one_object(window)
        mark = window.peek()
        if mark not in (",", "]"):
            raise window.error(f"not JSON: expected ',' or ']', found {repr(mark) if mark else 'the end of the file'}")
        window.at += 1
        if mark == "]":
            break
        window.peek()
    if window.peek():
        raise window.error("not JSON: more text after the array")


def _one_object(window: _Window) -> str:
    while True:
        try:
            value, end = _DECODER.raw_decode(window.text, window.at)
        except (ValueError, RecursionError) as error:
            said, ahead = str(error), 0
            if isinstance(error, json.JSONDecodeError):
                said, ahead = error.msg, error.pos - window.at
            # The text may only be cut by the window: read on, unless it is hopeless.
            if len(window.text) - window.at < _LONGEST and window.more():
                continue
            raise window.error(f"not JSON: {said}", at=window.at + ahead) from error
        if end == len(window.text) and window.more():
            continue
        _require_object(value, f"{window.display}, line {window.lines + window.text.count(chr(10), 0, window.at)}")
        text, window.at = window.text[window.at : end], end
        return text


def _without_bom(path: Path, target: Path) -> Path:
    with path.open("rb") as source, target.open("wb") as out:
        source.seek(len(_BOM.encode()))
        while chunk := source.read(_READ):
            out.write(chunk)
    return target
