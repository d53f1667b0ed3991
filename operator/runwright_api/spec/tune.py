"""`spec.tune`: the search for hyperparameters."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from runwright_api.part import Lax, Part, Rule, unless
from runwright_api.spec.evaluate import Metric
from runwright_api.text import Text, Word

_NUMBER = Field(ge=-1e15, le=1e15)


class Parameter(Part):
    """One dimension of the search space."""

    name: Text
    """A field of spec.train, for example learningRate or model.dropout."""
    type: Literal["float", "int", "choice"]
    """float and int have min and max, choice has choices."""
    min: Annotated[float | None, _NUMBER] = None
    """Least value."""
    max: Annotated[float | None, _NUMBER] = None
    """Greatest value."""
    log: bool = False
    """Search on a logarithmic scale. Default: false."""
    choices: Annotated[tuple[Word, ...], Field(max_length=64), Lax] = ()
    """The values to choose from, as text: relu, or "64"."""

    rules = (
        Rule(
            message="float and int have min and max, choice has choices",
            broken=lambda self: unless(
                bool(self.choices) and self.min is None and self.max is None
                if self.type == "choice"
                else not self.choices and self.min is not None and self.max is not None
            ),
            cel=(
                "self.type == 'choice' ? (has(self.choices) && !has(self.min) && !has(self.max))"
                " : (!has(self.choices) && has(self.min) && has(self.max) && self.min <= self.max)"
            ),
            cure="for example {name: learningRate, type: float, min: 0.0001, max: 0.1, log: true}",
        ),
    )


class Objective(Part):
    """What the search looks for."""

    metric: Metric
    """The metric, measured on the validation split."""
    direction: Literal["maximize", "minimize"]
    """Which way is better."""


class Pruning(Part):
    """Which trials are given up early."""

    algorithm: Literal["none", "median", "hyperband"] = "median"
    """Default: median."""
    warmup_epochs: Annotated[int, Field(ge=0, le=100_000)] = 5
    """Epochs before any trial is given up. Default: 5."""


class TuneSpec(Part):
    """A search for good hyperparameters before the training that counts."""

    search_space: Annotated[tuple[Parameter, ...], Field(min_length=1, max_length=32), Lax]
    """What is searched."""
    objective: Objective
    """What the search looks for."""
    algorithm: Literal["tpe", "random", "grid"] = "tpe"
    """Default: tpe (Bergstra et al. 2011)."""
    trials: Annotated[int, Field(ge=1, le=10_000)] = 20
    """How many trials. Default: 20."""
    parallelism: Annotated[int, Field(ge=1, le=1000)] = 1
    """How many at a time. Default: 1."""
    pruning: Pruning = Pruning()
    """Which trials are given up early."""
    seed: Annotated[int, Field(ge=0, le=2**31 - 1)] = 0
    """Seed of the search. Default: 0."""
