"""`spec.tune`: the search for hyperparameters."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Literal, get_args

from pydantic import AfterValidator, Field, PlainValidator, WithJsonSchema

from runwright_api.part import Broken, Lax, Part, Path, Rule, map_by, unless
from runwright_api.spec.evaluate import ClassificationMetric, RegressionMetric
from runwright_api.spec.shared import scalar
from runwright_api.spec.trials import TUNE_RULES as TRIAL_RULES
from runwright_api.spec.trials import StudyStorage, TrialBackend
from runwright_api.text import Duration, ParameterName

ObjectiveMetric = Literal["loss", ClassificationMetric, RegressionMetric]
Direction = Literal["maximize", "minimize"]

SMALLER_IS_BETTER = frozenset({"loss", "errorRate", "logLoss", "calibrationError", "mae", "rmse"})
LARGEST_GRID = 10_000
_LONGEST_LIST = 32
_NUMBER = Field(ge=-1e15, le=1e15)


def _choice(value: Any) -> Any:
    """A scalar, or a short list of whole numbers (layer widths, say)."""
    if isinstance(value, list | tuple):
        if len(value) <= _LONGEST_LIST and all(isinstance(item, int) and not isinstance(item, bool) for item in value):
            return tuple(value)
        raise ValueError(f"a list among the choices has at most {_LONGEST_LIST} whole numbers")
    return scalar(value)


Choice = Annotated[
    str | int | float | bool | tuple[int, ...],
    PlainValidator(_choice),
    WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "number"}, {"type": "boolean"}, {"type": "array"}]}),
]
"""A value of a field of spec.train."""


def same(one: Any, other: Any) -> bool:
    """Whether two choices are the same value; true is not 1."""
    return isinstance(one, bool) == isinstance(other, bool) and bool(one == other)


def among(value: Any, choices: tuple[Any, ...]) -> bool:
    return any(same(value, choice) for choice in choices)


def _different(choices: tuple[Any, ...]) -> tuple[Any, ...]:
    if any(among(choice, choices[:index]) for index, choice in enumerate(choices)):
        raise ValueError("each choice is given once")
    return choices


class When(Part):
    """When a parameter is searched: while another one has a certain value."""

    name: ParameterName
    """Another parameter of the search space, of type choice."""
    equals: Choice | None = None
    """The value that it has."""
    one_of: Annotated[tuple[Choice, ...], Field(alias="in", max_length=64), Lax] = ()
    """The values of which it has one."""

    rules = (
        Rule(
            message="a condition has either `equals` or `in`",
            broken=lambda self: unless((self.equals is None) == bool(self.one_of)),
            cel="",  # values have no type in the CRD, and CEL does not see what has none
            cure="for example {name: model.name, equals: mlp}",
        ),
    )

    @property
    def values(self) -> tuple[Any, ...]:
        """The values for which the condition holds."""
        return self.one_of if self.equals is None else (self.equals,)


def _unfit_bounds(parameter: Parameter) -> list[Path]:
    ranged = parameter.min is not None and parameter.max is not None
    if parameter.type == "choice":
        return unless(bool(parameter.choices) and parameter.min is None and parameter.max is None)
    return unless(ranged and not parameter.choices)


def _empty_range(parameter: Parameter) -> list[Path]:
    low, high = parameter.min, parameter.max
    if parameter.type == "choice" or low is None or high is None:
        return []
    if low >= high:
        return [("min",)]
    return unless(parameter.step is None or parameter.step <= high - low, "step")


def _broken_numbers(parameter: Parameter) -> list[Path]:
    if parameter.type != "int":
        return []
    numbers = {"min": parameter.min, "max": parameter.max, "step": parameter.step}
    return [(name,) for name, value in numbers.items() if value is not None and value != int(value)]


class Parameter(Part):
    """One dimension of the search space."""

    name: ParameterName
    """A field of spec.train, for example learningRate or model.dropout."""
    type: Literal["float", "int", "choice"]
    """float and int have min and max, choice has choices."""
    min: Annotated[float | None, _NUMBER] = None
    """Least value."""
    max: Annotated[float | None, _NUMBER] = None
    """Greatest value."""
    log: bool = False
    """Search on a logarithmic scale. Default: false."""
    step: Annotated[float | None, Field(gt=0.0, le=1e15)] = None
    """Distance of the values from min on. Default: 1 for int, none for float."""
    choices: Annotated[tuple[Choice, ...], Field(max_length=64), Lax, AfterValidator(_different)] = ()
    """The values to choose from: texts, numbers, true and false, or lists of whole numbers."""
    when: When | None = None
    """Search it only while another parameter has a certain value. Default: always."""

    rules = (
        Rule(
            message="float and int have min and max, choice has choices",
            broken=_unfit_bounds,
            # CEL does not see choices, which have no type in the CRD.
            cel="self.type == 'choice' ? !has(self.min) && !has(self.max) : has(self.min) && has(self.max)",
            cure="for example {name: learningRate, type: float, min: 0.0001, max: 0.1, log: true}",
        ),
        Rule(
            message="a range holds more than one value: min is less than max, and step fits between them",
            broken=_empty_range,
            cel=(
                "!has(self.min) || !has(self.max) || (self.min < self.max"
                " && (!has(self.step) || self.step <= self.max - self.min))"
            ),
            cure="exchange or spread the bounds; a value that is not searched is set in spec.train",
        ),
        Rule(
            message="int has whole numbers",
            broken=_broken_numbers,
            cel=(
                "self.type != 'int' || ((!has(self.min) || self.min == double(int(self.min)))"
                " && (!has(self.max) || self.max == double(int(self.max)))"
                " && (!has(self.step) || self.step == double(int(self.step))))"
            ),
            cure="write whole numbers, or use `type: float`",
        ),
        Rule(
            message="a logarithmic scale starts above 0",
            broken=lambda self: unless(not self.log or self.min is None or self.min > 0, "min"),
            cel="!has(self.log) || !self.log || !has(self.min) || self.min > 0.0",
            cure="raise min, or remove `log`",
        ),
        Rule(
            message="`log` and `step` exclude each other, and neither is for choice",
            broken=lambda self: unless(
                not (self.log and self.step is not None)
                and not (self.type == "choice" and (self.log or self.step is not None)),
                "step" if self.step is not None else "log",
            ),
            cel=(
                "!(has(self.log) && self.log && has(self.step))"
                " && (self.type != 'choice' || ((!has(self.log) || !self.log) && !has(self.step)))"
            ),
            cure="keep one of them",
        ),
    )


class Objective(Part):
    """What the search looks for, measured on the validation split."""

    metric: ObjectiveMetric | None = None
    """loss is the validation loss. Default: logLoss for classification, rmse for regression, loss for other tasks."""
    direction: Direction | None = None
    """Which way is better. Default: the metric's own."""

    rules = (
        Rule(
            message="the direction is the metric's own: an error or a loss is minimized, a score is maximized",
            broken=lambda self: unless(
                self.metric is None or self.direction in (None, direction_of(self.metric)), "direction"
            ),
            cel=(
                "!has(self.metric) || !has(self.direction) || (self.direction == 'minimize') == (self.metric in ["
                + ", ".join(repr(name) for name in sorted(SMALLER_IS_BETTER))
                + "])"
            ),
            cure="remove `direction`",
        ),
        Rule(
            message="a direction needs a metric",
            broken=lambda self: unless(self.metric is not None or self.direction is None, "direction"),
            cel="has(self.metric) || !has(self.direction)",
            cure="add `metric`, or remove `direction`",
        ),
    )


