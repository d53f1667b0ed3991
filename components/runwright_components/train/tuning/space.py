"""The search space, pure: which values a parameter has, which parameters a trial has, and every point of a grid."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pydantic import JsonValue

from runwright_components.contract.config import ParameterConfig

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

Values = dict[str, JsonValue]
"""The values of one trial, by the parameters' keys; those whose condition does not hold are left out."""


def in_order(parameters: Sequence[ParameterConfig]) -> list[ParameterConfig]:
    """The parameters, each after the one that its condition looks at. Raises ValueError for a circle."""
    left, found = list(parameters), list[ParameterConfig]()
    while left:
        known = {one.key for one in found}
        ready = [one for one in left if one.when is None or one.when.key in known]
        if not ready:
            raise ValueError(f"the conditions of {', '.join(one.key for one in left)} lead nowhere")
        found += ready
        left = [one for one in left if one not in ready]
    return found


def is_active(one: ParameterConfig, values: Mapping[str, JsonValue]) -> bool:
    """Whether a trial that has `values` so far also has this parameter."""
    when = one.when
    return when is None or (when.key in values and label(values[when.key]) in map(label, when.values))


def label(choice: JsonValue) -> str:
    """A choice as text that tells its type, which is how a study keeps it: lists are no categories there."""
    return json.dumps(choice, ensure_ascii=False, separators=(",", ":"))


def distribution(one: ParameterConfig) -> BaseDistribution:
    """The parameter as Optuna sees it; a choice is one of its labels."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    if one.type == "choice":
        return CategoricalDistribution([label(choice) for choice in one.choices])
    if one.type == "int":
        step = 1 if one.step is None else int(one.step)
        return IntDistribution(int(one.min), _last(int(one.min), int(one.max), step), log=one.log, step=step)
    return FloatDistribution(one.min, one.max, log=one.log, step=one.step)


def to_study(one: ParameterConfig, value: JsonValue) -> Any:
    """A value as the study keeps it."""
    return label(value) if one.type == "choice" else value


def from_study(one: ParameterConfig, value: Any) -> JsonValue:
    """The inverse of `to_study`."""
    plain: JsonValue = json.loads(value) if one.type == "choice" else value
    return plain


def grid(parameters: Sequence[ParameterConfig]) -> Iterator[Values]:
    """Every combination, once: a parameter whose condition does not hold does not multiply."""
    yield from _grid(in_order(parameters), {})


def _grid(left: Sequence[ParameterConfig], chosen: Values) -> Iterator[Values]:
    if not left:
        yield chosen
    elif not is_active(left[0], chosen):
        yield from _grid(left[1:], chosen)
    else:
        for value in points(left[0]):
            yield from _grid(left[1:], {**chosen, left[0].key: value})


def points(one: ParameterConfig) -> Sequence[JsonValue]:
    """The values of one parameter on a grid."""
    if one.type == "choice":
        return one.choices
    if one.type == "int":
        return list(range(int(one.min), int(one.max) + 1, int(one.step or 1)))
    assert one.step is not None  # the API refuses a grid over a float without one
    count = int((one.max - one.min) / one.step + 1e-9) + 1
    return [round(one.min + index * one.step, 12) for index in range(count)]


def _last(low: int, high: int, step: int) -> int:
    return low + (high - low) // step * step


def to_unit(one: ParameterConfig, value: float) -> float:
    """A number's place in [0, 1] between the parameter's bounds, on its scale."""
    low, high = _bounds(one)
    return ((math.log(value) if one.log else value) - low) / (high - low)


def from_unit(one: ParameterConfig, place: float) -> float | int:
    """The number at a place in [0, 1], rounded to the parameter's steps."""
    low, high = _bounds(one)
    value = low + (high - low) * min(max(place, 0.0), 1.0)
    value = min(max(math.exp(value) if one.log else value, one.min), one.max)
    step = one.step or (1.0 if one.type == "int" else None)
    if step is not None:
        most = math.floor((one.max - one.min) / step + 1e-9)
        value = one.min + min(round((value - one.min) / step), most) * step
    return int(value) if one.type == "int" else value


def _bounds(one: ParameterConfig) -> tuple[float, float]:
    return (math.log(one.min), math.log(one.max)) if one.log else (one.min, one.max)
