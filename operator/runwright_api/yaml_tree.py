"""YAML text -> plain values, with the place of each, as the Kubernetes API would understand them.

Built on the parser's events rather than its nodes: limits are kept while reading, so that neither nesting nor aliases
can exhaust memory or the stack, and a scalar means what kubectl makes of it (1e-3 is a number, a date is text), which
PyYAML's resolver would not do.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml

from runwright_api.problems import Problem, dotted

LARGEST_TEXT = 1_572_864
"""Bytes. etcd takes no larger object."""
DEEPEST = 32
MOST_NODES = 50_000

Path = tuple[str | int, ...]

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_LINE_BREAK = re.compile("\r\n|[\r\n\x85\u2028\u2029]")
_UNPRINTABLE = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass(frozen=True)
class Place:
    """Where a value stands, and its text as written. Lines and columns count from 1."""

    line: int
    column: int
    key_line: int
    key_column: int
    text: str | None = None
    """The scalar's text when it has no quotes, else None."""


@dataclass
class Tree:
    """The value of a document, the place of everything in it, and the faults found on the way."""

    file: str
    lines: list[str]
    value: Any = None
    places: dict[Path, Place] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def excerpt(self, line: int) -> str:
        return self.lines[line - 1] if 0 < line <= len(self.lines) else ""

    def problem(self, message: str, line: int, column: int, *, path: Path = (), cure: str = "") -> Problem:
        return Problem(message, dotted(path), cure, self.file, line, column, self.excerpt(line))


