"""What automl tries, by the data and the time."""

from typing import Any

import pytest

from runwright_components.contract.artifacts import Field, Lineage, PreparedManifest, Signature, Tensor
from runwright_components.contract.config import ModelConfig, TrainConfig, TuneConfig
from runwright_components.contract.outcome import StageError
from runwright_components.train.tuning.assignment import assign
from runwright_components.train.tuning.automl import FAMILY, choose
from runwright_components.train.tuning.space import distribution, in_order, is_active, to_study

TENSORS = {
    "tabular": Tensor(name="numeric", dtype="float32", shape=(None, 20)),
    "image": Tensor(name="pixels", dtype="float32", shape=(None, 3, 32, 32)),
    "text": Tensor(name="input_ids", dtype="int64", shape=(None, None)),
}


def data(modality: Any = "tabular", rows: int = 1000, task: Any = "classification") -> PreparedManifest:
    signature = Signature(
        task=task, modality=modality, inputs=(Field(name="x", type="numeric"),), tensors=(TENSORS[modality],)
    )
    return PreparedManifest(
        digest="sha256:0",
        modality=modality,
        task=task,
        rows={"train": rows, "validation": rows // 5, "test": rows // 5},
        signature=signature,
        lineage=Lineage(stage="prepare", config="sha256:1"),
    )


def config(seconds: float, modality: Any = "tabular", task: Any = "classification") -> TrainConfig:
    return TrainConfig(
        task=task,
        modality=modality,
        model=ModelConfig(name="mlp"),
        tune=TuneConfig(automl=True, seconds=seconds),
    )


def families(prepared: PreparedManifest, seconds: float) -> list[str]:
    _, first = choose(prepared, config(seconds, prepared.modality, prepared.task))
    return [str(values[FAMILY]) for values in first]


def test_more_time_and_less_data_mean_more_families() -> None:
    assert families(data(rows=1000), 600) == ["lightgbm", "xgboost", "mlp", "transformer"]
    assert families(data(rows=100_000), 600) == ["lightgbm", "xgboost", "mlp"]
    assert families(data(rows=5_000_000), 600) == ["lightgbm", "xgboost"]
    assert families(data("image", rows=1000), 3600) == ["cnn", "resnet", "vit"]
    assert families(data("image", rows=1_000_000), 60) == ["cnn"], "the cheapest always stays"
    assert families(data("text", rows=500), 600)[0] == "textcnn"


@pytest.mark.parametrize("modality", ["tabular", "image", "text"])
@pytest.mark.parametrize("task", ["classification", "regression"])
def test_what_is_tried_first_is_in_the_space_and_makes_a_training(modality: str, task: str) -> None:
    given = config(36_000, modality, task)
    space, first = choose(data(modality, task=task), given)
    assert len({one.key for one in space}) == len(space)
    for values in first:
        active = [one.key for one in in_order(space) if is_active(one, values)]
        assert sorted(values) == sorted(active)
        for one in space:
            if one.key in values:
                assert distribution(one)._contains(distribution(one).to_internal_repr(to_study(one, values[one.key])))
        trained = assign(given, space, values)
        assert trained.model.name == values[FAMILY]
        assert (trained.model.trees is not None) == (trained.model.name in ("lightgbm", "xgboost"))


def test_it_knows_no_language_models() -> None:
    with pytest.raises(StageError, match="automl knows no models for text generation"):
        choose(data("text", task="generation"), config(60, "text", "generation"))
