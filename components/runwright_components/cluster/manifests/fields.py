"""Reading JSON that others wrote: what is missing or of another type reads as empty, and nothing raises."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

_LONGEST = 4096


def mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def items(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else []


def text(value: Any) -> str:
    """A string of bounded length; empty for anything else."""
    return value[:_LONGEST] if isinstance(value, str) else ""


def integer(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def dig(value: Any, *path: str) -> Any:
    """`value[path[0]][path[1]]...`, or None where that leads nowhere."""
    for name in path:
        value = mapping(value).get(name)
    return value


def condition(value: Any, kind: str) -> Mapping[str, Any]:
    """The condition of that type in an object's status; empty when there is none."""
    found = (mapping(one) for one in items(dig(value, "status", "conditions")))
    return next((one for one in found if one.get("type") == kind), {})


def moment(value: Any) -> datetime | None:
    """A time in RFC 3339; None for anything else."""
    try:
        found = datetime.fromisoformat(text(value).replace("Z", "+00:00"))
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)
