"""The section of a search: its course, what mattered, and values as parallel coordinates."""

from typing import Any

import pytest

from runwright_components.contract.tuning import Axis, Trial, Tuning
from runwright_components.report.charts import LARGE
from runwright_components.report.tuning_view import WIDE, tuning_view

AXES = (
    Axis(key="learningRate", log=True, min=0.001, max=0.1),
    Axis(key="model.hidden", choices=([64], [32, 32])),
    Axis(key="momentum", min=0.0, max=0.9),
)


def trial(number: int, value: float | None, **fields: Any) -> Trial:
    values = {"learningRate": 0.01, "model.hidden": [64], **fields.pop("values", {})}
    state = "complete" if value is not None else "pruned"
    return Trial.model_validate(
        {"number": number, "state": state, "value": value, "values": values, "epochs": 5, "seconds": 2.0, **fields}
    )


def tuning(*trials: Trial, **fields: Any) -> Tuning:
    given = {"metric": "logLoss", "direction": "minimize", "algorithm": "tpe", "pruning": "median", "best": 1}
    return Tuning.model_validate(
        {**given, "trials": trials, "axes": AXES, "ended": "trials", "seconds": 60.0, **fields}
    )


SEARCH = tuning(
    trial(0, 0.5, values={"learningRate": 0.001}),
    trial(1, 0.2, values={"learningRate": 0.1, "model.hidden": [32, 32]}),
    trial(2, None),
    trial(3, 0.4, values={"momentum": 0.5}),
    trial(4, None, state="failed", message="out of memory"),
    importance={"learningRate": 0.75, "model.hidden": 0.25},
)


def test_the_search_is_told_in_a_sentence() -> None:
    view = tuning_view(SEARCH)
    assert view.sentence == (
        "5 trials (3 complete, 1 given up, 1 failed), until all trials were run; the model of trial 1 went on."
    )
    assert dict(view.facts)["Best Log loss"] == "0.2"
    assert dict(view.facts)["Epochs of all trials"] == "25"


def test_the_course_falls_to_the_best_and_keeps_it() -> None:
    course = tuning_view(SEARCH).charts[0]
    (stairs,) = course.lines
    heights = [float(point.split(",")[1]) for point in stairs.points.split()]
    assert heights == sorted(heights), "down on the page is less loss"
    assert len(course.dots) == 5
    quiet = [dot for dot in course.dots if dot.tone == "quiet"]
    assert {(dot.y, dot.note) for dot in quiet} == {
        (LARGE.bottom, "trial 2: given up"),
        (LARGE.bottom, "trial 4: failed"),
    }


def test_a_metric_that_is_maximized_rises() -> None:
    up = tuning(trial(0, 0.5), trial(1, 0.9), trial(2, 0.7), metric="accuracy", direction="maximize")
    (stairs,) = tuning_view(up).charts[0].lines
    heights = [float(point.split(",")[1]) for point in stairs.points.split()]
    assert heights == sorted(heights, reverse=True)


def test_a_trial_that_went_wild_does_not_press_the_others_together() -> None:
    wild = tuning(*(trial(number, 0.2 + number / 100) for number in range(19)), trial(19, 900.0), best=0)
    dots = [dot for dot in tuning_view(wild).charts[0].dots if dot.tone == "one"]
    assert max(dot.y for dot in dots[:19]) - min(dot.y for dot in dots[:19]) > 100
    assert dots[19].y == LARGE.top


def test_importance_is_left_out_when_it_is_not_known() -> None:
    assert len(tuning_view(SEARCH).charts) == 2
    assert len(tuning_view(SEARCH.model_copy(update={"importance": {}})).charts) == 1


def test_parallel_coordinates_have_the_axes_of_the_best_trial() -> None:
    wide = tuning_view(SEARCH).wide
    assert wide is not None
    names = [rule.text for rule in wide.rules if rule.y1 == WIDE.top - 14]
    assert names == ["learningRate", "hidden", "Log loss"], "momentum is no parameter of the best trial"
    best = next(line for line in wide.lines if line.name == "best trial")
    places = [tuple(map(float, point.split(","))) for point in best.points.split()]
    assert [x for x, _ in places] == [WIDE.left, (WIDE.left + WIDE.right) / 2, WIDE.right]
    assert places[0][1] == WIDE.top, "the greatest rate is on top"
    assert wide.lines[-1] == best, "nothing is drawn over it"


def test_one_trial_makes_no_coordinates() -> None:
    view = tuning_view(tuning(trial(1, 0.2)))
    assert view.wide is None
    assert [row.number for row in view.rows] == [1]


@pytest.mark.parametrize("direction", ["minimize", "maximize"])
def test_the_table_has_the_best_trials_first(direction: str) -> None:
    rows = tuning_view(SEARCH.model_copy(update={"direction": direction})).rows
    expected = [1, 3, 0] if direction == "minimize" else [0, 3, 1]
    assert [row.number for row in rows] == expected
    assert [row.number for row in rows if row.best] == [1]
    assert "model.hidden [32, 32]" in next(row for row in rows if row.best).values
