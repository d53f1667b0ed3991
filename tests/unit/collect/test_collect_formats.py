"""Binary formats of rows: what they give, and what is said of broken ones."""

import bz2
import datetime
import io
import lzma
import zipfile
import zlib
from xml.sax.saxutils import escape

import polars as pl
import pyarrow as pa
import pytest
from pyarrow import feather, orc

from runwright_components.collect import avro_tables, limits
from runwright_components.contract.config import ExcelOptions
from runwright_components.contract.outcome import Reason

FRAME = pl.DataFrame({"a": [1, None, 3], "b": ["x", "ü 🦜", None], "c": [0.5, 1.0, None], "d": [True, False, None]})
ROWS = FRAME.to_dicts()


def avro(codec="uncompressed"):
    out = io.BytesIO()
    FRAME.write_avro(out, compression=codec)
    return out.getvalue()


def packed_avro(codec, pack):
    """A container of Polars, its block packed by a codec that Polars does not write."""
    head, sync = avro("deflate")[:-16], avro("deflate")[-16:]
    start = head.index(sync) + 16
    header, block = head[:start].replace(b"\x0edeflate", avro_tables._sized(codec.encode())), io.BytesIO(head[start:])
    count, _ = (avro_tables._Bytes(block, "").number() for _ in range(2))
    content = pack(zlib.decompress(block.read(), -zlib.MAX_WBITS))
    return header + avro_tables._number(count) + avro_tables._sized(content) + sync


def arrow_file(compression="uncompressed"):
    out = io.BytesIO()
    FRAME.write_ipc(out, compression=compression)
    return out.getvalue()


def arrow_stream():
    out = io.BytesIO()
    FRAME.write_ipc_stream(out)
    return out.getvalue()


def orc_file():
    out = io.BytesIO()
    orc.write_table(FRAME.to_arrow(), out, stripe_size=1)
    return out.getvalue()


def feather_file():
    out = io.BytesIO()
    feather.write_feather(FRAME.to_arrow(), out)
    return out.getvalue()


WHOLE = {
    "a.avro": avro(),
    "deflate.avro": avro("deflate"),
    "snappy.avro": avro("snappy"),
    "bzip2.avro": packed_avro("bzip2", bz2.compress),
    "xz.avro": packed_avro("xz", lzma.compress),
    "zstandard.avro": packed_avro("zstandard", lambda block: pa.compress(block, "zstd", asbytes=True)),
    "a.arrow": arrow_file(),
    "zstd.ipc": arrow_file("zstd"),
    "a.arrows": arrow_stream(),
    "a.feather": feather_file(),
    "a.orc": orc_file(),
}


@pytest.mark.parametrize("name", WHOLE)
def test_reads(workplace, name):
    workplace.write({name: WHOLE[name]})
    manifest = workplace.collect(name)
    assert workplace.rows(manifest) == ROWS
    assert manifest.columns == {"a": "Int64", "b": "String", "c": "Float64", "d": "Boolean"}
    assert list(workplace.out.parent.iterdir()) == [workplace.out]


@pytest.mark.parametrize("name", WHOLE)
@pytest.mark.parametrize("keep", [0, 2, 0.5, -1])
def test_a_cut_file_is_refused(workplace, name, keep):
    content = WHOLE[name]
    workplace.write({name: content[: int(len(content) * keep) if isinstance(keep, float) else keep]})
    if name == "a.arrows" and keep == -1:
        return  # the end of a stream is a mark that may be missing
    error = workplace.refusal(name)
    assert error.reason is Reason.DATA_UNREADABLE
    assert name in error.where
    assert "copy" in error.cure or "write" in error.cure


def test_avro_is_decoded_part_by_part(workplace, monkeypatch):
    """Two files' blocks in one container: Avro's are joined so."""
    head, sync = WHOLE["a.avro"][:-16], WHOLE["a.avro"][-16:]
    start = head.index(sync) + 16
    block = head[start:]
    monkeypatch.setattr("runwright_components.collect.avro_tables._PART", 1)
    workplace.write({"a.avro": head + sync + block + sync})
    assert workplace.rows(workplace.collect("a.avro")) == ROWS * 2


