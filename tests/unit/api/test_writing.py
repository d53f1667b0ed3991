"""Runs as YAML and back, and the schema for editors."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import jsonschema
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runwright_api import dump, load, load_object, schema_json

Make = Callable[..., dict[str, Any]]


def test_it_is_short_and_in_order(smallest_yaml: str) -> None:
    assert yaml.safe_load(dump(load(smallest_yaml))) == yaml.safe_load(smallest_yaml)
    assert dump(load(smallest_yaml)).startswith("apiVersion: runwright.dev/v1alpha1\nkind: TrainingRun\nmetadata:\n")


def test_equal_runs_give_equal_text(make: Make) -> None:
    assert dump(load_object(make({"spec.train.epochs": 50}))) == dump(load_object(make()))


@pytest.mark.parametrize(
    "text", ["no", "1e-3", "12:30", "0o17", "089", "y", "2020-01-01", "null", "~", "- a", "a: b", "é", " a "]
)
def test_text_that_looks_like_something_else(make: Make, text: str) -> None:
    run = load_object(make({"spec.prepare.target": text}))
    assert load(dump(run)) == run


_lines = st.text(
    st.characters(exclude_characters="{", exclude_categories=("Cc", "Cs", "Cn", "Co")), min_size=1, max_size=40
)


@given(target=_lines, words=st.lists(_lines, max_size=3), rate=st.floats(1e-12, 99), path=_lines)
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_run_comes_back(make: Make, target: str, words: list[str], rate: float, path: str) -> None:
    changes = {
        "spec.prepare.target": target,
        "spec.prepare.missing": {"words": words},
        "spec.train.learningRate": rate,
        "spec.data.sources.0": {"path": path, "csv": {"delimiter": "\t"}},
        "spec.package": {"description": f"{target}\n\n {path}\n"},
    }
    run = load_object(make(changes))
    assert load(dump(run)) == run
    assert load(dump(load(dump(run)))) == run


def test_the_schema_for_editors(make: Make) -> None:
    schema = json.loads(schema_json())
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    assert validator.is_valid(make())
    assert not validator.is_valid(make({"spec.train.epoch": 3}))
    assert not validator.is_valid(make({"spec.train.epochs": "3"}))
    assert "x-kubernetes" not in schema_json()
    assert "status" not in schema["properties"]
    assert "Condition" not in schema["$defs"]
    assert schema["$defs"]["TrainSpec"]["properties"]["epochs"]["description"]
