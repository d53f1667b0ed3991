"""Boosted trees in a TrainingRun: sizes of the right family, patience in rounds, one process."""

from typing import Any

import pytest
from pydantic import ValidationError

from runwright_api.part import Broken
from runwright_api.spec.train import TrainSpec
from runwright_pipelines.lowering import _train


def spec(model: dict[str, Any], **train: Any) -> TrainSpec:
    return TrainSpec.model_validate({"task": "tabular-classification", "model": model, **train})


def broken(model: dict[str, Any], **train: Any) -> list[Broken]:
    with pytest.raises(ValidationError) as error:
        spec(model, **train)
    return [one for found in error.value.errors() for one in found["ctx"]["broken"]]


@pytest.mark.parametrize("name", ["xgboost", "lightgbm"])
def test_sizes_of_a_network_are_refused_where_they_stand(name: str) -> None:
    first, second = broken({"name": name, "depth": 3, "hidden": [8]})
    assert {first.path, second.path} == {("depth",), ("hidden",)}
    assert first.message == "xgboost and lightgbm have the sizes under `trees`, not those of a network"
    assert "trees.depth" in first.cure


def test_trees_of_a_network_are_refused() -> None:
    (found,) = broken({"name": "mlp", "trees": {"rounds": 10}})
    assert found.path == ("trees",)
    assert found.message == "`trees` is for xgboost and lightgbm"


def test_leaves_are_a_size_of_lightgbm() -> None:
    found = broken({"name": "xgboost", "trees": {"leaves": 7, "minChildRows": 3}})
    assert [one.path for one in found] == [("trees", "leaves"), ("trees", "minChildRows")]
    assert "minChildWeight" in found[0].cure
    assert spec({"name": "lightgbm", "trees": {"leaves": 7, "minChildRows": 3}})


@pytest.mark.parametrize("field", ["learningRate", "epochs", "batchSize", "labelSmoothing", "optimizer"])
def test_what_only_a_network_learns_by_is_refused(field: str) -> None:
    value = {"learningRate": 0.1, "epochs": 3, "batchSize": 8, "labelSmoothing": 0.1, "optimizer": "sgd"}[field]
    (found,) = broken({"name": "xgboost"}, **{field: value})
    assert found.path == (field,)
    assert found.message == "xgboost and lightgbm learn by rounds, without what a network's optimizer needs"
    assert "model.trees.learningRate" in found.cure


@pytest.mark.parametrize("resources", [{"nodes": 2}, {"gpusPerNode": 1}, {"processesPerNode": 2}])
def test_trees_grow_in_one_process_without_a_gpu(resources: dict[str, int]) -> None:
    (found,) = broken({"name": "lightgbm"}, resources=resources)
    assert found.path == ("resources", *resources)
    assert found.message == "xgboost and lightgbm train in one process on the CPU"


def test_patience_counts_rounds() -> None:
    assert spec({"name": "xgboost"}).early_stopping.patience == 50
    assert spec({"name": "xgboost"}, earlyStopping={"minDelta": 0.1}).early_stopping.patience == 50
    assert spec({"name": "xgboost"}, earlyStopping={"patience": 7}).early_stopping.patience == 7
    assert spec({"name": "mlp"}).early_stopping.patience == 10


def test_defaults_are_resolved_for_the_family_and_what_is_given_stays() -> None:
    given = _train(spec({"name": "lightgbm", "trees": {"rounds": 12, "l2": 3.0}})).model.trees
    default = _train(spec({"name": "lightgbm"})).model.trees
    assert given is not None
    assert default is not None
    assert given == default.model_copy(update={"rounds": 12, "l2": 3.0})
    assert default.depth != _train(spec({"name": "xgboost"})).model.trees.depth  # type: ignore[union-attr]
    assert _train(spec({"name": "mlp"})).model.trees is None


@pytest.mark.parametrize(("size", "value"), [("rounds", 0), ("learningRate", 0.0), ("rowFraction", 1.5), ("bins", 1)])
def test_sizes_have_bounds(size: str, value: float) -> None:
    with pytest.raises(ValidationError) as error:
        spec({"name": "xgboost", "trees": {size: value}})
    assert error.value.errors()[0]["loc"] == ("model", "trees", size)


def test_a_table_may_have_a_transformer() -> None:
    assert spec({"name": "transformer"}).model.name == "transformer"
    assert broken({"name": "transformer", "width": 10})[0].path == ("heads",)
