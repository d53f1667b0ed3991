"""From spec.tune to the search's configuration: every field that can be searched has a place in the training's."""

import re
from typing import Any, get_args

import pytest
from pydantic import BaseModel

from runwright_api import load_object
from runwright_api.spec.search_space import fields
from runwright_components.contract.config import TrainConfig, TuneConfig
from runwright_pipelines.lowering import lower


def run(tune: dict[str, Any] | None, task: str = "tabular-classification") -> TrainConfig:
    spec: dict[str, Any] = {
        "data": {"sources": [{"path": "x.csv"}]},
        "prepare": {"target": "y"},
        "train": {"task": task},
        "tune": tune,
    }
    document = {"apiVersion": "runwright.dev/v1alpha1", "kind": "TrainingRun", "metadata": {"name": "x"}, "spec": spec}
    return lower(load_object(document)).train


def tuned(tune: dict[str, Any], task: str = "tabular-classification") -> TuneConfig:
    found = run(tune, task).tune
    assert found is not None
    return found


RATE = {"name": "learningRate", "type": "float", "min": 0.001, "max": 0.1, "log": True}


def test_without_tune_there_is_no_search() -> None:
    assert run(None).tune is None


def test_trials_are_jobs_where_that_is_asked_for() -> None:
    assert not tuned({"searchSpace": [RATE]}).jobs
    assert tuned({"searchSpace": [RATE], "backend": "jobs", "storage": {"secretRef": {"name": "study"}}}).jobs


def test_a_search_is_lowered_with_its_defaults() -> None:
    found = tuned({"searchSpace": [RATE]})
    assert (found.metric, found.direction, found.trials, found.seconds) == ("logLoss", "minimize", 20, None)
    (parameter,) = found.parameters
    assert (parameter.key, parameter.path, parameter.log) == ("learningRate", ("learning_rate",), True)
    assert tuned({"searchSpace": [RATE]}, "tabular-regression").metric == "rmse"
    assert tuned({"searchSpace": [RATE], "objective": {"metric": "f1Macro"}}).direction == "maximize"


def test_budgets_and_conditions_are_lowered() -> None:
    hidden = {"name": "model.hidden", "type": "choice", "choices": [[64], [32, 32]]}
    dropout = {
        "name": "model.dropout",
        "type": "float",
        "min": 0,
        "max": 0.5,
        "when": {"name": "model.hidden", "equals": [64]},
    }
    found = tuned({"searchSpace": [hidden, dropout], "budget": {"time": "1h30m", "gpuSeconds": 10}, "parallel": 4})
    assert (found.seconds, found.gpu_seconds, found.parallel) == (5400, 10, 4)
    assert found.parameters[0].choices == ([64], [32, 32])
    assert found.parameters[1].when is not None
    assert found.parameters[1].when.values == ([64],)


def test_a_grid_and_automl_have_no_limit_of_trials() -> None:
    epochs = {"name": "epochs", "type": "int", "min": 1, "max": 3}
    assert tuned({"searchSpace": [epochs], "algorithm": "grid"}).trials is None
    assert tuned({"automl": True, "budget": {"time": "1m"}}).trials is None


@pytest.mark.parametrize("name", sorted(fields()))
def test_every_field_that_can_be_searched_is_one_of_the_training(name: str) -> None:
    model: type[BaseModel] = TrainConfig
    for part in name.split("."):
        field = model.model_fields[re.sub(r"[A-Z]", lambda letter: f"_{letter[0].lower()}", part)]
        kinds = [field.annotation, *get_args(field.annotation)]
        model = next((kind for kind in kinds if isinstance(kind, type) and issubclass(kind, BaseModel)), model)
