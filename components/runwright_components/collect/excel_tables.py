"""Sheets of workbooks (xlsx, xlsb, xls, ods) as frames."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

import polars as pl

from runwright_components.collect.arrow_tables import refuse_repeated
from runwright_components.collect.compressed import CHUNK, Expansion
from runwright_components.contract.config import ExcelOptions
from runwright_components.contract.outcome import Reason, StageError

_SHORT_CELLS = range(12, 19)  # [MS-XLSB] 2.3.1, BrtShortBlank to BrtShortIsst: cells that do not name their column
_LOOKED_AT = 1 << 16  # bytes of a binary sheet
_OLE = b"\xd0\xcf\x11\xe0"  # of .xls, and of an encrypted .xlsx


def scan_excel(
    path: Path, options: ExcelOptions, *, display: str, scratch: Callable[[], Path], budget: Expansion
) -> pl.LazyFrame:
    """A lazy frame over one sheet; a column of several types is strings, rows without any value are left out.

    A sheet is held in memory while it is read: it has at most 1,048,576 rows.
    """
    import fastexcel

    try:
        _refuse_bomb(path, display, budget)
        book = fastexcel.read_excel(str(path))
        frame = _sheet(book, options, display)
    except (fastexcel.FastExcelError, zipfile.BadZipFile, zlib.error, EOFError) as error:
        raise _unreadable(path, display, error) from error
    target = scratch()
    frame.filter(~pl.all_horizontal(pl.all().is_null())).write_parquet(target, statistics=False)
    return pl.scan_parquet(target, glob=False)


def _refuse_bomb(path: Path, display: str, budget: Expansion) -> None:
    """Count what comes out of the parts of the workbook: it says itself how much, which need not be true."""
    if not zipfile.is_zipfile(path):
        return
    with zipfile.ZipFile(path) as parts:
        for info in parts.infolist():
            with parts.open(info) as part:
                if info.filename.startswith("xl/worksheets/") and info.filename.endswith(".bin"):
                    _refuse_short_cells(part.read(_LOOKED_AT), display)
            with parts.open(info) as part:
                while chunk := part.read(CHUNK):
                    budget.add(len(chunk), display)


def _refuse_short_cells(sheet: bytes, display: str) -> None:
    """The reader passes over cells that stand beside another without a number of their column, and tells nobody."""
    records = iter(sheet)
    for first in records:
        kind = first if first < 0x80 else first & 0x7F | next(records, 0) << 7
        if kind in _SHORT_CELLS:
            raise StageError(
                Reason.DATA_UNREADABLE,
                "the binary workbook holds short cells, which would be left out",
                where=display,
                cure="save it as .xlsx, or open and save it with Excel",
            )
        size = 0
        for place in range(4):
            byte = next(records, 0)
            size |= (byte & 0x7F) << 7 * place
            if byte < 0x80:
                break
        next(islice(records, size, size), None)


def _sheet(book: Any, options: ExcelOptions, display: str) -> pl.DataFrame:
    name = options.sheet or book.sheet_names[0]
    if name not in book.sheet_names:
        raise StageError(
            Reason.INVALID_CONFIG,
            f"there is no sheet {name!r}",
            where=display,
            cure=f"set excel.sheet to one of {', '.join(map(repr, book.sheet_names[:10]))}",
        )
    header = _row(book, name, options.header_row)
    if all(value is None for value in header):
        raise StageError(
            Reason.DATA_INVALID,
            f"row {options.header_row} of the sheet {name!r} is empty",
            where=display,
            cure="set excel.headerRow to the row that holds the column names, and excel.sheet to the sheet",
        )
    names = [f"column_{index}" if value is None else str(value) for index, value in enumerate(header)]
    refuse_repeated(names, f"{display}, sheet {name!r}, row {options.header_row}")
    sheet = book.load_sheet(
        name, header_row=None, column_names=names, skip_rows=options.header_row, schema_sample_rows=None
    )
    frame: pl.DataFrame = sheet.to_polars()
    return frame


def _row(book: Any, sheet: str, number: int) -> tuple[Any, ...]:
    """The values of one row, counted from 1; none beyond the last."""
    from fastexcel import InvalidParametersError

    try:
        frame = book.load_sheet(sheet, header_row=None, skip_rows=number - 1, n_rows=1, dtypes="string").to_polars()
    except InvalidParametersError:  # it says that there are fewer rows
        return ()
    return () if frame.is_empty() else tuple(frame.row(0))


def _unreadable(path: Path, display: str, error: Exception) -> StageError:
    with path.open("rb") as file:
        sealed = file.read(len(_OLE)) == _OLE and not path.name.lower().endswith(".xls")
    return StageError(
        Reason.DATA_UNREADABLE,
        f"not a workbook that can be read: {(str(error).splitlines() or [''])[0]}",
        where=display,
        cure="it may be protected by a password: save it without one" if sealed else "open and save it again",
    )