def direction_of(metric: str) -> Direction:
    """Which way a metric is better."""
    return "minimize" if metric in SMALLER_IS_BETTER else "maximize"


class Pruning(Part):
    """Which trials are given up early, by their validation curve."""

    algorithm: Literal["none", "median", "hyperband"] = "median"
    """median: worse than the median of the trials before at this epoch; hyperband: Li et al. 2018. Default: median."""
    warmup_epochs: Annotated[int, Field(ge=0, le=100_000)] = 5
    """Epochs before any trial is given up. Default: 5."""


class Budget(Part):
    """What the search may cost; the first limit that is reached ends it."""

    trials: Annotated[int | None, Field(ge=1, le=10_000)] = None
    """How many trials. Default: 20; the whole grid for a grid; no limit for automl."""
    time: Duration | None = None
    """How long; trials that run then are given up, unless none has finished yet. Default: no limit."""
    gpu_seconds: Annotated[float | None, Field(gt=0.0, le=1e12)] = None
    """GPUs times seconds of all trials together. Default: no limit."""


class TuneSpec(Part):
    """A search for good hyperparameters; the best trial's model is the one that is judged and served."""

    search_space: Annotated[tuple[Parameter, ...], Field(max_length=32, json_schema_extra=map_by("name")), Lax] = ()
    """What is searched."""
    automl: bool = False
    """Choose model family and search space by the data, within budget.time. Default: false."""
    objective: Objective = Objective()
    """What the search looks for."""
    algorithm: Literal["tpe", "cmaes", "random", "grid"] = "tpe"
    """tpe: Bergstra et al. 2011; cmaes: Hansen 2016, for numbers; random; grid: every combination. Default: tpe."""
    pruning: Pruning = Pruning()
    """Which trials are given up early."""
    parallel: Annotated[int, Field(ge=1, le=256)] = 1
    """How many trials at a time. Default: 1."""
    budget: Budget = Budget()
    """What the search may cost."""
    seed: Annotated[int, Field(ge=0, le=2**31 - 1)] = 0
    """Seed of the search. Default: 0."""
    backend: TrialBackend = "processes"
    """In a cluster, trials are processes of the one training pod, or jobs, each with all of train.resources. Default:
    processes."""
    storage: StudyStorage | None = None
    """The database that keeps the study. Used in a cluster only. Default: the storage of the run."""

    rules = (
        *TRIAL_RULES,
        Rule(
            message="tune has either a searchSpace or `automl: true`",
            broken=lambda self: unless(bool(self.search_space) != self.automl, "searchSpace"),
            cel="(has(self.searchSpace) && self.searchSpace.size() > 0) != (has(self.automl) && self.automl)",
            cure="for example searchSpace: [{name: learningRate, type: float, min: 0.0001, max: 0.1, log: true}]",
        ),
        Rule(
            message="automl has a time budget",
            broken=lambda self: unless(not self.automl or self.budget.time is not None, "budget", "time"),
            cel="!has(self.automl) || !self.automl || (has(self.budget) && has(self.budget.time))",
            cure="for example budget: {time: 10m}",
        ),
        Rule(
            message="automl searches by tpe",
            broken=lambda self: unless(not self.automl or self.algorithm == "tpe", "algorithm"),
            cel="!has(self.automl) || !self.automl || !has(self.algorithm) || self.algorithm == 'tpe'",
            cure="remove `algorithm`, or give a searchSpace in place of automl",
        ),
        Rule(
            message="each parameter is searched once",
            broken=lambda self: [
                ("searchSpace", index, "name")
                for index, one in enumerate(self.search_space)
                if one.name in [other.name for other in self.search_space[:index]]
            ],
            cel="",  # a list-map, whose names the API server keeps unique
            cure="remove one of them",
        ),
        Rule(
            message="a condition looks at another parameter of type choice",
            broken=lambda self: [
                ("searchSpace", index, "when", "name")
                for index, one in enumerate(self.search_space)
                if one.when is not None and one.when.name not in _choice_names(self, but=one.name)
            ],
            cel=(
                "!has(self.searchSpace) || self.searchSpace.all(one, !has(one.when) || (one.when.name != one.name"
                " && self.searchSpace.exists(other, other.name == one.when.name && other.type == 'choice')))"
            ),
            cure="name a parameter of the search space that has choices",
        ),
        Rule(
            message="the values of a condition are among the choices of its parameter",
            broken=lambda self: _foreign_conditions(self),
            cel="",  # choices have no type in the CRD
            cure="write the value as it stands in `choices`",
        ),
        Rule(
            message="conditions do not go round in a circle",
            broken=lambda self: _circles(self),
            cel="",
            cure="leave one of these parameters without a condition",
        ),
        Rule(
            message="a grid needs a step for float, and has no logarithmic scales",
            broken=lambda self: [
                ("searchSpace", index, "log" if one.log else "step")
                for index, one in enumerate(self.search_space)
                if self.algorithm == "grid" and (one.log or (one.type == "float" and one.step is None))
            ],
            cel=(
                "!has(self.algorithm) || self.algorithm != 'grid' || !has(self.searchSpace)"
                " || self.searchSpace.all(one, (!has(one.log) || !one.log) && (one.type != 'float' || has(one.step)))"
            ),
            cure="add `step`, or list the values as `type: choice`",
        ),
        Rule(
            message=f"a grid has at most {LARGEST_GRID} combinations",
            broken=lambda self: unless(self.algorithm != "grid" or _combinations(self) <= LARGEST_GRID, "searchSpace"),
            cel="",
            cure="widen the steps, remove choices, or use `algorithm: tpe`",
        ),
        Rule(
            message="cmaes needs two or more parameters of type float or int without conditions",
            broken=lambda self: unless(
                self.algorithm != "cmaes"
                or sum(one.type != "choice" and one.when is None for one in self.search_space) >= 2,
                "algorithm",
            ),
            cel=(
                "!has(self.algorithm) || self.algorithm != 'cmaes' || !has(self.searchSpace)"
                " || self.searchSpace.filter(one, one.type != 'choice' && !has(one.when)).size() >= 2"
            ),
            cure="use `algorithm: tpe`, or search more numbers",
        ),
    )