def test_avro_names_the_byte_and_the_codec(workplace):
    content = bytearray(WHOLE["a.avro"])
    content[-1] ^= 1
    workplace.write({"a.avro": bytes(content), "b.avro": WHOLE["deflate.avro"].replace(b"\x0edeflate", b"\x0eunknown")})
    assert f"byte {len(content):,}" in workplace.refusal("a.avro").where
    error = workplace.refusal("b.avro")
    assert "unknown" in error.message
    assert "deflate" in error.cure


def test_a_block_of_avro_that_swells_is_refused(workplace, monkeypatch):
    frame, out = pl.DataFrame({"a": ["x" * 5000]}), io.BytesIO()
    frame.write_avro(out, compression="deflate")
    workplace.write({"a.avro": out.getvalue()})
    monkeypatch.setattr(limits, "MAX_RECORD", 1000)
    assert "more than 1,000 bytes" in workplace.refusal("a.avro").message


def test_feather_of_version_1(workplace):
    workplace.write({"a.feather": b"FEA1" + bytes(100)})
    assert "version 2" in workplace.refusal("a.feather").cure


def repeated(kind):
    table = pa.table([pa.array([1]), pa.array([2])], names=["a", "a"])
    out = io.BytesIO()
    if kind == "orc":
        orc.write_table(table, out)
    else:
        make = pa.ipc.new_file if kind == "arrow" else pa.ipc.new_stream
        with make(out, table.schema) as writer:
            writer.write_table(table)
    return out.getvalue()


@pytest.mark.parametrize("name", ["a.orc", "a.arrow", "a.arrows"])
def test_columns_of_one_name(workplace, name):
    workplace.write({name: repeated(name.removeprefix("a."))})
    error = workplace.refusal(name)
    assert error.message == "'a' names more than one column"
    assert error.where.endswith(name)


# ---------------------------------------------------------------- workbooks

_TYPES = """<?xml version="1.0"?><Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">
<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>
<Default Extension="xml" ContentType="application/xml"/></Types>"""
_RELATIONS = """<?xml version="1.0"?>
<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">{}</Relationships>"""
_OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"


