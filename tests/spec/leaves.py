"""The leaves of the CRD's spec, with values to give them, found by walking the schema that the API server uses."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any, NamedTuple

from runwright_api.crd import openapi_schema

ITEM = "[]"
VALUE = "{}"
KEY = "Team"
"""The key that a value of a mapping is given: good as a label and as a header."""

Schema = Mapping[str, Any]
Path = tuple[str, ...]

_INTEGERS = (2, 4, 1, 3, 8, 16, 64, 300, 512, 0)
_NUMBERS = (0.5, 0.75, 0.25, 0.9, 1.0, 2.0, 0.0)
# One text of each kind is good for a pattern, the first that matches is taken.
_TEXTS = (
    ("island=a", "island=b"),
    ("https://data.example.com/a", "https://data.example.com/b"),
    ("s3://bucket/a", "s3://bucket/b"),
    ("gs://bucket/a", "gs://bucket/b"),
    ("az://container/a", "az://container/b"),
    ("kafka-1.example.com:9092", "kafka-2.example.com:9092"),
    ("2026-01-31T00:00:00Z", "2026-02-28T12:30:00+01:00"),
    ("15m", "2h"),
    ("@daily", "0 3 * * 1"),
    (";", "|"),
    ("alpha", "beta"),
    ("Alpha", "Beta"),
    ("500m", "2"),
    ("2", "4"),
)


class Leaf(NamedTuple):
    """A field that holds no other fields. In its path `[]` is an item of a list, `{}` a value of a mapping."""

    path: Path
    schema: Schema

    def __str__(self) -> str:
        return dotted(self.path)

    @property
    def is_text(self) -> bool:
        return self.schema.get("type") == "string" and "enum" not in self.schema

    @property
    def is_free(self) -> bool:
        """Whether its type depends on another field, so that only the operator can judge it."""
        return "type" not in self.schema


def dotted(path: Path) -> str:
    """`spec.data.sources[].name`."""
    return ".".join(("spec", *path)).replace(f".{ITEM}", ITEM).replace(f".{VALUE}", VALUE)


@cache
def spec_schema() -> Schema:
    schema: Schema = openapi_schema()["properties"]["spec"]
    return schema


def leaves() -> list[Leaf]:
    """All of them, in the order of the schema."""
    return [Leaf(path, schema) for path, schema in nodes() if not _inner(schema)]


def nodes() -> Iterator[tuple[Path, Schema]]:
    """Every place of the spec with its schema, parents first."""
    yield from _walk(spec_schema(), ())


def _walk(schema: Schema, path: Path) -> Iterator[tuple[Path, Schema]]:
    yield path, schema
    for part, inner in _inner(schema):
        yield from _walk(inner, (*path, part))


def _inner(schema: Schema) -> list[tuple[str, Schema]]:
    if "properties" in schema:
        return list(schema["properties"].items())
    if schema.get("type") == "object":
        return [(VALUE, schema["additionalProperties"])]
    return [(ITEM, schema["items"])] if schema.get("type") == "array" else []


def candidates(schema: Schema) -> list[Any]:
    """Values that the schema alone allows, different ones."""
    if "enum" in schema:
        return list(schema["enum"])
    match schema.get("type"):
        case "boolean":
            return [True, False]
        case "integer":
            return [number for number in _INTEGERS if _within(number, schema)]
        case "number":
            return [number for number in _NUMBERS if _within(number, schema)]
        case "string":
            fitting = [pair for pair in _TEXTS if all(_fits(text, schema) for text in pair)]
            plain = [pair for pair in fitting if pair[0] == "alpha"] or fitting
            return list(plain[0])
    return ["alpha", 3]


def wrong(schema: Schema) -> Any:
    """A value that the leaf may not have."""
    if schema.get("x-kubernetes-preserve-unknown-fields"):
        return {"a": "mapping"}
    if "enum" in schema:
        return "no-such-word" if schema["type"] == "string" else 10**6
    return {"string": 7, "boolean": "perhaps", "integer": "many", "number": "much"}[schema["type"]]


def minimal(schema: Schema) -> Any:
    """The smallest value of the schema: required fields alone."""
    if "properties" in schema:
        return {name: minimal(schema["properties"][name]) for name in schema.get("required", ())}
    if schema.get("type") == "object":
        return {}
    if schema.get("type") == "array":
        return [minimal(schema["items"])] if schema.get("minItems") else []
    return candidates(schema)[0]


def _within(number: float, schema: Schema) -> bool:
    low, high = schema.get("minimum", -1e18), schema.get("maximum", 1e18)
    above: bool = number > low if schema.get("exclusiveMinimum") else number >= low
    below: bool = number < high if schema.get("exclusiveMaximum") else number <= high
    return above and below


def _fits(text: str, schema: Schema) -> bool:
    long_enough = schema.get("minLength", 0) <= len(text) <= schema.get("maxLength", 10**6)
    return long_enough and re.search(schema.get("pattern", ""), text) is not None
