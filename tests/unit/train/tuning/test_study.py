"""The study: what is tried, in which order, what is given up, and what a killed process leaves."""

import json
from pathlib import Path
from typing import Any

import pytest

from runwright_components.contract.config import ConditionConfig, ParameterConfig, TuneConfig
from runwright_components.contract.tuning import JOURNAL
from runwright_components.train.tuning.budget import Spent, exhausted, reached
from runwright_components.train.tuning.objective import curve_value
from runwright_components.train.tuning.space import Values
from runwright_components.train.tuning.study import Study, journal_in

X = ParameterConfig(key="x", path=("x",), type="float", min=-1, max=1)
Y = ParameterConfig(key="y", path=("y",), type="int", min=1, max=1000, log=True)
KIND = ParameterConfig(key="kind", path=("kind",), type="choice", choices=("a", "b"))
ONLY_B = X.model_copy(update={"key": "z", "when": ConditionConfig(key="kind", values=("b",))})


def study(folder: Path, space: list[ParameterConfig], **fields: Any) -> Study:
    folder.mkdir(parents=True, exist_ok=True)
    first = fields.pop("first", ())
    return Study(journal_in(folder), TuneConfig.model_validate(fields), space, epochs=20, first=first)


def value_of(values: Values) -> float:
    return sum(float(value) ** 2 for value in values.values() if isinstance(value, int | float))


def run(one: Study, count: int) -> list[Values]:
    tried = []
    for _ in range(count):
        asked = one.ask()
        if asked is None:
            break
        number, values = asked
        tried.append(values)
        one.complete(number, value_of(values), epochs=1, seconds=0.0)
    return tried


@pytest.mark.parametrize("algorithm", ["tpe", "cmaes", "random"])
def test_the_same_seed_tries_the_same_values(tmp_path: Path, algorithm: str) -> None:
    space = [X, X.model_copy(update={"key": "w"}), KIND]
    one = run(study(tmp_path / "a", space, algorithm=algorithm, seed=3), 14)
    assert run(study(tmp_path / "b", space, algorithm=algorithm, seed=3), 14) == one
    assert run(study(tmp_path / "c", space, algorithm=algorithm, seed=4), 14) != one
    assert len({json.dumps(values) for values in one}) == 14, "no values are tried twice"


@pytest.mark.parametrize("algorithm", ["tpe", "cmaes", "random"])
def test_a_search_that_was_cut_short_goes_on_with_the_same_values(tmp_path: Path, algorithm: str) -> None:
    space = [X, Y, KIND, ONLY_B] if algorithm != "cmaes" else [X, Y]
    whole = run(study(tmp_path / "whole", space, algorithm=algorithm), 16)
    first = run(study(tmp_path / "cut", space, algorithm=algorithm), 7)
    assert first + run(study(tmp_path / "cut", space, algorithm=algorithm), 9) == whole


def test_trials_that_ran_are_found_again_with_their_values(tmp_path: Path) -> None:
    one = study(tmp_path, [X, KIND, ONLY_B])
    run(one, 2)
    asked = one.ask()
    again = study(tmp_path, [X, KIND, ONLY_B])
    assert again.unfinished() == [asked]
    assert [trial.number for trial in again.trials()] == [0, 1]
    assert again.begun == 3


def test_half_a_line_of_a_killed_process_is_cut_off(tmp_path: Path) -> None:
    run(study(tmp_path, [X]), 3)
    with (tmp_path / JOURNAL).open("ab") as file:
        file.write(b'{"op_code":4,"worker')
    assert len(study(tmp_path, [X]).trials()) == 3
    run(study(tmp_path, [X]), 1)
    assert len(study(tmp_path, [X]).trials()) == 4


def test_a_grid_covers_everything_once_and_then_ends(tmp_path: Path) -> None:
    steps = X.model_copy(update={"step": 0.5})
    space = [steps, KIND, ONLY_B.model_copy(update={"step": 1.0})]
    one = study(tmp_path, space, algorithm="grid")
    assert one.planned == 20
    tried = run(one, 3) + run(study(tmp_path, space, algorithm="grid"), 99)
    assert len(tried) == 20
    assert len({json.dumps(values, sort_keys=True) for values in tried}) == 20
    assert {values["x"] for values in tried} == {-1.0, -0.5, 0.0, 0.5, 1.0}
    assert study(tmp_path, space, algorithm="grid").ask() is None


def test_conditional_parameters_are_there_only_when_they_hold(tmp_path: Path) -> None:
    tried = run(study(tmp_path, [KIND, ONLY_B], algorithm="random"), 20)
    assert {("z" in values, values["kind"]) for values in tried} == {(False, "a"), (True, "b")}


@pytest.mark.parametrize("algorithm", ["tpe", "cmaes"])
def test_what_is_chosen_gets_better(tmp_path: Path, algorithm: str) -> None:
    space = [X.model_copy(update={"key": key}) for key in "pqr"]
    tried = [value_of(values) for values in run(study(tmp_path, space, algorithm=algorithm), 48)]
    assert min(tried[24:]) < min(tried[:12])
    assert sum(tried[36:]) < sum(tried[:12])


