"""The search space: conditions, grids, scales, and a trial's values in its training's configuration."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runwright_components.contract.config import ConditionConfig, ModelConfig, ParameterConfig, TrainConfig
from runwright_components.contract.config.trees import TreesConfig
from runwright_components.contract.outcome import StageError
from runwright_components.train.tuning.assignment import assign
from runwright_components.train.tuning.space import (
    distribution,
    from_study,
    from_unit,
    grid,
    in_order,
    is_active,
    points,
    to_study,
    to_unit,
)

MODEL = ParameterConfig(key="model.name", path=("model", "name"), type="choice", choices=("mlp", "transformer"))
HEADS = ParameterConfig(
    key="model.heads",
    path=("model", "heads"),
    type="int",
    min=2,
    max=8,
    step=2,
    when=ConditionConfig(key="model.name", values=("transformer",)),
)
RATE = ParameterConfig(
    key="learningRate", path=("learning_rate",), type="float", min=1e-4, max=0.1, log=True
)  # fmt: skip
HIDDEN = ParameterConfig(key="model.hidden", path=("model", "hidden"), type="choice", choices=([64], [32, 32], []))
CONFIG = TrainConfig(task="classification", modality="tabular", model=ModelConfig(name="mlp"))


def test_a_grid_holds_every_combination_once_and_no_inactive_parameter() -> None:
    found = list(grid([HEADS, MODEL]))
    assert found == [
        {"model.name": "mlp"},
        *({"model.name": "transformer", "model.heads": heads} for heads in (2, 4, 6, 8)),
    ]
    assert len(list(grid([HEADS, MODEL, HIDDEN]))) == 15


def test_points_of_a_stepped_float_reach_the_end() -> None:
    dropout = ParameterConfig(key="d", path=("d",), type="float", min=0.1, max=0.5, step=0.2)
    assert points(dropout) == [0.1, 0.3, 0.5]


def test_a_parameter_comes_after_the_one_that_it_depends_on() -> None:
    assert [one.key for one in in_order([HEADS, MODEL])] == ["model.name", "model.heads"]
    circle = HEADS.model_copy(update={"when": ConditionConfig(key="model.heads", values=(2,))})
    with pytest.raises(ValueError, match=r"model\.heads lead nowhere"):
        in_order([circle])


def test_conditions_tell_types_apart() -> None:
    flag = HEADS.model_copy(update={"when": ConditionConfig(key="flag", values=(True,))})
    assert is_active(flag, {"flag": True})
    assert not is_active(flag, {"flag": 1})
    assert not is_active(flag, {})


@pytest.mark.parametrize("value", [[64], [32, 32], []])
def test_lists_survive_the_study(value: list[int]) -> None:
    kept = to_study(HIDDEN, value)
    assert kept in distribution(HIDDEN).choices
    assert from_study(HIDDEN, kept) == value


@given(place=st.floats(0, 1))
def test_places_in_the_unit_interval_are_values_within_the_bounds(place: float) -> None:
    rate = from_unit(RATE, place)
    assert RATE.min <= rate <= RATE.max
    assert to_unit(RATE, rate) == pytest.approx(place, abs=1e-9)
    heads = from_unit(HEADS, place)
    assert heads in (2, 4, 6, 8)


def test_values_stand_in_the_configuration_and_the_search_does_not() -> None:
    values = {"learningRate": 0.05, "model.hidden": [32, 32]}
    config = assign(CONFIG, [RATE, HIDDEN, MODEL, HEADS], values)
    assert (config.learning_rate, config.model.hidden, config.tune) == (0.05, (32, 32), None)
    assert config.model_copy(update={"learning_rate": 1e-3, "model": CONFIG.model}) == CONFIG


def test_gradient_clip_0_does_not_clip() -> None:
    clip = ParameterConfig(key="gradientClip", path=("gradient_clip",), type="int", min=0, max=5)
    assert assign(CONFIG, [clip], {"gradientClip": 0}).gradient_clip is None


def test_a_part_that_is_off_is_switched_on() -> None:
    patience = ParameterConfig(
        key="earlyStopping.patience", path=("early_stopping", "patience"), type="int", min=1, max=9
    )
    config = assign(CONFIG.model_copy(update={"early_stopping": None}), [patience], {"earlyStopping.patience": 3})
    assert config.early_stopping is not None
    assert config.early_stopping.patience == 3


def test_trees_get_what_trees_need() -> None:
    name = MODEL.model_copy(update={"choices": ("mlp", "lightgbm")})
    leaves = ParameterConfig(key="l", path=("model", "trees", "leaves"), type="int", min=2, max=99)
    config = assign(CONFIG, [name, leaves], {"model.name": "lightgbm", "l": 7})
    assert config.model.trees is not None
    usual = TreesConfig.of("lightgbm", CONFIG.task)
    assert config.model.trees == usual.model_copy(update={"leaves": 7})
    assert config.early_stopping is not None
    assert config.early_stopping.patience == 50
    assert assign(CONFIG, [name, leaves], {"model.name": "mlp"}).model.trees is None


def test_values_that_make_no_configuration_are_told() -> None:
    activation = ParameterConfig(key="a", path=("model", "activation"), type="choice", choices=("relu", "tan"))
    with pytest.raises(StageError, match=r"model\.activation"):
        assign(CONFIG, [activation], {"a": "tan"})
