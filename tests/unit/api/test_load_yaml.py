"""Reading YAML: its traps, its attacks, and files that are none."""

from __future__ import annotations

import json
import os
import re
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runwright_api import Problem, SpecError, TrainingRun, load, load_file
from runwright_api.yaml_tree import DEEPEST, LARGEST_TEXT, MOST_NODES


def only(text: str) -> Problem:
    with pytest.raises(SpecError) as caught:
        load(text, file="run.yaml")
    assert len(caught.value.problems) == 1
    return caught.value.problems[0]


def test_the_smallest_file(smallest_yaml: str, tmp_path: Path) -> None:
    assert len(smallest_yaml.splitlines()) <= 12
    file = tmp_path / "run.yaml"
    file.write_text(smallest_yaml)
    run = load_file(file)
    assert run.name == "penguins"
    assert run.spec.train.epochs == 50
    assert run.spec.data.sources[0].name == "source-0"


def test_json_is_yaml() -> None:
    text = (
        '{"apiVersion": "runwright.dev/v1alpha1", "kind": "TrainingRun", "metadata": {"name": "a"}, "spec": {"data":'
        ' {"sources": [{"path": "x.csv"}]}, "prepare": {"target": "y"}, "train": {"task": "tabular-regression"}}}'
    )
    assert load(text).spec.prepare.split.strategy == "random"


@pytest.mark.parametrize(
    ("written", "read"),
    [("1e-3", 0.001), ("1", 1.0), (".5", 0.5), ("1_0", 10.0), ("0x10", 16.0), ("5.", 5.0), ("1E-2", 0.01), ("+2", 2.0)],
)
def test_numbers_as_kubectl_reads_them(smallest_yaml: str, written: str, read: float) -> None:
    assert load(smallest_yaml + f"    learningRate: {written}\n").spec.train.learning_rate == read


@pytest.mark.parametrize("word", ["2020-01-01", "12:30:00", "1.2.3", "nine", "-", "a: b", "é 日本 😀"])
def test_text_stays_text(smallest_yaml: str, word: str) -> None:
    written = f"'{word}'" if ": " in word or word == "-" else word
    assert load(smallest_yaml.replace("species", written)).spec.prepare.target == word


def test_line_ends_and_byte_order_mark(smallest_yaml: str, tmp_path: Path) -> None:
    file = tmp_path / "run.yaml"
    file.write_bytes(b"\xef\xbb\xbf" + smallest_yaml.replace("\n", "\r\n").encode())
    assert load_file(file).name == "penguins"


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("a: 1\nb: 2\na: 3\n", 3, "a is given twice; first on line 1"),
        ("a: {b: 1, b: 2}\n", 1, "b is given twice"),
        ("a: &x 1\nb: *x\n", 1, "anchors (&) and aliases (*)"),
        ("a: *x\n", 1, "anchors (&) and aliases (*)"),
        ("<<: {a: 1}\n", 1, "merge keys"),
        ("a: !!python/object/apply:os.system [ls]\n", 1, "tags (!)"),
        ("a: !custom 1\n", 1, "tags (!)"),
        ("? [a, b]\n: 1\n", 1, "a key must be plain text"),
        ("a: 1\n---\nb: 2\n", 2, "a second document"),
        ("a:\n\tb: 1\n", 2, "a tab, where YAML wants blanks"),
        ("a: b: c\n", 1, "a colon where none can be"),
        ("a: 'open\n", 1, "a quote is not closed"),
        ("a: [1, 2\n", 1, "not closed"),
        ("a: {b: 1\n", 1, "not closed"),
        ("a: 1\n  b: 2\n", 2, "colon where none can be"),
        ("a:\n  b: 1\n c: 2\n", 3, "indentation"),
        ("a:\n- 1\n b: 2\n", 3, "a colon where none"),
        ("a: 1\nb\nc: 2\n", 2, "a key without a colon"),
        ("a: @x\n", 1, "cannot start a value"),
        ('a: "\\q"\n', 1, "unknown escape"),
        ("a: \x07\n", 1, "the character U+0007 is not allowed"),
        ("a: \x00\n", 1, "the character U+0000 is not allowed"),
        ("a: \ud800\n", 1, "the character U+D800 is not allowed"),
        ("a: 1\nb: \x85c: \x0b\n", 3, "the character U+000B is not allowed"),
        ("%YAML 9.9\n---\na: 1\n", 1, ""),
    ],
)
def test_yaml_that_is_refused(text: str, line: int, message: str) -> None:
    problem = only(text)
    assert message in problem.message
    assert problem.line == line
    assert problem.cure


def test_alias_bomb() -> None:
    bomb = "a: &a [x, x]\n" + "".join(
        f"{chr(98 + n)}: &{chr(98 + n)} [{', '.join(['*' + chr(97 + n)] * 9)}]\n" for n in range(20)
    )
    assert "aliases" in only(bomb).message