def xlsx(**sheets):
    """A workbook of sheets: lists of rows of strings, numbers, booleans and None."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as book:
        book.writestr("[Content_Types].xml", _TYPES)
        office = f'<Relationship Id="r0" Type="{_OFFICE}/officeDocument" Target="xl/workbook.xml"/>'
        book.writestr("_rels/.rels", _RELATIONS.format(office))
        names = "".join(f'<sheet name="{name}" sheetId="{n}" r:id="r{n}"/>' for n, name in enumerate(sheets, start=1))
        book.writestr(
            "xl/workbook.xml", f'<workbook xmlns="{_MAIN}" xmlns:r="{_OFFICE}"><sheets>{names}</sheets></workbook>'
        )
        targets = "".join(
            f'<Relationship Id="r{n}" Type="{_OFFICE}/worksheet" Target="worksheets/{n}.xml"/>'
            for n in range(1, len(sheets) + 1)
        )
        book.writestr("xl/_rels/workbook.xml.rels", _RELATIONS.format(targets))
        for number, rows in enumerate(sheets.values(), start=1):
            body = "".join(
                f'<row r="{y}">{"".join(_cell(f"{chr(65 + x)}{y}", v) for x, v in enumerate(row))}</row>'
                for y, row in enumerate(rows, start=1)
            )
            sheet = f'<worksheet xmlns="{_MAIN}"><sheetData>{body}</sheetData></worksheet>'
            book.writestr(f"xl/worksheets/{number}.xml", sheet)
    return out.getvalue()


def _cell(place, value):
    if value is None:
        return ""
    if isinstance(value, bool):
        return f'<c r="{place}" t="b"><v>{int(value)}</v></c>'
    if isinstance(value, str):
        return f'<c r="{place}" t="inlineStr"><is><t>{escape(value)}</t></is></c>'
    return f'<c r="{place}"><v>{value}</v></c>'


BIRDS = [["name", "grams", "flies", "note"], ["Amsel", 100, True, "a"], [], ["Emu 🦤", 36500.5, False, 7]]


def test_a_workbook(workplace):
    workplace.write({"a.xlsx": xlsx(birds=BIRDS, other=[["x"], [1]])})
    manifest = workplace.collect("a.xlsx")
    assert workplace.rows(manifest) == [
        {"name": "Amsel", "grams": 100.0, "flies": True, "note": "a"},
        {"name": "Emu 🦤", "grams": 36500.5, "flies": False, "note": "7"},
    ]


def test_a_sheet_and_its_header(workplace):
    rows = [["Report of May"], [], [None, None], ["x", "y"], [1, 2], [3, 4]]
    workplace.write({"a.xlsx": xlsx(first=[["no"], [0]], second=rows)})
    manifest = workplace.collect("a.xlsx", excel=ExcelOptions(sheet="second", header_row=4))
    assert workplace.rows(manifest) == [{"x": 1.0, "y": 2.0}, {"x": 3.0, "y": 4.0}]


def test_numbers_below_a_long_head_of_text_are_found(workplace):
    rows = [["a"], *([index] for index in range(1500)), ["word"]]
    workplace.write({"a.xlsx": xlsx(s=rows)})
    assert workplace.rows(workplace.collect("a.xlsx"))[-1] == {"a": "word"}


def test_empty_rows_and_columns_before_the_table_are_counted(workplace):
    workplace.write({"a.xlsx": xlsx(s=[[], [], [None, "x", "y"], [None, 1, 2]])})
    error = workplace.refusal("a.xlsx")
    assert "row 1 of the sheet 's' is empty" in error.message
    manifest = workplace.collect("a.xlsx", excel=ExcelOptions(header_row=3))
    assert [(row["x"], row["y"]) for row in workplace.rows(manifest)] == [(1.0, 2.0)]


@pytest.mark.parametrize(
    ("content", "options", "message", "cure"),
    [
        (xlsx(birds=BIRDS), {"sheet": "fish"}, "there is no sheet 'fish'", "'birds'"),
        (xlsx(birds=BIRDS), {"header_row": 3}, "row 3 of the sheet 'birds' is empty", "headerRow"),
        (xlsx(birds=BIRDS), {"header_row": 9}, "row 9 of the sheet 'birds' is empty", "headerRow"),
        (xlsx(s=[["a", "a"], [1, 2]]), {}, "'a' names more than one column", "a name of its own"),
        (xlsx(s=[["a"]]), {}, "no row", "exported with its rows"),
        (xlsx(s=[]), {}, "row 1 of the sheet 's' is empty", "headerRow"),
        (xlsx(birds=BIRDS)[:-30], {}, "not a workbook", "save it again"),
        (b"a,b\n1,2\n", {}, "not a workbook", "save it again"),
        (bytes.fromhex("d0cf11e0a1b11ae1") + bytes(1000), {}, "not a workbook", "password"),
    ],
)
def test_workbooks_that_are_refused(workplace, content, options, message, cure):
    workplace.write({"a.xlsx": content})
    error = workplace.refusal("a.xlsx", excel=ExcelOptions(**options))
    assert message in error.message
    assert cure in error.cure


def test_a_workbook_that_swells(workplace, monkeypatch):
    monkeypatch.setattr(limits, "RATIO_FROM", 1000)
    monkeypatch.setattr(limits, "MAX_RATIO", 3)
    workplace.write({"a.xlsx": xlsx(s=[["a"], *([1] for _ in range(5000))])})
    assert "3 times as many bytes" in workplace.refusal("a.xlsx").message


def test_dates_at_the_edges_of_the_calendar(workplace):
    dates = [datetime.date(1, 1, 1), datetime.date(9999, 12, 31)]
    frame = pl.DataFrame({"day": dates, "at": pl.Series(dates).cast(pl.Datetime("us"))})
    frame.write_ipc(workplace.sources / "a.arrow")
    frame.write_parquet(workplace.sources / "a.parquet")
    for name in ("a.arrow", "a.parquet"):
        workplace.out = workplace.out.with_name(name)
        assert [row["day"] for row in workplace.rows(workplace.collect(name))] == dates
