"""A TrainingRun becomes stage configurations with every default resolved."""

from collections.abc import Callable
from typing import Any

import pytest

from runwright_api.trainingrun import TrainingRun
from runwright_components.contract.config import (
    Bound,
    CollectConfig,
    EarlyStopping,
    EvaluateConfig,
    PrepareConfig,
    Source,
    TrainConfig,
)
from runwright_pipelines.lowering import lower

MakeRun = Callable[..., TrainingRun]


def test_the_smallest_run_takes_the_defaults_of_the_stages(make_run: MakeRun) -> None:
    configs = lower(make_run())
    assert configs.collect == CollectConfig(sources=(Source(name="source-0", uri="data.csv"),))
    prepare = PrepareConfig(modality="tabular", task="classification", target="species")
    assert configs.prepare == prepare.model_copy(update={"split": configs.prepare.split})
    assert configs.prepare.split.strategy == "stratified"
    assert configs.train == TrainConfig(task="classification", modality="tabular", model={"name": "mlp"})
    assert configs.evaluate == EvaluateConfig(task="classification", run_name="demo")
    assert configs.register.uri == ""
    assert configs.deploy.mode == "Standard"


def test_paths_stay_relative_and_no_folder_of_this_machine_is_named(make_run: MakeRun) -> None:
    configs = lower(
        make_run(
            data={"sources": [{"path": "../data/*.csv"}]},
            prepare={"target": "label"},
            train={"task": "text-classification", "model": {"name": "pretrained", "pretrained": "encoder"}},
        )
    )
    assert configs.collect.sources[0].uri == "../data/*.csv"
    assert configs.train.model.pretrained == configs.prepare.pretrained == "encoder"
    assert {configs.collect.base, configs.prepare.base, configs.train.base} == {"."}


@pytest.mark.parametrize(
    ("place", "expected"),
    [
        ({"path": "a.csv"}, {"uri": "a.csv"}),
        (
            {"http": {"url": "https://example.com/a.csv", "headersFrom": {"Authorization": "TOKEN"}}},
            {"uri": "https://example.com/a.csv", "headers_env": {"Authorization": "TOKEN"}},
        ),
        (
            {"s3": {"uri": "s3://bucket/data/", "endpoint": "http://minio:9000", "region": "eu-west-1"}},
            {"uri": "s3://bucket/data/", "endpoint": "http://minio:9000", "region": "eu-west-1"},
        ),
    ],
)
def test_each_kind_of_source(make_run: MakeRun, place: dict[str, Any], expected: dict[str, Any]) -> None:
    source = lower(make_run(data={"sources": [{"name": "a", **place}]})).collect.sources[0]
    assert source == Source.model_validate({"name": "a", **expected})


def test_training_settings_that_are_spelled_otherwise(make_run: MakeRun) -> None:
    train = lower(
        make_run(
            prepare={"target": "label"},
            train={
                "task": "image-classification",
                "augment": {"crop": True, "flip": True},
                "gradientClip": 0,
                "earlyStopping": {"enabled": False},
                "checkpoint": {"everySteps": 7, "keep": 3, "keepEvery": 1000, "everyMinutes": 5},
                "collectiveTimeout": "2m",
                "retries": {"failures": 4},
                "resources": {"nodes": 4, "processesPerNode": 2},
            },
        )
    ).train
    assert (train.augment.crop, train.augment.flip, train.augment.mixup) == (True, True, 0.0)
    assert train.gradient_clip is None
    assert train.early_stopping is None
    assert (train.checkpoint_every_steps, train.checkpoint_every_minutes) == (7, 5)
    assert (train.checkpoint_keep, train.checkpoint_keep_every) == (3, 1000)
    assert (train.processes, train.max_restarts, train.collective_timeout) == (2, 4, 120)
    assert train.model.name == "cnn"


def test_early_stopping_is_on_unless_disabled(make_run: MakeRun) -> None:
    train = lower(make_run(train={"task": "tabular-classification", "earlyStopping": {"patience": 3}})).train
    assert train.early_stopping == EarlyStopping(patience=3)


def test_the_gate_the_package_and_deploy(make_run: MakeRun) -> None:
    configs = lower(
        make_run(
            evaluate={"slices": ["island"], "gate": [{"metric": "accuracy", "min": 0.9, "slice": "island=Biscoe"}]},
            package={"description": "A demo", "license": "MIT"},
            register={"uri": "s3://models/"},
            deploy={"mode": "None"},
        )
    )
    assert configs.evaluate.gate == (Bound(metric="accuracy", min=0.9, slice="island=Biscoe"),)
    assert configs.evaluate.slices == ("island",)
    assert (configs.package.description, configs.package.license) == ("A demo", "MIT")
    assert configs.register.uri == "s3://models/"
    assert configs.deploy.mode == "none"


def test_regression_splits_at_random(make_run: MakeRun) -> None:
    configs = lower(make_run(train={"task": "tabular-regression"}))
    assert configs.prepare.split.strategy == "random"
    assert configs.train.task == configs.evaluate.task == "regression"


def test_what_only_a_cluster_uses_changes_no_configuration(make_run: MakeRun) -> None:
    plain = make_run(train={"task": "tabular-classification"})
    scheduled = make_run(
        train={
            "task": "tabular-classification",
            "resources": {"nodes": 8, "gpusPerNode": 8, "cpu": "4"},
            "scheduling": {"queue": "research"},
            "retries": {"failures": 5},
        },
        storage={"uri": "s3://bucket/runs"},
    )
    assert lower(plain) == lower(scheduled)


def test_an_engine_prepares_and_changes_nothing_else(make_run: MakeRun) -> None:
    local, spark = lower(make_run()), lower(make_run(data={"engine": "spark", "sources": [{"path": "data.csv"}]}))
    assert spark.prepare == local.prepare.model_copy(update={"engine": "spark"})
    assert (spark.collect, spark.train) == (local.collect, local.train)
