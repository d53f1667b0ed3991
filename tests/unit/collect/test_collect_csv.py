import gzip

import pytest

from runwright_components.contract.config import CsvOptions
from runwright_components.contract.outcome import Reason

GOOD = {
    "strings as they are": (b"a,b\n1, x \n007,2.50\n", [("1", " x "), ("007", "2.50")]),
    "empty is null, quoted empty is not": (b'a,b\n,""\n1,\n', [(None, ""), ("1", None)]),
    "line feeds and delimiters in quotes": (b'a,b\n1,"x,\ny"\n2,"say ""hi"""\n', [("1", "x,\ny"), ("2", 'say "hi"')]),
    "CRLF and no end of line at the end": (b"a,b\r\n1,2\r\n3,4", [("1", "2"), ("3", "4")]),
    "byte order mark": (b"\xef\xbb\xbfa,b\n1,2\n", [("1", "2")]),
    "blank lines and empty rows": (b"\na,b\n1,2\n\n,\n\r\n3,4\n\n\n", [("1", "2"), ("3", "4")]),
    "one column": (b"a\nx\ny\n", [("x",), ("y",)]),
    "semicolon, decimal comma": (b"a;b\n1,5;x\n2,5;y\n", [("1,5", "x"), ("2,5", "y")]),
    "tab": (b"a\tb\n1\t2\n", [("1", "2")]),
    "pipe": (b"a|b\n1|2,3\n", [("1", "2,3")]),
    "delimiter within quoted header": (b'"a;x";b\n1;2\n', [("1", "2")]),
    "NaN and infinities are text": (b"a,b\nNaN,inf\n", [("NaN", "inf")]),
}


@pytest.mark.parametrize("name", GOOD)
def test_reads(workplace, name):
    content, rows = GOOD[name]
    workplace.write({"a.csv": content})
    manifest = workplace.collect("a.csv")
    assert [tuple(row.values()) for row in workplace.rows(manifest)] == rows
    assert manifest.rows == manifest.sources[0].rows == len(rows)
    assert set(manifest.columns.values()) == {"String"}
    assert manifest.sources[0].bytes == len(content)


BAD = {
    "empty file": (b"", "a.csv", "empty"),
    "only blank lines": (b"\n\n", "a.csv", "empty"),
    "header only": (b"a,b\n", "a.csv", "no row"),
    "short row": (b"a,b\n1,2\n3\n4,5\n", "line 3", "1 field where the header has 2"),
    "short row before the end": (b"a,b\n1,2\n3", "line 3", "1 field where the header has 2"),
    "short row after quoted line feed": (b'a,b\n1,"2\n3"\n4\n', "line 4", "1 field where"),
    "long row": (b"a,b\n1,2\n3,4,5\n", "line 3", "3 fields where the header has 2"),
    "trailing delimiter": (b"a,b\n1,2,\n", "line 2", "3 fields"),
    "short and long rows that make up for each other": (b"a,b,c\n1,2\n1,2,3,4\n", "line 2", "2 fields"),
    "a comma in the values of one column": (b"text\nhello, world\n", "line 2", "2 fields"),
    "not UTF-8": (b"a,b\n1,2\n3,caf\xe9\n", "line 3", "0xe9 at position 6 is not UTF-8"),
    "duplicate names": (b"a,b,a\n1,2,3\n", "line 1", "'a' more than once"),
    "NUL bytes": (b"a,b\n1,2\n" + b"1,2\n" * 2000 + b"3,x\0y\n", "line 2003", "NUL"),
    "UTF-16 unsaid": ("a,b\n1,2\n".encode("utf-16"), "a.csv", "NUL"),
    "open quote": (b'a,b\n1,2\n3,"x\n4,5\n', "line 3", "never closed"),
    "text after a quote": (b'a,b\n1,2\n3,"x"y\n', "line 3", "malformed"),
    "old Mac line ends": (b"a,b\r1,2\r", "a.csv", "carriage returns"),
}


@pytest.mark.parametrize("name", BAD)
def test_refuses(workplace, name):
    content, place, message = BAD[name]
    workplace.write({"a.csv": content})
    error = workplace.refusal("a.csv")
    assert error.where.endswith(place)
    assert "a.csv" in error.where
    assert message in error.message


def test_not_utf8_names_the_option_that_cures_it(workplace):
    workplace.write({"a.csv": b"a,b\n1,caf\xe9\n"})
    assert "csv.encoding: latin-1" in workplace.refusal("a.csv").cure
    manifest = workplace.collect("a.csv", csv=CsvOptions(encoding="latin-1"))
    assert workplace.rows(manifest) == [{"a": "1", "b": "café"}]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "latin-1", "cp1252"])
def test_reads_encodings(workplace, encoding):
    workplace.write({"a.csv": "a,b\n1,é\n2,ü\n".encode(encoding)})
    manifest = workplace.collect("a.csv", csv=CsvOptions(encoding=encoding))
    assert [row["b"] for row in workplace.rows(manifest)] == ["é", "ü"]


