"""The gate: bounds, boundaries, slices, and messages that a person understands."""

from __future__ import annotations

import pytest

from runwright_components.contract import gate
from runwright_components.contract.config import Bound
from runwright_components.contract.evaluation import SliceMetrics
from runwright_components.contract.outcome import ExitCode, Reason, StageError

SLICES = (
    SliceMetrics(column="island", value="Biscoe", rows=40, metrics={"accuracy": 0.95}),
    SliceMetrics(column="island", value="Torgersen", rows=1, metrics={"accuracy": 0.0}),
    SliceMetrics(column="mass", value="Q1: up to 3500", rows=25, metrics={"accuracy": 0.8}),
)


def judge(bound: Bound, **metrics: float) -> tuple[bool, str]:
    (check,) = gate.judge([bound], metrics, SLICES)
    return check.passed, check.message


def test_a_value_below_the_bound_is_rejected() -> None:
    passed, message = judge(Bound(metric="accuracy", min=0.9), accuracy=0.871)
    assert not passed
    assert message == "accuracy 0.871 is below the required 0.9"


def test_a_value_above_the_bound_is_rejected() -> None:
    assert judge(Bound(metric="rmse", max=2.5), rmse=3.25) == (False, "rmse 3.25 is above the allowed 2.5")


def test_equal_to_the_bound_passes() -> None:
    assert judge(Bound(metric="accuracy", min=0.9), accuracy=0.9) == (True, "accuracy 0.9 is at least 0.9")
    assert judge(Bound(metric="errorRate", max=0.1), errorRate=0.1)[0]
    assert judge(Bound(metric="r2", min=0.5, max=0.5), r2=0.5) == (True, "r2 0.5 is at least 0.5 and at most 0.5")


def test_a_hair_below_shows_the_digits_that_differ() -> None:
    passed, message = judge(Bound(metric="accuracy", min=0.9), accuracy=0.8999999)
    assert not passed
    assert message == "accuracy 0.8999999 is below the required 0.9"


@pytest.mark.parametrize("metrics", [{"accuracy": float("nan")}, {"accuracy": float("inf")}, {}])
def test_what_is_not_a_number_never_passes(metrics: dict[str, float]) -> None:
    (check,) = gate.judge([Bound(metric="accuracy", min=0.0), Bound(metric="accuracy", max=9.0)][:1], metrics, ())
    assert not check.passed
    assert check.value is None
    assert check.message == "accuracy cannot be computed from these rows"


def test_slices() -> None:
    passed, message = judge(Bound(metric="accuracy", min=0.9, slice="island=Biscoe"))
    assert passed
    assert message == "accuracy 0.95 on island=Biscoe (40 rows) is at least 0.9"
    assert judge(Bound(metric="accuracy", min=0.9, slice="island=torgersen")) == (
        False,
        "accuracy 0 on island=torgersen (1 row) is below the required 0.9",
    )
    assert judge(Bound(metric="accuracy", min=0.8, slice="mass=Q1"))[0]
    assert not judge(Bound(metric="rocAuc", min=0.1, slice="mass=Q1: up to 3500"))[0]


def test_no_bounds_no_checks() -> None:
    assert gate.judge((), {"accuracy": 0.1}, ()) == ()


def refused(*bounds: Bound, task: str = "classification") -> StageError:
    with pytest.raises(StageError) as caught:
        gate.validate(bounds, task)
    assert caught.value.reason is Reason.INVALID_CONFIG
    assert caught.value.exit_code is ExitCode.USER
    return caught.value


def test_unknown_metric_gets_a_suggestion() -> None:
    error = refused(Bound(metric="errorRate", max=1.0), Bound(metric="acuracy", min=0.9))
    assert error.where == "evaluate.gate[1]"
    assert 'did you mean "accuracy"?' in error.cure
    assert 'did you mean "f1Macro"?' in refused(Bound(metric="F1_macro", min=0.9)).cure


def test_metric_of_the_other_task() -> None:
    error = refused(Bound(metric="accuracy", min=0.9), task="regression")
    assert error.message == '"accuracy" is not a metric of a regression'
    assert "rmse" in error.cure


@pytest.mark.parametrize(
    ("bound", "message"),
    [
        (Bound(metric="accuracy"), "neither min nor max"),
        (Bound(metric="accuracy", min=0.9, max=0.8), "above max"),
        (Bound(metric="accuracy", min=float("nan")), "not a finite number"),
        (Bound(metric="accuracy", min=0.9, slice="island"), "names no value"),
        (Bound(metric="latencyP50Ms", max=1.0, slice="island=Biscoe"), "not measured on slices"),
    ],
)
def test_bounds_that_nothing_could_judge(bound: Bound, message: str) -> None:
    assert message in refused(bound).message


def test_unknown_slice_gets_a_suggestion() -> None:
    with pytest.raises(StageError) as caught:
        gate.judge([Bound(metric="accuracy", min=0.9, slice="island=Bisco")], {}, SLICES)
    assert caught.value.where == "evaluate.gate[0].slice"
    assert 'did you mean "island=Biscoe"?' in caught.value.cure


def test_columns_of_the_bounds() -> None:
    bounds = [Bound(metric="accuracy", slice=name) for name in ("b=1", "a=2", "b=x=y")]
    assert gate.columns([*bounds, Bound(metric="accuracy")]) == ("b", "a")
