"""CSV files as lazy frames of strings, and what to say when they cannot be read."""

from __future__ import annotations

import codecs
import csv
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from runwright_components.collect import limits
from runwright_components.collect.csv_layout import CsvLayout, read_layout
from runwright_components.collect.csv_survey import Survey, count_feeds, first_ragged, survey
from runwright_components.contract.config import CsvOptions
from runwright_components.contract.outcome import Reason, StageError

_UTF8 = {"utf-8", "utf-8-sig"}


@dataclass(frozen=True, slots=True)
class CsvFile:
    """A CSV file in UTF-8 on this machine; `display` is its name in messages."""

    path: Path
    display: str
    layout: CsvLayout
    encoding: str  # that it had at the source

    @classmethod
    def open(cls, path: Path, options: CsvOptions, *, display: str, scratch: Callable[[], Path]) -> CsvFile:
        """Look at the file's layout; a file in another encoding is rewritten in UTF-8 to a `scratch` path first."""
        encoding = _encoding(options.encoding, display)
        if encoding not in _UTF8:
            path = transcode(path, scratch(), encoding, where=display)
        return cls(path, display, read_layout(path, options, where=display), encoding)

    def scan(self) -> pl.LazyFrame:
        """All columns as strings, an empty field as null. Rows without any value (blank lines, `,,,`) are left out."""
        names = list(self.layout.columns)
        frame = pl.scan_csv(
            self.path,
            has_header=self.layout.header,
            separator=self.layout.delimiter,
            quote_char=self.layout.quote,
            infer_schema=False,
            with_column_names=lambda _read: names,
            glob=False,
        )
        return frame.filter(~pl.all_horizontal(pl.all().is_null()))

    def survey(self, on_bytes: Callable[[int], None]) -> Survey:
        return survey(self.path, self.layout.delimiter, self.layout.quote, on_bytes=on_bytes)

    def check(self, counts: Survey, *, exact: bool) -> None:
        """Raise StageError when a record has not the header's width or is too long, or the file holds NUL bytes.

        `exact` looks at every record, also those that Polars did not read (for `max_rows`).
        """
        if counts.long_at is not None:
            raise self._error(
                f"a record of more than {limits.MAX_RECORD:,} bytes",
                count_feeds(self.path, counts.long_at) + 1,
                cure="check the file: a quote may be closed too late, or line feeds may be lost",
            )
        if exact or not counts.even(len(self.layout.columns)):
            self._raise_ragged()
        if counts.nul:
            raise self._error(
                "the file holds NUL bytes", _line_of(self.path, b"\0"), cure="remove them, or set csv.encoding: utf-16"
            )

    def explain(self, error: Exception) -> StageError:
        """Why Polars could not read the file, with the line; looks at the file again, so only after a failure."""
        try:
            self._raise_encoding()
            self._raise_ragged()
            self._raise_malformed()
        except StageError as found:
            return found
        return self._error(str(error).splitlines()[0], None, cure="check the file in an editor")

    def _raise_ragged(self) -> None:
        columns = len(self.layout.columns)
        ragged = first_ragged(self.path, self.layout.delimiter, self.layout.quote, columns)
        if ragged is None:
            return
        first = "header" if self.layout.header else "first line"
        if ragged.fields == 0:
            raise self._error(
                "a quote opens here and is never closed",
                ragged.line,
                cure="close the quote, or set csv.quote to '' when quotes are plain text",
            )
        raise self._error(
            f"{ragged.fields} field{'s' if ragged.fields > 1 else ''} where the {first} has {columns}",
            ragged.line,
            cure=f"mend the line: quote fields that hold {self.layout.delimiter!r}, or set csv.delimiter",
        )

    def _raise_encoding(self) -> None:
        with self.path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                try:
                    line.decode("utf-8")
                except UnicodeDecodeError as error:
                    byte = line[error.start]
                    raise self._error(
                        f"byte 0x{byte:02x} at position {error.start + 1} is not UTF-8",
                        number,
                        cure="set csv.encoding: latin-1 (or what the file was written in), or save the file as UTF-8",
                        reason=Reason.DATA_UNREADABLE,
                    ) from error

    def _raise_malformed(self) -> None:
        if self.layout.quote is None:
            return
        with self.path.open(encoding="utf-8", newline="") as file:
            reader = csv.reader(file, delimiter=self.layout.delimiter, quotechar=self.layout.quote, strict=True)
            try:
                for _ in reader:
                    pass
            except csv.Error as error:
                raise self._error(
                    f"malformed: {error}", reader.line_num, cure="double the quotes inside a quoted field"
                ) from error
        line = _line_of(self.path, self.layout.quote.encode())
        raise self._error(
            f"malformed: {self.layout.quote} inside a field that is not quoted",
            line,
            cure="quote the field and double the quotes inside, or set csv.quote to '' when quotes are plain text",
        )

    def _error(self, message: str, line: int | None, *, cure: str, reason: Reason = Reason.DATA_INVALID) -> StageError:
        where = self.display if line is None else f"{self.display}, line {line}"
        return StageError(reason, message, where=where, cure=cure)


def transcode(path: Path, target: Path, encoding: str, *, where: str) -> Path:
    """Rewrite a text file in UTF-8 in bounded memory. Raises StageError at bytes that `encoding` does not know."""
    decoder = codecs.getincrementaldecoder(encoding)()
    line = 1
    with path.open("rb") as source, target.open("wb") as out:
        while True:
            chunk = source.read(1 << 20)
            try:
                text = decoder.decode(chunk, final=not chunk)
            except UnicodeError as error:  # without a place where a byte order mark is missing
                line += error.object[: error.start].count(b"\n") if isinstance(error, UnicodeDecodeError) else 0
                said = error.reason if isinstance(error, UnicodeDecodeError) else error
                raise StageError(
                    Reason.DATA_UNREADABLE,
                    f"the bytes are not {encoding}: {said}",
                    where=f"{where}, line {line}",
                    cure="set csv.encoding to what the file was written in",
                ) from error
            line += text.count("\n")
            out.write(text.encode("utf-8"))
            if not chunk:
                return target


def _encoding(name: str, where: str) -> str:
    try:
        # utf-16 and utf-8-sig share codecs with their plain names, so the looked-up name tells too little for the BOM.
        known = codecs.lookup(name)
        "".encode(name)
    except LookupError as error:
        raise StageError(
            Reason.INVALID_CONFIG,
            f"csv.encoding {name!r} is not a text encoding",
            where=where,
            cure="use utf-8, utf-8-sig, utf-16, latin-1, cp1252 or another name that Python knows",
        ) from error
    return known.name


def _line_of(path: Path, needle: bytes) -> int | None:
    with path.open("rb") as file:
        return next((number for number, line in enumerate(file, start=1) if needle in line), None)
