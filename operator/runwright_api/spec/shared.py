"""Pieces that several parts of the spec use."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import AfterValidator, Field, JsonValue, PlainValidator, WithJsonSchema
from pydantic_core import PydanticCustomError

from runwright_api.part import Lax, Part
from runwright_api.text import ColumnName, ObjectName, Quantity, keeps_direction


def unique(names: tuple[str, ...]) -> tuple[str, ...]:
    """Refuse a list that gives a name twice, as the API server does for a list-set."""
    if len(set(names)) != len(names):
        raise PydanticCustomError("unique", "each name is given once")
    return names


SET: dict[str, JsonValue] = {"x-kubernetes-list-type": "set"}
Columns = Annotated[tuple[ColumnName, ...], Field(max_length=64, json_schema_extra=SET), Lax, AfterValidator(unique)]
"""Names of columns, each once."""

_LONGEST_SCALAR = 1024
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


def scalar(value: Any) -> str | int | float | bool:
    """The value, if it is a text, a number, or true or false."""
    if isinstance(value, str):
        if len(value) > _LONGEST_SCALAR or "{{" in value or _CONTROL.search(value):
            raise PydanticCustomError(
                "scalar", "must be at most 1024 characters long, without '{{{{' or control characters"
            )
        return keeps_direction(value)
    if isinstance(value, bool | int | float):
        return value
    raise PydanticCustomError("scalar", "must be a text, a number, or true or false")


Scalar = Annotated[
    str | int | float | bool,
    PlainValidator(scalar),
    WithJsonSchema(
        {"anyOf": [{"type": "string", "maxLength": _LONGEST_SCALAR}, {"type": "number"}, {"type": "boolean"}]}
    ),
]
"""A value of a column, whose type depends on the column. The one place where the CRD has no type."""


class SecretRef(Part):
    """A Secret of the TrainingRun's own namespace. There is no way to name another namespace."""

    name: ObjectName
    """Name of the Secret."""


class Compute(Part):
    """What a pod asks of its node. Used in a cluster only."""

    cpu: Quantity | None = None
    """CPU cores, for example "4" or 500m. Default: what the administrator configured."""
    memory: Quantity | None = None
    """Memory, for example 16Gi. Default: what the administrator configured."""
