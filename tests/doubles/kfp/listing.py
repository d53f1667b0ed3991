"""Lists as the server makes them: predicates, one field to sort by, and pages that go on at a token. Pure."""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar
from urllib.parse import unquote_plus

from tests.doubles.kfp.problems import invalid

DEFAULT_PAGE = 20
LARGEST_PAGE = 200

Item = TypeVar("Item")
Fields = Mapping[str, Callable[[Item], Any]]

_VALUES = ("int_value", "long_value", "string_value", "timestamp_value", "int_values", "long_values", "string_values")


@dataclass(frozen=True)
class Page:
    """What a request for a list asks for, as texts."""

    size: str = ""
    token: str = ""
    sort_by: str = ""
    filter: str = ""


def select(items: Sequence[Item], fields: Fields[Item], page: Page) -> tuple[list[Item], int, str]:
    """One page, the number of items on all pages, and the token of the next one. `fields` have `id` for the key.

    Raises Problem for what the server would refuse.
    """
    size = _size(page.size)
    start: tuple[Any, str] | None = None
    sort_by, wanted = page.sort_by, page.filter
    if page.token:
        saved = _token(page.token)
        if (sort_by and sort_by != saved["sort_by"]) or (wanted and wanted != saved["filter"]):
            raise invalid("page token does not match the supplied sort by and/or filtering criteria")
        sort_by, wanted, start = saved["sort_by"], saved["filter"], (saved["value"], saved["key"])
    field, descending = _order(sort_by, fields)
    tests = _predicates(wanted, fields)
    found = [item for item in items if all(test(item) for test in tests)]
    found.sort(key=lambda item: (field(item), fields["id"](item)), reverse=descending)
    total = len(found)
    if start is not None:
        here = [(field(item), fields["id"](item)) for item in found]
        found = [
            item for item, place in zip(found, here, strict=True) if (place <= start if descending else place >= start)
        ]
    rest = found[size:]
    token = ""
    if rest:
        following = {"sort_by": sort_by, "filter": wanted, "value": field(rest[0]), "key": fields["id"](rest[0])}
        token = base64.b64encode(json.dumps(following).encode()).decode()
    return found[:size], total, token


def _size(text: str) -> int:
    if not re.fullmatch(r"-?\d+|", text):
        raise invalid(f'type mismatch, parameter: page_size, error: strconv.ParseInt: parsing "{text}"')
    size = int(text or 0)
    if size < 0:
        raise invalid(f"The page size should be greater than 0. Got {size}")
    return min(size or DEFAULT_PAGE, LARGEST_PAGE)


def _token(text: str) -> dict[str, Any]:
    try:
        saved = json.loads(base64.b64decode(text, validate=True))
        return {name: saved[name] for name in ("sort_by", "filter", "value", "key")}
    except (binascii.Error, ValueError, TypeError, KeyError) as error:
        raise invalid("Invalid page token") from error


def _order(text: str, fields: Fields[Item]) -> tuple[Callable[[Item], Any], bool]:
    words = text.lower().split()
    if len(words) > 2 or (len(words) == 2 and words[1] not in ("asc", "desc")):
        raise invalid(f"Received invalid sort by format {text!r}")
    name = words[0] if words else "created_at"
    if name not in fields:
        raise invalid(f"Invalid sorting field: {name!r}")
    return fields[name], words[1:] == ["desc"]


def _predicates(text: str, fields: Fields[Item]) -> list[Callable[[Item], bool]]:
    if not text:
        return []
    try:
        content = json.loads(unquote_plus(text))  # the server decodes it once more than HTTP does
        predicates = content.get("predicates", [])
        return [_predicate(predicate, fields) for predicate in predicates]
    except (ValueError, AttributeError, TypeError) as error:
        raise invalid(f"failed to parse valid filter from {text!r}: {error}") from error


def _predicate(given: Mapping[str, Any], fields: Fields[Item]) -> Callable[[Item], bool]:
    given = {_snake(name): value for name, value in given.items()}
    key, operation = given.get("key", ""), given.get("operation", "OPERATION_UNSPECIFIED")
    kinds = [name for name in given if name in _VALUES]
    if len(kinds) != 1 or set(given) - {"key", "operation", *_VALUES}:
        raise ValueError(f"unexpected fields in {sorted(given)}")
    if key not in fields:
        raise invalid(f"no support for filtering on unrecognized field {key!r}")
    kind, value = kinds[0], given[kinds[0]]
    if kind.endswith("_values"):
        value = value["values"]
    if kind == "timestamp_value":
        value = datetime.fromisoformat(value).timestamp()
    if (operation == "IN") != kind.endswith("_values"):
        raise invalid(f"cannot use operator {operation} on {kind}")
    field = fields[key]
    match operation:
        case "EQUALS":
            return lambda item: bool(_folded(field(item)) == _folded(value))
        case "NOT_EQUALS":
            return lambda item: bool(_folded(field(item)) != _folded(value))
        case "GREATER_THAN":
            return lambda item: bool(field(item) > value)
        case "GREATER_THAN_EQUALS":
            return lambda item: bool(field(item) >= value)
        case "LESS_THAN":
            return lambda item: bool(field(item) < value)
        case "LESS_THAN_EQUALS":
            return lambda item: bool(field(item) <= value)
        case "IN":
            return lambda item: _folded(field(item)) in [_folded(one) for one in value]
        case "IS_SUBSTRING":
            return lambda item: str(_folded(value)) in str(_folded(field(item)))
    raise invalid(f"invalid predicate operation: {operation}")


def _folded(value: Any) -> Any:
    """MySQL's default collation knows no upper and lower case."""
    return value.casefold() if isinstance(value, str) else value


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z])([A-Z])", lambda found: f"_{found[1].lower()}", name)
