"""What is wrong with a request, and where."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Kind = Literal["type", "missing", "unknown", "null", "value", "size", "empty", "shape", "json"]
Root = Literal["instances", "inputs", "body"]  # rows, columns, or the request as a whole


@dataclass(frozen=True)
class Limits:
    """What one request may hold; more is refused before it costs memory."""

    rows: int = 10_000
    text: int = 1_000_000  # characters of one string
    pixels: int = 50_000_000  # of one image, by its header


class RequestError(ValueError):
    """A request that does not fit the signature. `kind` is from a closed list, so that metrics can count it."""

    def __init__(
        self,
        kind: Kind,
        message: str,
        *,
        cure: str = "",
        row: int | None = None,
        field: str | None = None,
        root: Root = "instances",
    ) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message
        self.cure = cure
        self.row = row
        self.field = field
        self.root = root

    @property
    def where(self) -> str:
        """The place in the request: `instances[3].age`, or `inputs.age.data[3]` where the request gave columns."""
        index = "" if self.row is None else f"[{self.row}]"
        name = "" if self.field is None else f".{self.field}"
        if self.root == "inputs":
            return f"inputs{name}" + (f".data{index}" if index else "")
        return f"{self.root}{index}{name}"

    def __str__(self) -> str:
        cure = f" ({self.cure})" if self.cure else ""
        return f"{self.where}: {self.message}{cure}"


def kind_of(value: object) -> str:
    """The JSON name of a value's type, with its article."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return "a number"
    if isinstance(value, str | bytes):
        return "a string"
    return "an object" if isinstance(value, Mapping) else "a list"