class _FatalError(Exception):
    """Reading cannot go on after this problem."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.message)
        self.problem = problem


def read(text: str, file: str) -> Tree:
    """Read one YAML document. Never raises; faults are in `Tree.problems`, and `value` is what could be read."""
    tree = Tree(file, _LINE_BREAK.split(text))
    try:
        _check_text(tree, text)
        tree.value = _Builder(tree).build(text)
    except _FatalError as fatal:
        tree.problems.append(fatal.problem)
    return tree


def _check_text(tree: Tree, text: str) -> None:
    size = len(text.encode("utf-8", "surrogatepass"))
    if size > LARGEST_TEXT:
        problem = tree.problem(
            f"the text has {size} bytes, more than {LARGEST_TEXT}",
            0,
            0,
            cure="a TrainingRun is a page, not a data file",
        )
        raise _FatalError(problem)
    found = _UNPRINTABLE.search(text, 1 if text.startswith("\ufeff") else 0)
    if found:
        before = _LINE_BREAK.split(text[: found.start()])
        raise _FatalError(
            tree.problem(
                f"the character U+{ord(found.group()):04X} is not allowed in YAML",
                len(before),
                len(before[-1]) + 1,
                cure="remove it; the file must be plain text in UTF-8",
            )
        )


@dataclass
class _Frame:
    """A mapping or a list that is being read."""

    content: Any
    path: Path
    key: str | None = None
    key_mark: Any = None


class _Builder:
    """Builds values from events on a stack of its own."""

    def __init__(self, tree: Tree) -> None:
        self.tree = tree
        self.stack: list[_Frame] = []
        self.nodes = 0
        self.root: Any = None

    def build(self, text: str) -> Any:
        documents = 0
        for event in self._events(text):
            if isinstance(event, yaml.DocumentStartEvent):
                documents += 1
                if documents > 1:
                    self._fail(
                        "a second document starts here",
                        event.start_mark,
                        cure="keep one TrainingRun in each file; remove the line with ---",
                    )
            elif isinstance(event, yaml.NodeEvent):
                self._node(event)
            elif isinstance(event, yaml.MappingEndEvent | yaml.SequenceEndEvent):
                self.stack.pop()
        return self.root

    def _events(self, text: str) -> Iterator[Any]:
        try:
            yield from yaml.parse(text, Loader=_LOADER)
        except yaml.MarkedYAMLError as error:
            problem, mark = error.problem or "", error.problem_mark
            fault = next(fault for fault in _FAULTS if fault.part in problem)
            if mark and "\t" in self.tree.excerpt(mark.line + 1)[: mark.column + 1]:
                fault = _TAB
            mark = error.context_mark if fault.at_start and error.context_mark else mark
            self._fail(fault.message, mark, cure=fault.cure)
        except yaml.YAMLError as error:
            self._fail(f"this is not YAML: {error}".splitlines()[0], None, cure="the file must be plain text in UTF-8")

    def _node(self, event: Any) -> None:
        self.nodes += 1
        mark = event.start_mark
        if self.nodes > MOST_NODES:
            self._fail(f"more than {MOST_NODES} values", mark, cure="a TrainingRun is a page, not a data file")
        if isinstance(event, yaml.AliasEvent) or event.anchor is not None:
            self._fail(
                "anchors (&) and aliases (*) are not allowed",
                mark,
                cure="write the value out; or put quotes around text that starts with & or *",
            )
        if event.tag is not None:
            self._report(
                "tags (!) are not allowed", mark, cure="remove it, or put quotes around text that starts with !"
            )
        parent = self.stack[-1] if self.stack else None
        if parent is not None and isinstance(parent.content, dict) and parent.key is None:
            self._key(parent, event)
            return
        path, key_mark = self._slot(parent, mark)
        if isinstance(event, yaml.ScalarEvent):
            plain = not event.style
            value: Any = self._scalar(event.value, path, mark) if plain else event.value
            self._put(parent, path, value, mark, key_mark, event.value if plain else None)
            return
        value = {} if isinstance(event, yaml.MappingStartEvent) else []
        self._put(parent, path, value, mark, key_mark, None)
        self.stack.append(_Frame(value, path))
        if len(self.stack) > DEEPEST:
            self._fail(f"nested deeper than {DEEPEST} levels", mark, cure="no field of a TrainingRun is that deep")

    def _key(self, frame: _Frame, event: Any) -> None:
        if not isinstance(event, yaml.ScalarEvent):
            self._fail(
                "a key must be plain text", event.start_mark, cure="put quotes around text that starts with [ or {"
            )
        if event.value == "<<" and not event.style:
            self._fail("merge keys (<<) are not allowed", event.start_mark, cure="write the fields out")
        key = event.value
        if key in frame.content:
            first = self.tree.places[(*frame.path, key)]
            self._report(
                f"{key} is given twice; first on line {first.key_line}",
                event.start_mark,
                path=(*frame.path, key),
                cure="keep one of them",
            )
        frame.key, frame.key_mark = key, event.start_mark

    def _slot(self, parent: _Frame | None, mark: Any) -> tuple[Path, Any]:
        if parent is None:
            return (), mark
        if isinstance(parent.content, list):
            return (*parent.path, len(parent.content)), mark
        return (*parent.path, str(parent.key)), parent.key_mark

    def _put(self, parent: _Frame | None, path: Path, value: Any, mark: Any, key_mark: Any, text: str | None) -> None:
        self.tree.places[path] = Place(mark.line + 1, mark.column + 1, key_mark.line + 1, key_mark.column + 1, text)
        if parent is None:
            self.root = value
        elif isinstance(parent.content, list):
            parent.content.append(value)
        else:
            parent.content[parent.key] = value
            parent.key = None

    def _scalar(self, text: str, path: Path, mark: Any) -> Any:
        try:
            return resolve(text)
        except TrapError as trap:
            self._report(f"{text[:40]} {trap.message}", mark, path=path, cure=trap.cure)
            return text

    def _report(self, message: str, mark: Any, *, path: Path = (), cure: str = "") -> None:
        line, column = (mark.line + 1, mark.column + 1) if mark else (0, 0)
        if line > len(self.tree.lines):  # the parser is behind the last line
            line, column = len(self.tree.lines), len(self.tree.lines[-1]) + 1
        self.tree.problems.append(self.tree.problem(message, line, column, path=path, cure=cure))

    def _fail(self, message: str, mark: Any, *, cure: str) -> None:
        self._report(message, mark, cure=cure)
        raise _FatalError(self.tree.problems.pop())


class TrapError(Exception):
    """A scalar that YAML reads otherwise than people do."""

    def __init__(self, message: str, cure: str) -> None:
        super().__init__(message)
        self.message = message
        self.cure = cure


_NULLS = {"", "~", "null", "Null", "NULL"}
_TRUE = {"true", "yes", "on", "y"}
_FALSE = {"false", "no", "off", "n"}
_INTEGER = re.compile(r"[-+]?(0|[1-9][0-9_]*)")
_HEXADECIMAL = re.compile(r"[-+]?0x[0-9a-fA-F_]+")
_OCTAL = re.compile(r"[-+]?0(o?[0-7_]+|b[01_]+|[0-9]+)")
_NUMBER = re.compile(r"[-+]?(\.[0-9]+|[0-9][0-9_]*(\.[0-9_]*)?)([eE][-+]?[0-9]+)?")
_NOT_FINITE = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_LONGEST_NUMBER = 64


def resolve(text: str) -> bool | int | float | str | None:
    """What an unquoted scalar means to Kubernetes. Raises `TrapError` where people mostly mean something else."""
    if text in _NULLS:
        return None
    word = text.lower()
    if word in _TRUE | _FALSE and text in (word, word.capitalize(), word.upper()):
        return word in _TRUE
    if _NOT_FINITE.fullmatch(text):
        raise TrapError("is not a number that can be used", "give a finite number")
    if not text[0].isdigit() and text[0] not in "+-.":
        return text
    if len(text) > _LONGEST_NUMBER:
        return text
    if _INTEGER.fullmatch(text):
        return int(text.replace("_", ""))
    if _HEXADECIMAL.fullmatch(text):
        return int(text.replace("_", ""), 16)
    if _OCTAL.fullmatch(text):
        raise TrapError(
            "starts with 0, which YAML reads as an octal or binary number",
            f'put it in quotes if it is text: "{text}"; leave out the leading zeros if it is a number',
        )
    if _NUMBER.fullmatch(text):
        value = float(text.replace("_", ""))
        if not math.isfinite(value):
            raise TrapError("is too large a number", "give a finite number")
        return value
    return text


@dataclass(frozen=True)
class _Fault:
    """One message of the parser, in words for people."""

    part: str
    """What the parser's message holds."""
    message: str
    cure: str
    at_start: bool = False
    """Point at where the broken piece starts, rather than where the parser gave up."""