def test_truncated_utf16_names_the_line(workplace):
    workplace.write({"a.csv": "a,b\n1,é\n2,ü\n".encode("utf-16")[:-1]})
    error = workplace.refusal("a.csv", csv=CsvOptions(encoding="utf-16"))
    assert error.reason is Reason.DATA_UNREADABLE
    assert error.where.endswith("line 3")


@pytest.mark.parametrize("encoding", ["utf-99", "rot13", "base64"])
def test_refuses_what_is_no_text_encoding(workplace, encoding):
    workplace.write({"a.csv": "a,b\n1,2\n"})
    assert workplace.refusal("a.csv", csv=CsvOptions(encoding=encoding)).reason is Reason.INVALID_CONFIG


def test_wrong_delimiter_says_the_right_one(workplace):
    workplace.write({"a.csv": "a;b\n1;2\n"})
    error = workplace.refusal("a.csv", csv=CsvOptions(delimiter=","))
    assert error.where.endswith("line 1")
    assert error.cure == "set csv.delimiter to ';'"


@pytest.mark.parametrize("options", [{"delimiter": ";;"}, {"delimiter": "é"}, {"quote": "ab"}, {"delimiter": "\n"}])
def test_refuses_marks_of_several_bytes(workplace, options):
    workplace.write({"a.csv": "a;b\n1;2\n"})
    assert workplace.refusal("a.csv", csv=CsvOptions(**options)).reason is Reason.INVALID_CONFIG


def test_without_header(workplace):
    workplace.write({"a.csv": "1,2\n3,4\n"})
    manifest = workplace.collect("a.csv", csv=CsvOptions(header=False))
    assert workplace.rows(manifest) == [{"column_0": "1", "column_1": "2"}, {"column_0": "3", "column_1": "4"}]
    workplace.write({"b.csv": "1,2\n3\n"})
    assert "first line has 2" in _second(workplace, "b.csv").message


def _second(workplace, uri):
    workplace.out = workplace.out.parent.parent / "second" / "raw"
    return workplace.refusal(uri, csv=CsvOptions(header=False))


def test_other_quote_and_none(workplace):
    workplace.write({"a.csv": "a,b\n1,'x,y'\n", "b.csv": 'a,b\n1,5" pipe\n'})
    assert workplace.rows(workplace.collect("a.csv", csv=CsvOptions(quote="'")))[0]["b"] == "x,y"
    workplace.out = workplace.out.with_name("again")
    assert workplace.rows(workplace.collect("b.csv", csv=CsvOptions(quote="")))[0]["b"] == '5" pipe'


def test_nameless_column_gets_a_name(workplace):
    workplace.write({"a.csv": ",b\n0,x\n"})
    assert workplace.collect("a.csv").columns == {"column_0": "String", "b": "String"}


def test_gzip(workplace):
    packed = gzip.compress(b"a\tb\n" + b"1\t2\n" * 1000)
    workplace.write({"a.tsv.gz": packed, "cut.csv.gz": packed[:-10], "other.tsv": b"a\tb\n" + b"1\t2\n" * 1000})
    manifest = workplace.collect("a.tsv.gz")
    assert manifest.rows == 1000
    workplace.out = workplace.out.parent.parent / "cut" / "raw"
    assert "gzip" in workplace.refusal("cut.csv.gz").message


def test_many_chunks_are_checked(workplace):
    """The survey works on chunks of a megabyte; records, quotes and line feeds fall across their borders."""
    line = b'%d,"some text, with a comma\nand a line feed",3\n'
    body = b"".join(line % number for number in range(60_000))
    workplace.write({"a.csv": b"id,text,n\n" + body, "b.csv": b"id,text,n\n" + body + b"1,2\n" + body})
    assert workplace.collect("a.csv").rows == 60_000
    workplace.out = workplace.out.parent.parent / "second" / "raw"
    error = workplace.refusal("b.csv")
    assert error.where.endswith("line 120002")


def test_a_short_row_is_found_among_files(workplace):
    workplace.write({"x/1.csv": "a,b\n1,2\n", "x/2.csv": "a,b\n1,2\n3\n", "x/3.csv": "a,b\n1,2\n"})
    assert workplace.refusal("x").where.endswith("2.csv, line 3")


def test_a_long_row_is_found_among_files(workplace):
    workplace.write({"x/1.csv": "a,b\n1,2\n", "x/2.csv": "a,b\n1,2\n3,4,5\n"})
    assert workplace.refusal("x").where.endswith("2.csv, line 3")


def test_max_rows_does_not_hide_a_short_row(workplace):
    workplace.write({"a.csv": "a,b,c\n1,2\n" + "1,2,3\n" * 10 + "1,2,3,4\n"})
    assert workplace.refusal("a.csv", max_rows=5).where.endswith("line 2")
