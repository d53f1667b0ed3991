"""Workbooks other than .xlsx. The binary ones were written once by SheetJS 0.18.5 (npm `xlsx`): nothing in Python can.

`birds.xlsb` names the column of every cell, as Excel does; `short-cells.xlsb` leaves it out where cells are neighbours.
"""

import io
import zipfile
from datetime import datetime
from pathlib import Path

import pytest

from runwright_components.contract.config import ExcelOptions
from runwright_components.contract.outcome import Reason

WORKBOOKS = Path(__file__).parent / "workbooks"
_OASIS = "urn:oasis:names:tc:opendocument:xmlns"


def ods() -> bytes:
    """The same two sheets as an OpenDocument spreadsheet."""

    def cell(value: object) -> str:
        match value:
            case bool():
                kind, attribute = "boolean", f'office:boolean-value="{str(value).lower()}"'
            case str():
                return f'<table:table-cell office:value-type="string"><text:p>{value}</text:p></table:table-cell>'
            case datetime():
                kind, attribute = "date", f'office:date-value="{value.isoformat()}"'
            case _:
                kind, attribute = "float", f'office:value="{value}"'
        return f'<table:table-cell office:value-type="{kind}" {attribute}/>'

    def sheet(name: str, rows: list[list[object]]) -> str:
        lines = "".join(f"<table:table-row>{''.join(map(cell, row))}</table:table-row>" for row in rows)
        return f'<table:table table:name="{name}">{lines}</table:table>'

    birds: list[list[object]] = [["name", "grams", "flies", "day"], *(list(row.values()) for row in ROWS)]
    content = (
        f'<?xml version="1.0" encoding="UTF-8"?><office:document-content xmlns:office="{_OASIS}:office:1.0"'
        f' xmlns:table="{_OASIS}:table:1.0" xmlns:text="{_OASIS}:text:1.0"><office:body><office:spreadsheet>'
        f"{sheet('birds', birds)}{sheet('other', [['x'], [1]])}"
        "</office:spreadsheet></office:body></office:document-content>"
    )
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as book:
        book.writestr("mimetype", "application/vnd.oasis.opendocument.spreadsheet")
        book.writestr("content.xml", content)
        book.writestr("META-INF/manifest.xml", f'<manifest:manifest xmlns:manifest="{_OASIS}:manifest:1.0"/>')
    return out.getvalue()


ROWS: list[dict[str, object]] = [
    {"name": "Amsel", "grams": 100.0, "flies": True, "day": datetime(2026, 5, 1)},
    {"name": "Emu 🦤", "grams": 36500.5, "flies": False, "day": datetime(1999, 12, 31)},
]


@pytest.mark.parametrize("name", ["birds.xls", "birds.xlsb", "birds.ods"])
def test_reads(workplace, name):
    workplace.write({name: ods() if name.endswith(".ods") else (WORKBOOKS / name).read_bytes()})
    manifest = workplace.collect(name)
    assert workplace.rows(manifest) == ROWS
    workplace.out = workplace.out.with_name("other")
    assert workplace.rows(workplace.collect(name, excel=ExcelOptions(sheet="other"))) == [{"x": 1.0}]


@pytest.mark.parametrize("name", ["birds.xls", "birds.xlsb", "birds.ods"])
def test_a_cut_file_is_refused(workplace, name):
    whole = ods() if name.endswith(".ods") else (WORKBOOKS / name).read_bytes()
    workplace.write({name: whole[: len(whole) // 2]})
    error = workplace.refusal(name)
    assert error.reason is Reason.DATA_UNREADABLE
    assert error.where.endswith(name)


def test_cells_that_would_be_left_out_are_refused(workplace):
    workplace.write({"a.xlsb": (WORKBOOKS / "short-cells.xlsb").read_bytes()})
    error = workplace.refusal("a.xlsb")
    assert "short cells" in error.message
    assert ".xlsx" in error.cure
