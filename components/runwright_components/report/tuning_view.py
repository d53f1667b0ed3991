"""What the pages show of a search for hyperparameters: its course, what mattered, and which values did well. Pure."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass

from pydantic import JsonValue

from runwright_components.contract.tuning import Axis, Trial, Tuning
from runwright_components.report.charts import LARGE, Chart, Dot, Frame, Line, Rule, padded, shares, ticks
from runwright_components.report.wording import METRICS, count, number, percent, seconds

WIDE = Frame(900.0, 310.0, left=64.0, right=836.0, top=42.0, bottom=270.0)
MOST_AXES = 8
MOST_SHARES = 12
TABLE_ROWS = 10
_LOSS = "Validation loss"
_ENDED = {
    "trials": "all trials were run",
    "grid": "every point of the grid was tried",
    "time": "the time was over",
    "gpuSeconds": "the GPU time was spent",
}
_STATES = {"complete": "complete", "pruned": "given up", "failed": "failed", "stopped": "cut off by the budget"}


@dataclass(frozen=True)
class TrialRow:
    number: int
    value: str
    epochs: str
    duration: str
    values: str
    best: bool


@dataclass(frozen=True)
class TuningView:
    sentence: str
    facts: tuple[tuple[str, str], ...]
    charts: tuple[Chart, ...]
    wide: Chart | None
    rows: tuple[TrialRow, ...]


def tuning_view(tuning: Tuning) -> TuningView:
    """The view of a search; its charts are the course, the importance where it is known, and parallel coordinates."""
    metric = METRICS[tuning.metric].name if tuning.metric in METRICS else _LOSS
    states = [trial.state for trial in tuning.trials]
    told = ", ".join(f"{count(states.count(state))} {name}" for state, name in _STATES.items() if state in states)
    ended = _ENDED.get(tuning.ended, "the search ended")
    best = tuning.winner
    sentence = f"{count(len(states))} trials ({told}), until {ended}; the model of trial {best.number} went on."
    charts = [_course(tuning, metric)]
    if tuning.importance:
        charts.append(_importance(tuning))
    return TuningView(
        sentence=sentence,
        facts=(
            (f"Best {metric.lower() if metric == _LOSS else metric}", number(best.value)),
            ("Algorithm", f"automl, {tuning.algorithm}" if tuning.automl else tuning.algorithm),
            ("Pruning", tuning.pruning),
            ("Duration", seconds(tuning.seconds)),
            ("Epochs of all trials", count(sum(trial.epochs for trial in tuning.trials))),
        ),
        charts=tuple(charts),
        wide=_parallel(tuning, metric),
        rows=tuple(_row(trial, tuning.best) for trial in _ranked(tuning)[:TABLE_ROWS]),
    )


def _ranked(tuning: Tuning) -> list[Trial]:
    """The complete trials, the best first."""
    sign = 1 if tuning.direction == "minimize" else -1
    complete = [trial for trial in tuning.trials if trial.value is not None]
    return sorted(complete, key=lambda trial: (sign * (trial.value or 0.0), trial.number))


def _row(trial: Trial, best: int) -> TrialRow:
    values = ", ".join(f"{name} {_text(value)}" for name, value in trial.values.items())
    return TrialRow(
        trial.number, number(trial.value), count(trial.epochs), seconds(trial.seconds), values, trial.number == best
    )


def _text(value: JsonValue) -> str:
    if isinstance(value, bool) or value is None:
        return json.dumps(value)
    if isinstance(value, int | float):
        return number(value)
    return value if isinstance(value, str) else json.dumps(value)


# -------------------------------------------------------- charts


def _course(tuning: Tuning, metric: str) -> Chart:
    """Each trial's value, and the best until then as stairs; trials without a value stand on the floor."""
    found = [(trial.number, trial.value) for trial in tuning.trials if trial.value is not None]
    stairs: list[tuple[float, float]] = []
    for place, value in found:
        before = stairs[-1][1] if stairs else value
        best = min(before, value) if tuning.direction == "minimize" else max(before, value)
        stairs += [(place, before), (place, best)]
    x = LARGE.x(0, max(trial.number for trial in tuning.trials) or 1)
    stairs.append((x.high, stairs[-1][1]))
    y = LARGE.y(*_without_outliers([value for _, value in found], tuning))
    dots = [Dot(x(place), _within(y(value)), 3.0, "one", f"trial {place}: {number(value)}") for place, value in found]
    lost = [trial for trial in tuning.trials if trial.value is None]
    dots += [
        Dot(x(trial.number), LARGE.bottom, 3.0, "quiet", f"trial {trial.number}: {_STATES[trial.state]}")
        for trial in lost
    ]
    points = " ".join(f"{x(a):g},{_within(y(b)):g}" for a, b in stairs)
    return Chart(
        "Course of the search",
        f"{metric} of {len(found)} trials, the best {number(tuning.winner.value)} in trial {tuning.best}",
        "trial",
        metric,
        tuple(tick for tick in ticks(x) if "." not in tick.text),
        ticks(y),
        lines=(Line("best so far", "two", points),),
        dots=tuple(dots),
    )


