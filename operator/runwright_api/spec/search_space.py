"""The search space of spec.tune against spec.train: a parameter is a field of it, of its type, within its bounds."""

from __future__ import annotations

import difflib
import types
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import ValidationError

from runwright_api.part import RULE_ERROR, Broken, Part
from runwright_api.spec.train import TrainSpec
from runwright_api.spec.tune import Parameter, TuneSpec

FIXED = (
    "task",
    "code",
    "image",
    "environment",
    "model.pretrained",
    "model.context",
    "earlyStopping.enabled",
    "checkpoint",
    "distributed",
    "resources",
    "scheduling",
    "retries",
    "timeout",
    "backend",
)
"""Fields, alone or with all below them, that decide no model, or that the data are prepared for."""

FieldType = Literal["int", "float", "other"]


@cache
def fields() -> Mapping[str, FieldType]:
    """Every field of spec.train that can be searched, by its path in camelCase."""
    return {name: kind for name, kind in _fields(TrainSpec, "") if not _is_fixed(name)}


def _is_fixed(name: str) -> bool:
    return any(name == fixed or name.startswith(f"{fixed}.") for fixed in FIXED)


def _fields(part: type[Part], prefix: str) -> Iterator[tuple[str, FieldType]]:
    for field in part.model_fields.values():
        path = f"{prefix}{field.alias}"
        kinds = _kinds(field.annotation)
        inner = next((kind for kind in kinds if isinstance(kind, type) and issubclass(kind, Part)), None)
        if inner is not None:
            yield from _fields(inner, f"{path}.")
        elif float in kinds:
            yield path, "float"
        elif int in kinds:
            yield path, "int"
        else:
            yield path, "other"


def _kinds(annotation: Any) -> set[Any]:
    """The types that a value may have: `Annotated` and unions taken apart."""
    origin = get_origin(annotation)
    if origin is Annotated:
        return _kinds(get_args(annotation)[0])
    if origin in (Union, types.UnionType):
        return set().union(*(_kinds(kind) for kind in get_args(annotation)))
    return {annotation if origin is None else origin}


def misfits(tune: TuneSpec, train: TrainSpec) -> Iterator[Broken]:
    """Where the search space does not fit spec.train; the paths start at spec."""
    for index, one in enumerate(tune.search_space):
        place = ("tune", "searchSpace", index)
        kind = fields().get(one.name)
        if kind is None:
            fixed = " that can be searched" if _is_fixed(one.name) else ""
            yield Broken((*place, "name"), f"{one.name} is no field of spec.train{fixed}", _known(one.name))
        elif one.type != "choice" and (kind == "other" or (kind == "int" and one.type == "float")):
            fitting = "`type: int` or `type: choice`" if kind == "int" else "`type: choice`"
            yield Broken((*place, "type"), f"{one.name} is not searched as {one.type}", f"use {fitting}")
        elif train.code is None or not one.name.startswith("model."):  # a rule of its own refuses those
            yield from (Broken((*place, *where), message, cure) for where, message, cure in _refused(one, tune, train))


def _refused(one: Parameter, tune: TuneSpec, train: TrainSpec) -> Iterator[tuple[tuple[str | int, ...], str, str]]:
    """The values of a parameter that spec.train would not take, as it stands and with what the conditions ask for."""
    base = train.model_dump(mode="json", by_alias=True, exclude_unset=True)
    for above in _conditions(one, tune):
        put(base, *above)
    for where, value in _extremes(one):
        put(base, one.name, value)
        try:
            TrainSpec.model_validate(base, by_alias=True, by_name=False)
        except ValidationError as error:
            told, cure = _told(error)
            yield where, f"spec.train does not take {one.name} = {_shown(value)}: {told}", cure


def _known(name: str) -> str:
    close = difflib.get_close_matches(name, fields(), n=1)
    return (f"did you mean {close[0]}? " if close else "") + f"there are: {', '.join(sorted(fields()))}"


def _conditions(one: Parameter, tune: TuneSpec) -> Iterator[tuple[str, Any]]:
    """Names and values, the outermost first, with which a parameter is searched."""
    known = {other.name: other for other in tune.search_space}
    found: list[tuple[str, Any]] = []
    while one.when is not None and one.when.name in known and len(found) <= len(known):
        found.append((one.when.name, one.when.values[0]))
        one = known[one.when.name]
    yield from reversed(found)


def _extremes(one: Parameter) -> Iterator[tuple[tuple[str | int, ...], Any]]:
    if one.type == "choice":
        yield from ((("choices", index), value) for index, value in enumerate(one.choices))
        return
    number = int if one.type == "int" else float
    for name, value in (("min", one.min), ("max", one.max)):
        if value is not None:
            yield (name,), number(value)


def put(train: dict[str, Any], name: str, value: Any) -> None:
    """Set the field at the camelCase path `name`; parts on the way are made."""
    *parts, last = name.split(".")
    for part in parts:
        train = train.setdefault(part, {})
    train[last] = value


def _told(error: ValidationError) -> tuple[str, str]:
    first = error.errors()[0]
    if first["type"] == RULE_ERROR:
        broken: Broken = first["ctx"]["broken"][0]
        return broken.message, broken.cure
    return first["msg"], "change the search space, or spec.train"


def _shown(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
