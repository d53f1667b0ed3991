"""From the TrainingRun of an agent to what the stages and a cluster are told."""

from __future__ import annotations

from typing import Any

from runwright_api import load_object
from runwright_api.names import API_VERSION, KIND
from runwright_operator.reading import read_run
from runwright_pipelines.compiling import pipeline_spec
from runwright_pipelines.lowering import lower
from runwright_pipelines.secrets import with_secrets


def _run(**environment: Any) -> dict[str, Any]:
    spec = {
        "train": {
            "task": "environment-control",
            "environment": environment,
            "reinforcement": {"timesteps": 500, "hidden": [8]},
            "seed": 3,
        },
        "evaluate": {"episodes": 7},
        "storage": {"uri": "s3://bucket/store"},
    }
    return {"apiVersion": API_VERSION, "kind": KIND, "metadata": {"name": "house"}, "spec": spec}


def _house(file: str) -> dict[str, Any]:
    return _run(file=file, **{"class": "House"}, files=["s3://bucket/winter.csv"], arguments={"warmest": 22})


def test_the_environment_goes_to_collect_and_the_agent_to_train() -> None:
    told = lower(load_object(_house("house.py")))
    assert told.collect.sources == ()
    assert told.collect.environment is not None
    assert told.collect.environment.class_name == "House"
    assert told.collect.environment.arguments == {"warmest": 22}
    assert (told.prepare.modality, told.prepare.task) == ("environment", "control")
    assert told.train.model.name == "policy"
    assert told.train.reinforcement is not None
    assert (told.train.reinforcement.timesteps, told.train.reinforcement.hidden) == (500, (8,))
    assert told.train.seed == 3
    assert told.evaluate.episodes == 7


def test_a_cluster_refuses_files_of_this_machine() -> None:
    told = "spec.train.environment.file: a pod cannot read a path of your machine; copy the file to object storage and"
    assert read_run(_house("house.py")) == (None, (f"{told} give its s3:// address",))
    assert read_run(_house("s3://bucket/house.py"))[0] is not None
    assert read_run(_run(id="CartPole-v1"))[0] is not None


def test_the_step_that_brings_files_gets_the_secret_of_the_storage() -> None:
    for environment, steps in ((_house("s3://bucket/house.py"), 2), (_run(id="CartPole-v1"), 1)):
        made = load_object(environment)
        handed = with_secrets(pipeline_spec(made), made, "storage")
        executors = handed["platform_spec"]["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
        assert len(executors) == steps
