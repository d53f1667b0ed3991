"""docs/reference/trainingrun.md, drawn from the CRD's schema, so that the page and the API cannot differ."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from runwright_api.crd import openapi_schema
from runwright_api.unsupported import REFUSALS

_HEAD = """\
# TrainingRun v1alpha1

Every field of the object, drawn from the models by `make generate`; `kubectl explain trainingrun.spec` shows the same
texts. Only fields in **bold** are required. A field marked *later* has its shape already, and is refused with a message
until it does something.
"""


def reference() -> str:
    """The page, in Markdown: a section an object of the spec and the status, a row a field."""
    root = openapi_schema()["properties"]
    parts = [_HEAD]
    for name in ("spec", "status"):
        parts.extend(_sections(name, root[name]))
    return "\n".join(parts)


def _sections(path: str, schema: Mapping[str, Any]) -> Iterator[str]:
    properties = schema.get("properties", {})
    required = set(schema.get("required", ()))
    lines = [f"## `{path}`", "", _text(schema), "", "| field | type | meaning |", "|---|---|---|"]
    for name, field in properties.items():
        shown = f"**{name}**" if name in required else name
        later = " *(later)*" if _is_refused(f"{path}.{name}") else ""
        lines.append(f"| {shown}{later} | {_type(field)} | {_text(field)} |")
    rules = [rule["message"] for rule in schema.get("x-kubernetes-validations", ())]
    if rules:
        lines += ["", "Rules: " + "; ".join(_escape(rule) for rule in rules) + "."]
    yield "\n".join([*lines, ""])
    for name, field in properties.items():
        nested, suffix = _nested(field)
        if nested.get("properties"):
            yield from _sections(f"{path}.{name}{suffix}", nested)


def _nested(field: Mapping[str, Any]) -> tuple[Mapping[str, Any], str]:
    """The object inside a field, through lists and maps, and how its path is written."""
    if field.get("type") == "array":
        inner, suffix = _nested(field["items"])
        return inner, "[]" + suffix
    if isinstance(field.get("additionalProperties"), Mapping):
        inner, suffix = _nested(field["additionalProperties"])
        return inner, ".*" + suffix
    return field, ""


def _type(field: Mapping[str, Any]) -> str:
    if "enum" in field:
        return " \\| ".join(f"`{value}`" for value in field["enum"])
    kind = str(field.get("type", "any"))
    if kind == "array":
        return f"list of {_type(field['items'])}"
    if isinstance(field.get("additionalProperties"), Mapping):
        return f"map of {_type(field['additionalProperties'])}"
    bounds = [
        f"{sign} {field[key]:g}"
        for key, sign in (("minimum", "≥"), ("exclusiveMinimum", ">"), ("maximum", "≤"))
        if isinstance(field.get(key), int | float) and not isinstance(field.get(key), bool)
    ]
    return f"{kind} ({', '.join(bounds)})" if bounds else kind


def _is_refused(path: str) -> bool:
    return any(refusal.path == path and refusal.value is None for refusal in REFUSALS)


def _text(schema: Mapping[str, Any]) -> str:
    return _escape(str(schema.get("description", "")))


def _escape(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def main(arguments: list[str]) -> int:
    """Write the page to the path given."""
    if len(arguments) != 1:
        sys.stderr.write("usage: python -m runwright_api.reference PATH\n")
        return 2
    path = Path(arguments[0])
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(reference(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
