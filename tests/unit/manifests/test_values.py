"""The chart's values: every one explained, typed, and nothing else accepted."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import jsonschema
import pytest
import yaml

from runwright_operator import settings
from tests.golden.rendering import CHART
from tests.golden.values_table import leaves, with_table

VALUES = (CHART / "values.yaml").read_text(encoding="utf-8")
SCHEMA = json.loads((CHART / "values.schema.json").read_text(encoding="utf-8"))


def test_the_defaults_are_valid() -> None:
    jsonschema.validate(yaml.safe_load(VALUES), SCHEMA)


@pytest.mark.parametrize("leaf", list(leaves(VALUES)), ids=lambda leaf: leaf[0])
def test_every_value_is_explained(leaf: tuple[str, object, str]) -> None:
    path, _, comment = leaf
    assert comment.endswith("."), f"{path} has no comment"


def _objects(schema: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    if "properties" in schema:
        yield path, schema
        for name, part in schema["properties"].items():
            yield from _objects(part, f"{path}.{name}")


def test_no_group_takes_a_value_that_is_not_listed() -> None:
    for path, schema in _objects(SCHEMA):
        assert schema["additionalProperties"] is False, path


def test_schema_and_values_list_the_same() -> None:
    def paths(value: Any, schema: dict[str, Any], path: str = "") -> Iterator[tuple[str, set[str], set[str]]]:
        if "properties" in schema:
            yield path, set(value), set(schema["properties"]) - {"global"}
            for name, part in schema["properties"].items():
                if name in value:
                    yield from paths(value[name], part, f"{path}.{name}")

    for path, given, allowed in paths(yaml.safe_load(VALUES), SCHEMA):
        assert given == allowed, path


@pytest.mark.parametrize(
    "values",
    [
        {"bogus": 1},
        {"image": {"tag": "latest"}},
        {"image": {"digest": "sha256:short"}},
        {"replicas": 3},
        {"replicas": 0},
        {"namespaces": ["Not A Name"]},
        {"namespaces": ["a", "a"]},
        {"log": {"level": "loud"}},
        {"pipelines": {"endpoint": "ml-pipeline:8888"}},
        {"pipelines": {"ca": {"configMap": "a", "secret": "b"}}},
        {"run": {"podTemplate": {}}},
        {"run": {"openlineage": {"url": "marquez:5000"}}},
        {"run": {"openlineage": {"url": "http://user:password@marquez:5000"}}},
    ],
    ids=str,
)
def test_helm_refuses(chart: Any, values: dict[str, Any]) -> None:
    with pytest.raises(AssertionError, match="values don't meet the specifications of the schema"):
        chart(values)


def environments(objects: list[dict[str, Any]]) -> Iterator[dict[str, str]]:
    """The environment of each operator, what the kubelet fills in made up."""
    for one in objects:
        if one["kind"] == "Deployment":
            variables = one["spec"]["template"]["spec"]["containers"][0]["env"]
            yield {variable["name"]: variable.get("value", "filled-in") for variable in variables}


def test_every_variable_of_the_chart_is_a_setting(everything: list[dict[str, Any]]) -> None:
    for environment in environments(everything):
        assert settings.unknown_variables(environment) == ()
        settings.read_settings(environment)


def test_the_chart_repeats_the_defaults_of_the_settings(chart: Any) -> None:
    (environment,) = environments(chart())
    images = {name: "" for name in environment if name.endswith("_IMAGE")}
    given = settings.read_settings({**environment, **images})
    plain = settings.read_settings({name: environment[name] for name in environment if "POD_NAME" in name})
    assert given == plain


@pytest.mark.parametrize(
    ("values", "gpu", "serve"),
    [
        ({}, "ghcr.io/runwright/train-cuda:0.1.0", "ghcr.io/runwright/serve:0.1.0"),
        (
            {"run": {"image": {"repository": "registry.example.com:5000/ml/steps-python", "tag": "v2"}}},
            "registry.example.com:5000/ml/train-cuda:v2",
            "registry.example.com:5000/ml/serve:v2",
        ),
        ({"run": {"train": {"image": "mine:1"}, "serve": {"image": "served:1"}}}, None, "served:1"),
        ({"run": {"train": {"image": "mine:1", "gpuImage": "gpu:1"}}}, "gpu:1", "ghcr.io/runwright/serve:0.1.0"),
    ],
)
def test_other_images_lie_beside_that_of_the_steps(
    chart: Any, values: dict[str, Any], gpu: str | None, serve: str
) -> None:
    (environment,) = environments(chart(values))
    assert environment.get("RUNWRIGHT_TRAIN_GPU_IMAGE") == gpu
    assert environment["RUNWRIGHT_SERVE_IMAGE"] == serve


def test_every_setting_is_a_value_of_the_chart(everything: list[dict[str, Any]]) -> None:
    set_by_the_pod = {"LEADER_ELECTION", "LEASE_NAMESPACE", "HTTP_HOST", "HTTP_PORT", "LOG_FORMAT"}
    template = (CHART / "templates/_environment.tpl").read_text(encoding="utf-8")
    for name in settings.Settings.model_fields:
        assert (
            name.upper() in set_by_the_pod or f'"{name.upper()}"' in template or f"RUNWRIGHT_{name.upper()}" in template
        )


def test_the_page_needs_its_marks() -> None:
    with pytest.raises(ValueError, match="marks"):
        with_table("# Installing", VALUES)