def _without_outliers(values: Sequence[float], tuning: Tuning) -> tuple[float, float]:
    """The range of the values; the worst tenth is drawn at the border where it would press the others together."""
    sign = 1 if tuning.direction == "minimize" else -1
    ordered = sorted(values, key=lambda value: sign * value)
    kept = ordered[: max(2, math.ceil(0.9 * len(ordered)))]
    spread = abs(ordered[-1] - ordered[0])
    return padded(kept if spread > 4 * abs(kept[-1] - kept[0]) else ordered)


def _within(place: float) -> float:
    return min(max(place, LARGE.top), LARGE.bottom)


def _importance(tuning: Tuning) -> Chart:
    items = sorted(tuning.importance.items(), key=lambda item: -item[1])[:MOST_SHARES]
    told = ", ".join(f"{name} {percent(share)}" for name, share in items[:3])
    return shares(
        "Importance of the parameters", f"What decided whether a trial did well: {told}", items, x_label="share"
    )


def _parallel(tuning: Tuning, metric: str) -> Chart | None:
    """A line a trial through the values of the best trial's parameters to the metric; the better, the more in front."""
    axes = [axis for axis in tuning.axes if axis.key in tuning.winner.values and len(axis.choices) != 1]
    axes = sorted(axes, key=lambda axis: -tuning.importance.get(axis.key, 0.0))[:MOST_AXES]
    ranked = [trial for trial in _ranked(tuning) if all(axis.key in trial.values for axis in axes)]
    if not axes or len(ranked) < 2:
        return None
    low, high = _without_outliers([trial.value or 0.0 for trial in ranked], tuning)
    last = Axis(key=metric, min=low, max=high)
    step = (WIDE.right - WIDE.left) / len(axes)
    places = [round(WIDE.left + index * step, 2) for index in range(len(axes) + 1)]
    lines = []
    for rank, trial in reversed(list(enumerate(ranked))):
        heights = [*(_height(axis, trial.values[axis.key]) for axis in axes), _height(last, trial.value)]
        points = " ".join(f"{place:g},{height:g}" for place, height in zip(places, heights, strict=True))
        tone, name = ("one", "best quarter" if rank == 1 else "") if rank < len(ranked) / 4 else ("quiet", "")
        if rank == 0:
            tone, name = "two", "best trial"
        lines.append(Line(name, tone, points))
    rules = [rule for place, axis in zip(places, [*axes, last], strict=True) for rule in _axis(place, axis)]
    return Chart(
        "Values and what came of them",
        f"{len(ranked)} trials as lines through {', '.join(axis.key for axis in axes)} to {metric}; the best one has "
        + ", ".join(f"{axis.key} {_text(tuning.winner.values[axis.key])}" for axis in axes),
        lines=tuple(lines),
        rules=tuple(rules),
        frame=WIDE,
    )


def _axis(place: float, axis: Axis) -> list[Rule]:
    """The axis with its name above, and its ends or choices beside it, as rules without length that carry a text."""
    name = axis.key.rpartition(".")[2]
    found = [Rule(place, WIDE.top, place, WIDE.bottom), Rule(place, WIDE.top - 14, place, WIDE.top - 14, name)]
    if axis.choices:
        marks = [(_height(axis, choice), _text(choice)) for choice in axis.choices]
        return found + [Rule(place, height, place, height, text) for height, text in marks]
    ends = ((WIDE.bottom + 18, axis.min), (WIDE.top, axis.max))
    return found + [Rule(place, height, place, height, number(value)) for height, value in ends]


def _height(axis: Axis, value: JsonValue) -> float:
    """Where a value stands on its axis; choices are spread evenly."""
    if axis.choices:
        index = [json.dumps(choice) for choice in axis.choices].index(json.dumps(value))
        share = (index + 0.5) / len(axis.choices)
    else:
        assert isinstance(value, int | float)
        low, high, at = float(axis.min or 0.0), float(axis.max or 0.0), float(value)
        if axis.log:
            low, high, at = math.log(low), math.log(high), math.log(at)
        share = min(max((at - low) / (high - low), 0.0), 1.0)
    return round(WIDE.bottom - share * (WIDE.bottom - WIDE.top), 2)
