"""The table of the chart's values in docs/install.md, made of values.yaml and its comments."""

from __future__ import annotations

import json
from collections.abc import Iterator

import yaml

BEGIN, END = "<!-- values: drawn by `make generate` -->", "<!-- end of values -->"


def with_table(page: str, values: str) -> str:
    """The page with the table between its two marks drawn again. Raises ValueError when a mark is missing."""
    before, mark, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not mark or not end:
        raise ValueError("docs/install.md lacks the marks of the values' table")
    rows = [f"| `{path}` | {_cell(default)} | {text} |" for path, default, text in leaves(values)]
    lines = ["| value | default | meaning |", "|---|---|---|", *rows]
    return before + BEGIN + "\n" + "\n".join(lines) + "\n" + END + after


def leaves(values: str) -> Iterator[tuple[str, object, str]]:
    """(path, default, comment) of every value that is not a group of others."""
    root = yaml.compose(values)
    assert isinstance(root, yaml.MappingNode)
    yield from _walk(root, values.splitlines(), "")


def _walk(node: yaml.MappingNode, lines: list[str], path: str) -> Iterator[tuple[str, object, str]]:
    for key, value in node.value:
        here = f"{path}{key.value}"
        if isinstance(value, yaml.MappingNode) and value.value and not value.flow_style:
            yield from _walk(value, lines, f"{here}.")
        else:
            yield here, yaml.safe_load(yaml.serialize(value)), _comment(lines, key.start_mark.line)


def _comment(lines: list[str], line: int) -> str:
    """The comment right above a line, as one line."""
    found: list[str] = []
    while line > 0 and lines[line - 1].strip().startswith("#"):
        line -= 1
        found.insert(0, lines[line].strip().removeprefix("#").strip())
    return " ".join(found)


def _cell(default: object) -> str:
    return f"`{json.dumps(default)}`" if default != "" else "empty"
