import gzip
import json

import pytest

from runwright_components.collect import json_tables
from runwright_components.contract.outcome import Reason

LINES = {
    "typed": ('{"a":1,"b":"x"}\n{"a":2,"b":null}\n', {"a": "Int64", "b": "String"}, [(1, "x"), (2, None)]),
    "int and float": ('{"a":1}\n{"a":1.5}\n', {"a": "Float64"}, [(1.0,), (1.5,)]),
    "number and string": ('{"a":1}\n{"a":"x"}\n', {"a": "String"}, [("1",), ("x",)]),
    "number and boolean": ('{"a":1}\n{"a":true}\n', {"a": "String"}, [("1",), ("true",)]),
    "scalar and list": ('{"a":1}\n{"a":[1, 2]}\n', {"a": "String"}, [("1",), ("[1, 2]",)]),
    "beyond 64 bits": (
        '{"a":123456789012345678901234567890}\n',
        {"a": "String"},
        [("123456789012345678901234567890",)],
    ),
    "no value at all": ('{"a":null,"b":1}\n', {"a": "String", "b": "Int64"}, [(None, 1)]),
    "fields come and go": ('{"a":1}\n{"b":2}\n', {"a": "Int64", "b": "Int64"}, [(1, None), (None, 2)]),
    "blank lines": ('\n{"a":1}\n\n{"a":2}\n\n', {"a": "Int64"}, [(1,), (2,)]),
    "byte order mark": ('\ufeff{"a":1}\n', {"a": "Int64"}, [(1,)]),
}


@pytest.mark.parametrize("name", LINES)
@pytest.mark.parametrize("form", ["a.jsonl", "a.json", "array.json"])
def test_reads(workplace, name, form):
    text, columns, rows = LINES[name]
    if form == "array.json":
        objects = [line for line in text.lstrip("\ufeff").splitlines() if line]
        text = "[\n  " + ",\n  ".join(objects) + "\n]\n"
    workplace.write({form: text})
    manifest = workplace.collect(form)
    assert manifest.columns == columns
    assert [tuple(row.values()) for row in workplace.rows(manifest)] == rows


BAD = {
    "syntax in a line": ("a.jsonl", '{"a":1}\n{"a":tru}\n{"a":3}\n', "line 2", "not JSON"),
    "two objects in a line": ("a.jsonl", '{"a":1} {"a":2}\n', "line 1", "not JSON"),
    "cut off": ("a.jsonl", '{"a":1}\n{"a":', "line 2", "not JSON"),
    "NaN": ("a.jsonl", '{"a":1}\n{"a":NaN}\n', "line 2", "NaN"),
    "an array in a line": ("a.jsonl", '{"a":1}\n[2]\n', "line 2", "expected an object"),
    "one object over several lines": ("a.json", '{\n"a": 1\n}\n', "line 1", "not JSON"),
    "empty": ("a.json", " \n", "a.json", "empty"),
    "empty array": ("a.json", "[ ]\n", "a.json", "empty"),
    "syntax in an array": ("a.json", '[{"a":1},\n{"a":2},\n{"a" 3}]', "line 3", "not JSON"),
    "missing comma": ("a.json", '[{"a":1}\n{"a":2}]', "line 2", "expected ',' or ']'"),
    "array cut off": ("a.json", '[{"a":1},\n{"a":2}', "line 2", "the end of the file"),
    "array of numbers": ("a.json", "[1, 2]", "line 1", "expected an object"),
    "text after the array": ("a.json", '[{"a":1}]\nx', "line 2", "more text"),
    "no fields": ("a.jsonl", "{}\n{}\n", "a.jsonl", "no object has a field"),
    "deep nesting": ("a.jsonl", '{"a":' + "[" * 100_000 + "\n", "line 1", "not JSON"),
}


@pytest.mark.parametrize("name", BAD)
def test_refuses(workplace, name):
    file, text, place, message = BAD[name]
    workplace.write({file: text})
    error = workplace.refusal(file)
    assert error.where.endswith(place)
    assert message in error.message


def test_not_utf8(workplace):
    workplace.write({"a.jsonl": b'{"a":"x"}\n{"a":"caf\xe9"}\n', "b.json": b'[{"a":"x"},\n{"a":"caf\xe9"}]\n'})
    for name in ("a.jsonl", "b.json"):
        error = workplace.refusal(name)
        assert error.reason is Reason.DATA_UNREADABLE
        assert "UTF-8" in error.message


def test_objects_across_the_window(workplace, monkeypatch):
    """The array is cut in a window of bounded size; objects, strings and escapes fall across its border."""
    monkeypatch.setattr(json_tables, "_READ", 7)
    rows = [{"text": 'brackets ]}, "quotes" \\ and\nfeeds' * (number % 3), "n": number} for number in range(50)]
    workplace.write({"a.json": json.dumps(rows, indent=1)})
    assert workplace.rows(workplace.collect("a.json")) == rows


def test_syntax_error_beyond_the_window_names_its_line(workplace, monkeypatch):
    monkeypatch.setattr(json_tables, "_READ", 7)
    workplace.write({"a.json": "[" + '{"a": 1},\n' * 30 + '{"a": x}]'})
    assert workplace.refusal("a.json").where.endswith("line 31")


def test_gzip(workplace):
    workplace.write({"a.jsonl.gz": gzip.compress(b'{"a":1}\n{"a":2}\n')})
    assert workplace.rows(workplace.collect("a.jsonl.gz")) == [{"a": 1}, {"a": 2}]