_INDENTATION = "the indentation does not fit the lines before"
_FAULTS = (
    _Fault(
        "mapping values are not allowed",
        "a colon where none can be",
        "put text with ': ' in quotes; else compare the indentation with the line before",
    ),
    _Fault("expected ':'", "a key without a colon", "write `key: value`, with a blank after the colon", at_start=True),
    _Fault("expected key", _INDENTATION, "give the fields of one part the same indentation"),
    _Fault("expected '-' indicator", _INDENTATION, "start each item of the list with '- ' in one column"),
    _Fault("end of stream", "a quote is not closed", "close it", at_start=True),
    _Fault("expected ',' or ']'", "a list in brackets is not closed", "separate items with commas, end with ]", True),
    _Fault("expected ',' or '}'", "a mapping in braces is not closed", "separate fields with commas, end with }", True),
    _Fault("escape", "an unknown escape in double quotes", "use single quotes, or double each backslash"),
    _Fault("document start", "text after the end of the document", "compare the indentation with the lines before"),
    _Fault("cannot start any token", "this character cannot start a value", "put the value in quotes"),
    _Fault("directive", "a line that starts with %", "remove it"),
    _Fault("version", "a line that starts with %", "remove it"),
    _Fault("", "this is not YAML", "compare it with the lines around it"),
)
_TAB = _Fault("", "a tab, where YAML wants blanks", "indent with blanks")
