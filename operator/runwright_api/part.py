"""Base of every model of the API, and the rules that hold between fields.

A rule is written once and has two faces: Python (`broken`, evaluated here, which finds every place at fault) and CEL
(evaluated by the Kubernetes API server, drawn into the CRD by `crd.py`). Both have the same message.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, JsonValue, Strict, model_validator
from pydantic.alias_generators import to_camel
from pydantic_core import PydanticCustomError

Path = tuple[str | int, ...]
"""Place of a value in the YAML: keys as they are written there (camelCase) and list indices."""

RULE_ERROR = "rule"
"""`type` of the pydantic error that carries broken rules; its context holds `broken`, a list of `Broken`."""

Lax = Strict(False)
"""Lets a tuple be given as a list, as YAML and JSON do; its items stay strict."""


@dataclass(frozen=True)
class Rule:
    """A condition between the fields of one model.

    `broken` gets the model and yields the places at fault, relative to it; nothing when the rule holds. Where words
    depend on the value, it yields a `Broken` of its own in place of a path.
    `cel` is the same condition for the API server; empty when CEL cannot say it at bounded cost.
    """

    message: str
    broken: Callable[[Any], Iterable[Path | Broken]]
    cel: str
    cure: str = ""


@dataclass(frozen=True)
class Broken:
    """A rule that does not hold, and where."""

    path: Path
    message: str
    cure: str


def unless(condition: bool, *path: str | int) -> list[Path]:
    """The one place at fault unless `condition` holds."""
    return [] if condition else [path]


def map_by(key: str) -> dict[str, JsonValue]:
    """For a list whose items a field tells apart: server-side apply merges it, the API server keeps it unique."""
    return {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": [key]}


class Part(BaseModel):
    """A part of a TrainingRun: immutable, closed, and as strict about types as the API server.

    `null` means "not given", as it does for the API server, which prunes it.
    """

    model_config = ConfigDict(
        strict=True,
        frozen=True,
        extra="forbid",
        alias_generator=to_camel,
        validate_by_alias=True,
        validate_by_name=True,
        use_attribute_docstrings=True,
        allow_inf_nan=False,
    )

    rules: ClassVar[tuple[Rule, ...]] = ()

    @model_validator(mode="before")
    @classmethod
    def _drop_nulls(cls, value: Any) -> Any:
        if isinstance(value, Mapping):
            return {key: item for key, item in value.items() if item is not None}
        return value

    @model_validator(mode="after")
    def _keep_rules(self) -> Self:
        broken = [
            place if isinstance(place, Broken) else Broken(place, rule.message, rule.cure)
            for rule in self.rules
            for place in rule.broken(self)
        ]
        if broken:
            text = "; ".join(item.message for item in broken).replace("{", "{{").replace("}", "}}")
            raise PydanticCustomError(RULE_ERROR, text, {"broken": broken})
        return self


def fill(part: Any, field: str, value: Any, *, replace: bool = False) -> Any:
    """`part` with `field` set to `value` where it was not given (or always); anything that is no part stays as it is.

    For defaults that depend on another part. Works before validation (mappings) and for models built in Python.
    """
    if isinstance(part, Mapping):
        return part if part.get(field) is not None and not replace else {**part, field: value}
    if isinstance(part, BaseModel):
        return part if field in part.model_fields_set and not replace else part.model_copy(update={field: value})
    return part


def given(part: BaseModel | None, fields: Iterable[str]) -> list[str]:
    """Which of `fields` the user gave, in camelCase."""
    return [] if part is None else [to_camel(field) for field in fields if field in part.model_fields_set]


def none_given_cel(part: str, fields: Iterable[str]) -> str:
    """The CEL expression that none of `fields` of the object `part` is given."""
    return " && ".join(f"!has({part}.{to_camel(field)})" for field in fields)
