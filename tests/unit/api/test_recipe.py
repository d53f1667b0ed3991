"""What starts a new revision, and what does not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from runwright_api import load_object, recipe, recipe_digest

Make = Callable[..., dict[str, Any]]
IMAGES = {"train": "ghcr.io/acme/train@sha256:" + "0" * 64}
S3 = {"uri": "s3://bucket/data/"}


def digest(run: dict[str, Any], images: dict[str, str] | None = None) -> str:
    return recipe_digest(load_object(run), IMAGES if images is None else images)


@pytest.mark.parametrize(
    "changes",
    [
        {"metadata.name": "other"},
        {"metadata.labels": {"team": "a"}},
        {"spec.train.resources": {"cpu": "4", "memory": "8Gi"}},
        {"spec.train.scheduling": {"queue": "a"}},
        {"spec.train.retries": {"failures": 9}},
        {"spec.train.timeout": "3h"},
        {"spec.train.checkpoint": {"everySteps": 5}},
        {"spec.package": {"description": "x", "license": "MIT", "parityTolerance": 0.01}},
        {"spec.evaluate": {"gate": [{"metric": "accuracy", "min": 0.5}], "slices": ["island"]}},
        {"spec.deploy": {"mode": "None"}},
        {"spec.register": {"uri": "models"}},
        {"spec.storage": {"uri": "s3://bucket/x"}},
        {"spec.layout": "stages"},
        {"spec.suspend": True},
        {"spec.history": {"limit": 3}},
        # defaults written down
        {"spec.train.epochs": 50, "spec.train.model": {"name": "mlp"}, "spec.train.earlyStopping": {"enabled": True}},
        {"spec.prepare.split": {"strategy": "stratified", "train": 0.7}, "spec.data.engine": "local"},
        {"spec.data.sources.0.name": "source-0"},
        {"spec.data.engine": "ray"},
    ],
)
def test_the_same_model(make: Make, changes: dict[str, Any]) -> None:
    assert digest(make(changes)) == digest(make())


@pytest.mark.parametrize(
    "changes",
    [
        {"spec.data.sources.0.path": "data/other.csv"},
        {"spec.data.maxRows": 10},
        {"spec.prepare.target": "island"},
        {"spec.prepare.split": {"seed": 1}},
        {"spec.prepare.columns": [{"name": "sex", "type": "ignore"}]},
        {"spec.train.epochs": 51},
        {"spec.train.seed": 1},
        {"spec.train.model": {"hidden": []}},
        {"spec.train.resources": {"nodes": 2}},
        {"spec.train.resources": {"processesPerNode": 2}},
        {"spec.train.resources": {"gpusPerNode": 1}},
        {"spec.package": {"formats": ["onnx"]}},
        # given without a word more
        {"spec.prepare.numeric": {"bins": {}}},
        {"spec.prepare.dates": {}},
    ],
)
def test_another_model(make: Make, changes: dict[str, Any]) -> None:
    assert digest(make(changes)) != digest(make())


def test_secrets_are_no_part_of_it(make: Make) -> None:
    plain = make({"spec.data.sources.0": {"s3": S3}})
    assert digest(make({"spec.data.sources.0": {"s3": S3 | {"secretRef": {"name": "x"}}}})) == digest(plain)
    assert digest(make({"spec.data.sources.0": {"s3": S3 | {"endpoint": "https://minio:9000"}}})) != digest(plain)
    http = {"url": "https://example.org/x.csv"}
    with_header = {"spec.data.sources.0": {"http": http | {"headersFrom": {"Authorization": "TOKEN"}}}}
    assert digest(make(with_header)) == digest(make({"spec.data.sources.0": {"http": http}}))


def test_the_secret_of_logs_is_no_part_of_it(make: Make) -> None:
    def logs(**s3: Any) -> str:
        return digest(make({"spec.data": {"sources": [{"logs": {"s3": {**S3, **s3}, "layout": "combined"}}]}}))

    assert logs(secretRef={"name": "a"}) == logs() != logs(region="eu")


def test_images_are_part_of_it(make: Make) -> None:
    assert digest(make(), {}) != digest(make())
    assert digest(make(), {"a": "1", "b": "2"}) == digest(make(), {"b": "2", "a": "1"})


def test_the_recipe_of_the_smallest_run(make: Make) -> None:
    """Frozen: a change here makes every model in the world be trained again."""
    run = load_object(make())
    assert recipe(run) == {
        "data": {"sources": [{"path": "data/penguins.csv"}]},
        "prepare": {"target": "species"},
        "train": {"task": "tabular-classification"},
    }
    assert recipe_digest(run, {}) == "sha256:edfb3938f82ac11ccd03f3088da67e29164d7ae52838f76e2e67b1088807824f"


def test_the_order_of_fields_does_not_matter(make: Make) -> None:
    run = make({"spec.train.epochs": 3})
    turned = {**run, "spec": dict(reversed(run["spec"].items()))}
    turned["spec"]["train"] = dict(reversed(run["spec"]["train"].items()))
    assert digest(turned) == digest(run)
