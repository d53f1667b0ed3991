"""pydantic's errors in plain words, with a cure, and a guess at what was meant."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import Any, get_args

from pydantic_core import ErrorDetails

from runwright_api.part import RULE_ERROR, Part, Path
from runwright_api.text import explain as explain_text
from runwright_api.trainingrun import TrainingRun

Fault = tuple[Path, str, str]
"""Path, what is wrong, cure."""


def faults(error: ErrorDetails, written: Callable[[Path], str | None]) -> Iterator[Fault]:
    """What one pydantic error says. `written` gives the text of an unquoted scalar as it stands in the file."""
    kind, context = error["type"], error.get("ctx", {})
    path = tuple(part for part in error["loc"] if part != "[key]")
    if kind == RULE_ERROR:
        for broken in context["broken"]:
            yield (*path, *broken.path), broken.message, broken.cure
    elif kind == "extra_forbidden":
        yield path, *_unknown_field(path)
    elif kind == "missing":
        yield path, f"{path[-1]} is required", f"add `{path[-1]}: ...`"
    elif kind == "too_short" and len(error["input"]) >= context["min_length"]:
        return  # pydantic counts only the items that are valid, and those that are not have their own errors
    else:
        yield path, *_wrong_value(kind, context, error, written(path))


def _wrong_value(kind: str, context: Mapping[str, Any], error: ErrorDetails, text: str | None) -> tuple[str, str]:
    value = error["input"]
    if kind == "literal_error":
        return _not_among(value, _choices(context["expected"]), text)
    if kind == "enum":
        return _not_among(value, _choices(context["expected"]), text)
    if kind == "string_pattern_mismatch":
        what, cure = explain_text(context["pattern"])
        return f"must be {what}, not {_show(value)}", cure
    if kind in _TYPES:
        return _wrong_type(kind, value, text)
    if kind in _BOUNDS:
        template = _BOUNDS[kind]
        return template.format(**context), ""
    return str(error["msg"]), ""


_TYPES = {
    "string_type": "text",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "tuple_type": "a list",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
}
_BOUNDS = {
    "greater_than": "must be greater than {gt}",
    "greater_than_equal": "must be at least {ge}",
    "less_than": "must be less than {lt}",
    "less_than_equal": "must be at most {le}",
    "finite_number": "must be a finite number",
    "string_too_short": "must have at least {min_length} characters",
    "string_too_long": "must have at most {max_length} characters",
    "too_short": "must have at least {min_length} items",
    "too_long": "must have at most {max_length} items",
}


def _wrong_type(kind: str, value: Any, text: str | None) -> tuple[str, str]:
    wanted = _TYPES[kind]
    message = f"must be {wanted}, not {_show(value)}"
    if kind == "string_type" and isinstance(value, bool | int | float):
        shown = str(value).lower() if isinstance(value, bool) else str(value)
        written = shown if text is None else text
        trap = f"{written} without quotes means {shown} in YAML; " if written != shown else ""
        return message, f'{trap}put it in quotes: "{written}"'
    if wanted == "a list" and isinstance(value, str | int | float):
        return message, f"write [{value}], or one line `- {value}` below the field"
    if wanted == "a list" and isinstance(value, Mapping):
        return message, "start each item with '- '"
    if wanted == "a mapping":
        return message, "write its fields below it, indented, or in braces: {field: value}"
    if isinstance(value, str) and wanted in ("a whole number", "a number", "true or false"):
        return message, "remove the quotes" if _reads_as(value, wanted) else ""
    if isinstance(value, float) and value.is_integer():
        return message, f"write {int(value)}"
    return message, ""


def _reads_as(text: str, wanted: str) -> bool:
    if wanted == "true or false":
        return text in ("true", "false")
    return re.fullmatch(r"-?\d{1,18}" if wanted == "a whole number" else r"-?\d{1,18}(\.\d{1,18})?", text) is not None


def _show(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return f'"{value[:60]}..."' if len(value) > 60 else f'"{value}"'
    if isinstance(value, int | float):
        return str(value)[:60]
    if isinstance(value, Mapping):
        return "a mapping"
    return "a list" if isinstance(value, list | tuple) else "null"


def _choices(expected: str) -> list[str]:
    return [quoted or number for quoted, number in re.findall(r"'([^']*)'|(\d+)", expected)]


def _not_among(value: Any, choices: list[str], text: str | None) -> tuple[str, str]:
    shown = _show(value if text is None or isinstance(value, str) else text)
    meant = _closest(str(value), choices)
    cure = f"did you mean {meant}?" if meant else ""
    if len(choices) == 1:
        return f"must be {choices[0]}, not {shown}", cure
    return f"must be one of {', '.join(choices)}, not {shown}", cure


def _closest(word: str, choices: list[str]) -> str | None:
    folded = {_fold(choice): choice for choice in choices}
    found = difflib.get_close_matches(_fold(word)[:100], folded, n=1, cutoff=0.6)
    return folded[found[0]] if found else None


def _fold(word: str) -> str:
    return re.sub("[^a-z0-9]", "", word.lower())


def _unknown_field(path: Path) -> tuple[str, str]:
    name, parent = str(path[-1]), path[:-1]
    model = model_at(parent)
    fields = list(aliases(model)) if model else []
    message = f"unknown field {name[:60]}"
    if name == "namespace":
        return message, "remove it; what a TrainingRun refers to lies in its own namespace"
    meant = _closest(name, fields)
    if meant and _fold(meant) == _fold(name):
        return message, f"did you mean {meant}?"
    elsewhere = _places().get(_fold(name), ())
    if elsewhere:
        near = max(elsewhere, key=lambda place: _common(place, parent))
        return message, f"{near.rpartition('.')[2]} belongs to {near.rpartition('.')[0]}"
    if meant:
        return message, f"did you mean {meant}?"
    shown = ", ".join(fields[:12]) + (", ..." if len(fields) > 12 else "")
    return message, f"the fields here are {shown}" if fields else ""


def _common(place: str, parent: Path) -> int:
    """How many levels a field's place shares with where it was written."""
    count = 0
    for one, other in zip(place.replace("[]", "").split("."), (p for p in parent if isinstance(p, str)), strict=False):
        if one != other:
            break
        count += 1
    return count


def aliases(model: type[Part]) -> dict[str, Any]:
    """The fields of a model by the names that they have in YAML."""
    return {info.alias or name: info for name, info in model.model_fields.items()}


def nested(annotation: Any) -> type[Part] | None:
    """The model inside an annotation: of an optional part, or of a list's items."""
    if isinstance(annotation, type) and issubclass(annotation, Part):
        return annotation
    return next((found for part in get_args(annotation) if (found := nested(part))), None)


def model_at(path: Path) -> type[Part] | None:
    """The model of the part at `path`; None where there is none."""
    model: type[Part] | None = TrainingRun
    for part in path:
        if isinstance(part, int):
            continue
        if model is None or part not in aliases(model):
            return None
        model = nested(aliases(model)[part].annotation)
    return model


@cache
def _places() -> dict[str, tuple[str, ...]]:
    """Where each field of the spec belongs, by its folded name."""
    found: dict[str, tuple[str, ...]] = {}

    def walk(model: type[Part], prefix: str) -> None:
        for name, info in aliases(model).items():
            place = f"{prefix}.{name}"
            found[_fold(name)] = (*found.get(_fold(name), ()), place)
            inner = nested(info.annotation)
            if inner is not None:
                walk(inner, place + ("[]" if "tuple" in str(info.annotation) else ""))

    spec = nested(TrainingRun.model_fields["spec"].annotation)
    assert spec is not None
    walk(spec, "spec")
    return found