def _choice_names(tune: TuneSpec, *, but: str) -> set[str]:
    return {one.name for one in tune.search_space if one.type == "choice" and one.name != but}


def _foreign_conditions(tune: TuneSpec) -> Iterator[Path | Broken]:
    choices = {one.name: one.choices for one in tune.search_space if one.type == "choice"}
    for index, one in enumerate(tune.search_space):
        if one.when is not None and one.when.name in choices:
            for value in one.when.values:
                if not among(value, choices[one.when.name]):
                    field = "in" if one.when.one_of else "equals"
                    yield ("searchSpace", index, "when", field)
                    break


def _circles(tune: TuneSpec) -> Iterator[Path]:
    above = {one.name: one.when.name for one in tune.search_space if one.when is not None}
    for index, one in enumerate(tune.search_space):
        seen, name = {one.name}, above.get(one.name)
        while name is not None and name not in seen:
            seen.add(name)
            name = above.get(name)
        if name == one.name and above.get(one.name) != one.name:
            yield ("searchSpace", index, "when")
            return


def _combinations(tune: TuneSpec) -> int:
    """An upper bound: conditions make it less."""
    product = 1
    for one in tune.search_space:
        if one.type == "choice":
            product *= len(one.choices)
        elif one.min is not None and one.max is not None and one.max > one.min:
            product *= int((one.max - one.min) / (one.step or 1.0) + 1e-9) + 1
    return product


OBJECTIVE_METRICS: dict[str, tuple[str, ...]] = {
    "classification": ("loss", *get_args(ClassificationMetric)),
    "regression": ("loss", *get_args(RegressionMetric)),
}
"""Metrics that a search may look for; kinds of tasks that are not here have the loss alone."""
