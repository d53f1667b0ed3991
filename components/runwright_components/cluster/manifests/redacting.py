"""Takes what looks like a secret out of words that people get to read."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

HIDDEN = "***"
_NAME = r"[\w.-]*(?:secret|token|passw(?:or)?d|api[-_]?key|access[-_]?key|credential|signature|private[-_]?key)[\w.-]*"
_PATTERNS = (
    (
        re.compile(r"(?i)\b(authorization|proxy-authorization)(\W{1,4})(?:(?:bearer|basic)\s+)?[^\s\"',}]+"),
        rf"\1\2{HIDDEN}",
    ),
    (re.compile(r"(?i)\bbearer\s+[\w.~+/=-]{8,}"), f"Bearer {HIDDEN}"),
    (re.compile(rf"(?i)\b({_NAME})(\"?'?\s*[:=]\s*\"?'?)[^\s\"',;&}}]+"), rf"\1\2{HIDDEN}"),
    (re.compile(r"://[^/\s:@\"']*:[^/\s@\"']*@"), f"://{HIDDEN}@"),
    (re.compile(r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b"), HIDDEN),
    (re.compile(r"\beyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*"), HIDDEN),  # JSON web tokens
)
_SECRET_NAME = re.compile(r"(?i)secret|token|passw|api_?key|access_?key|account_?key|credential")
_SHORTEST = 6  # shorter values are words that may stand anywhere


def redacted(words: str, known: tuple[str, ...] = ()) -> str:
    """`words` without values that look like secrets, and without the `known` ones."""
    for value in known:
        words = words.replace(value, HIDDEN)
    for pattern, stand_in in _PATTERNS:
        words = pattern.sub(stand_in, words)
    return words


def redacted_tree(value: Any, known: tuple[str, ...] = ()) -> Any:
    """Every string in a JSON value, redacted; names of fields stay."""
    if isinstance(value, str):
        return redacted(value, known)
    if isinstance(value, Mapping):
        return {name: redacted_tree(one, known) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [redacted_tree(one, known) for one in value]
    return value


def secret_values(environment: Mapping[str, str]) -> tuple[str, ...]:
    """Values of variables whose names tell that they are secret, the longest first."""
    found = {value for name, value in environment.items() if _SECRET_NAME.search(name) and len(value) >= _SHORTEST}
    return tuple(sorted(found, key=len, reverse=True))
