"""Fitting the inputs of datetime columns: which parts of a date, and how they are scaled."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from runwright_components.contract.config import DateRules
from runwright_components.features.numeric import Dates
from runwright_components.features.tabular_state import NumericInput, Part
from runwright_components.prepare.describe import SAMPLED

Numbers = NDArray[np.float64]

_CYCLES: dict[Part, tuple[Part, Part]] = {
    "month": ("month_sin", "month_cos"),
    "day": ("day_sin", "day_cos"),
    "weekday": ("weekday_sin", "weekday_cos"),
    "hour": ("hour_sin", "hour_cos"),
}


def fit(name: str, finite: Numbers, rules: DateRules) -> list[NumericInput]:
    """The inputs of the dates [N], microseconds since 1970, of the training split: what grows is standardized, what
    repeats is a point on a circle, unless `rules` want it plain. Parts that do not vary are left out."""
    dates = Dates(finite)
    thin = Dates(finite[:: -(-len(finite) // SAMPLED)])
    inputs = []
    for part in rules.parts:
        waves = _CYCLES.get(part, ()) if rules.cyclic else ()
        if any(np.ptp(thin.part(wave)) > 0 for wave in waves):
            inputs += [NumericInput(name=f"{name}.{wave}", column=name, part=wave) for wave in waves]
        elif not waves:
            inputs += _standardized(name, part, dates.part(part))
    return inputs


def _standardized(name: str, part: Part, values: Numbers) -> list[NumericInput]:
    mean, deviation = float(values.mean()), float(values.std())
    if not deviation > 0:
        return []
    return [NumericInput(name=f"{name}.{part}", column=name, part=part, fill=mean, offset=mean, scale=deviation)]