def test_given_values_are_tried_first(tmp_path: Path) -> None:
    first: list[Values] = [{"x": 0.25, "kind": "b", "z": 0.5}, {"x": -0.5, "kind": "a"}]
    one = study(tmp_path, [X, KIND, ONLY_B], first=first)
    assert run(one, 1) == first[:1]
    assert run(study(tmp_path, [X, KIND, ONLY_B], first=first), 2)[0] == first[1]


def test_the_median_gives_up_what_is_worse_after_the_warm_up(tmp_path: Path) -> None:
    one = study(tmp_path, [X], pruning="median", warmup_epochs=3)
    for _ in range(5):
        number, _ = one.ask() or (0, {})
        assert not any(one.report(number, epoch, 1.0) for epoch in range(1, 6))
        one.complete(number, 1.0, epochs=5, seconds=1.0)
    number, _ = one.ask() or (0, {})
    assert [one.report(number, epoch, 2.0) for epoch in range(1, 5)] == [False, False, True, True]
    one.prune(number, epochs=3, seconds=0.5)
    last = one.trials()[-1]
    assert (last.state, last.epochs, last.value) == ("pruned", 3, None)
    best = one.best()
    assert best is not None
    assert best.number == 0, "the earliest of equals"


def test_hyperband_gives_up_too(tmp_path: Path) -> None:
    one = study(tmp_path, [X], pruning="hyperband", warmup_epochs=1)
    stopped = 0
    for trial in range(30):
        number, _ = one.ask() or (0, {})
        given_up = next((epoch for epoch in range(1, 21) if one.report(number, epoch, float(trial))), None)
        if given_up is None:
            one.complete(number, float(trial), epochs=20, seconds=0.0)
        else:
            stopped += 1
            one.prune(number, epochs=given_up, seconds=0.0)
    assert stopped > 5


def test_an_epoch_told_again_after_a_resume_changes_nothing(tmp_path: Path) -> None:
    one = study(tmp_path, [X])
    number, _ = one.ask() or (0, {})
    one.report(number, 1, 0.5)
    again = study(tmp_path, [X])
    again.unfinished()
    size = (tmp_path / JOURNAL).stat().st_size
    again.report(number, 1, 0.5)
    assert (tmp_path / JOURNAL).stat().st_size == size


def test_long_curves_do_not_flood_the_journal(tmp_path: Path) -> None:
    one = study(tmp_path, [X])
    number, _ = one.ask() or (0, {})
    for epoch in range(1, 1001):
        one.report(number, epoch, 1 / epoch)
    assert (tmp_path / JOURNAL).read_text().count("intermediate_value") < 400


def test_the_parameter_that_decides_is_the_important_one(tmp_path: Path) -> None:
    noise = X.model_copy(update={"key": "noise"})
    one = study(tmp_path, [X, noise, KIND, ONLY_B], algorithm="random")
    assert one.importance() == {}
    for _ in range(40):
        number, values = one.ask() or (0, {})
        one.complete(number, float(str(values["x"])) ** 2, epochs=1, seconds=0.0)
    importance = one.importance()
    assert set(importance) == {"x", "noise", "kind", "z"}
    assert next(iter(importance)) == "x"
    assert sum(importance.values()) == pytest.approx(1.0, abs=1e-4)


def test_failures_keep_their_message(tmp_path: Path) -> None:
    one = study(tmp_path, [X])
    number, _ = one.ask() or (0, {})
    one.fail(number, "out of memory", epochs=2, seconds=1.0)
    number, _ = one.ask() or (0, {})
    one.fail(number, "the budget was spent", epochs=1, seconds=1.0, stopped=True)
    assert [(trial.state, trial.message) for trial in one.trials()] == [
        ("failed", "out of memory"),
        ("stopped", "the budget was spent"),
    ]
    assert one.best() is None


def test_the_time_spent_outlives_the_process(tmp_path: Path) -> None:
    with study(tmp_path, [X]) as one:
        one.spent.seconds += 12.5
    assert study(tmp_path, [X]).spent.seconds == 12.5


def test_the_first_limit_ends_the_search() -> None:
    config = TuneConfig(trials=3, seconds=60.0, gpu_seconds=100.0)
    assert reached(config, Spent(), 2) is None
    assert reached(config, Spent(), 3) == "trials"
    assert reached(config, Spent(seconds=60.0), 1) == "time"
    assert exhausted(config, Spent(gpu_seconds=101.0)) == "gpuSeconds"
    assert exhausted(config, Spent(seconds=59.0, gpu_seconds=99.0)) is None


@pytest.mark.parametrize(
    ("metric", "direction", "expected"),
    [
        ("accuracy", "maximize", 0.75),
        ("errorRate", "minimize", 0.25),
        ("loss", "minimize", 0.5),
        ("logLoss", "minimize", 0.5),
        ("rocAuc", "maximize", -0.5),
    ],
)
def test_pruning_goes_by_the_metric_or_by_the_loss(metric: str, direction: str, expected: float) -> None:
    config = TuneConfig.model_validate({"metric": metric, "direction": direction})
    assert curve_value(config, {"validation_loss": 0.5, "accuracy": 0.75}) == expected
    assert curve_value(config, {"validation_loss": float("nan")}) is None