@pytest.mark.parametrize("opening", ["[", "{a: ", "- ", "a:\n"])
def test_depth_is_bounded(opening: str) -> None:
    text = "".join(" " * depth + opening for depth in range(1000)) if opening == "a:\n" else opening * 5000
    assert f"deeper than {DEEPEST}" in only(text).message


def test_count_is_bounded() -> None:
    assert str(MOST_NODES) in only("a: [" + "1," * (MOST_NODES + 1) + "]").message


def test_size_is_bounded(tmp_path: Path) -> None:
    assert str(LARGEST_TEXT) in only("#" * (LARGEST_TEXT + 1)).message
    file = tmp_path / "large.yaml"
    for filler in ("#", "日"):
        file.write_text(filler * (LARGEST_TEXT + 1))
        with pytest.raises(SpecError, match="bytes"):
            load_file(file)


def test_hostile_texts_are_answered_at_once() -> None:
    texts = [
        "{" * 700_000,
        "a: " + "x" * 1_500_000,
        "1" * 1_500_000,
        "a: " + "9" * 100_000,
        "- " * 700_000,
        "?" * 10**6,
    ]
    start = time.monotonic()
    for text in texts:
        with pytest.raises(SpecError) as caught:
            load(text)
        assert len(caught.value.render()) < 2000
    assert time.monotonic() - start < 20


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "run.yaml").write_text("a: 1")
    with pytest.raises(SpecError, match=r"no such file[^$]*did you mean .*run\.yaml\?"):
        load_file(tmp_path / "rum.yaml")
    with pytest.raises(SpecError, match="no such file"):
        load_file(tmp_path / "no" / "run.yaml")
    with pytest.raises(SpecError, match="this is a folder"):
        load_file(tmp_path)
    with pytest.raises(SpecError, match="not the name of a file"):
        load_file("a\0b")


def test_a_file_without_permission(tmp_path: Path) -> None:
    file = tmp_path / "run.yaml"
    file.write_text("a: 1")
    file.chmod(0)
    user = os.geteuid()
    if user == 0:  # root may read everything
        os.seteuid(65534)
    try:
        with pytest.raises(SpecError, match="no permission"):
            load_file(file)
    finally:
        os.seteuid(user)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a: 1\nb: caf\xe9\n", "not UTF-8: byte 0xe9"),
        ("a: 1".encode("utf-16"), "UTF-16"),
        (b"\x89PNG\r\n", "byte 0x89"),
    ],
)
def test_another_encoding(tmp_path: Path, content: bytes, message: str) -> None:
    file = tmp_path / "run.yaml"
    file.write_bytes(content)
    with pytest.raises(SpecError) as caught:
        load_file(file)
    problem = caught.value.problems[0]
    assert message in problem.message
    assert (
        problem.line == content[: content.find(b"\xe9")].count(b"\n") + 1 if b"\xe9" in content else problem.line == 1
    )


def problems(text: str) -> tuple[Problem, ...]:
    try:
        assert isinstance(load(text), TrainingRun)
    except SpecError as error:
        return error.problems or (Problem("refused without a reason", line=-1),)
    return ()


def answered(text: str) -> None:
    """Loading ends with a run, or with problems that can be shown; any other exception fails the test."""
    lines = len(re.split("\r\n|[\r\n\x85\u2028\u2029]", text))
    for problem in problems(text):
        assert problem.render()
        assert 0 <= problem.line <= lines


@given(st.text(max_size=300))
@settings(max_examples=300, deadline=None)
def test_any_text(text: str) -> None:
    answered(text)


@given(st.text(alphabet="abc:- \n\t[]{}'\"#&*!|>%@`,?0123456789.~<=\\", max_size=60))
@settings(max_examples=500, deadline=None)
def test_any_yaml_like_text(text: str) -> None:
    answered(text)


@given(st.data())
@settings(max_examples=500, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_mutation_of_a_good_file(smallest_yaml: str, data: st.DataObject) -> None:
    text = (
        smallest_yaml
        + "    model: {hidden: [8, 8], dropout: 0.1}\n  evaluate: {gate: [{metric: accuracy, min: 0.9}]}\n"
    )
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(text)))
        length = data.draw(st.integers(0, 8))
        put = data.draw(
            st.one_of(st.text(max_size=5), st.sampled_from(["\n", ": ", "- ", "null", "[]", "{}", "1e3", "no"]))
        )
        text = text[:at] + put + text[at + length :]
    answered(text)


_values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=5), inner, max_size=3)),
    max_leaves=5,
)


@given(
    part=st.sampled_from(["data", "prepare", "train", "evaluate", "package", "register", "deploy", "tune"]),
    value=_values,
)
@settings(max_examples=300, deadline=None)
def test_any_value_of_a_part(part: str, value: object) -> None:
    spec = {"data": {"sources": [{"path": "x"}]}, "prepare": {"target": "y"}, "train": {"task": "tabular-regression"}}
    run = {
        "apiVersion": "runwright.dev/v1alpha1",
        "kind": "TrainingRun",
        "metadata": {"name": "a"},
        "spec": spec | {part: value},
    }
    answered(json.dumps(run, ensure_ascii=False))
