"""The CRD: a structural schema that a Kubernetes 1.34 API server takes, in step with the models."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from runwright_api import SpecError, load_object
from runwright_api.crd import crd, main, openapi_schema, render
from runwright_api.part import Part
from runwright_api.unsupported import REFUSALS

Make = Callable[..., dict[str, Any]]
Schema = dict[str, Any]

FREE_FORM = {
    ".spec.prepare.columns[].fill",
    ".spec.prepare.expectations[].oneOf[]",
    ".spec.train.environment.arguments{}",
    ".spec.tune.searchSpace[].choices[]",
    ".spec.tune.searchSpace[].when.equals",
    ".spec.tune.searchSpace[].when.in[]",
}
"""The only places without a type: values whose type depends on the column, or on the field of spec.train."""

_ALLOWED = {
    "description", "type", "properties", "required", "items", "additionalProperties", "enum", "pattern", "format",
    "minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties", "minimum", "maximum",
    "exclusiveMinimum", "exclusiveMaximum", "default", "x-kubernetes-validations", "x-kubernetes-list-type",
    "x-kubernetes-list-map-keys", "x-kubernetes-preserve-unknown-fields",
}  # fmt: skip


def walk(schema: Schema, path: str = "") -> Iterator[tuple[str, Schema]]:
    yield path, schema
    for name, field in schema.get("properties", {}).items():
        yield from walk(field, f"{path}.{name}")
    if "items" in schema:
        yield from walk(schema["items"], f"{path}[]")
    if "additionalProperties" in schema:
        yield from walk(schema["additionalProperties"], f"{path}{{}}")


def places() -> list[tuple[str, Schema]]:
    return list(walk(openapi_schema()))


def test_the_schema_is_structural() -> None:
    """https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/"""
    for path, schema in places():
        assert set(schema) <= _ALLOWED, path
        if path in FREE_FORM:
            assert schema["x-kubernetes-preserve-unknown-fields"] is True
            assert "type" not in schema
            continue
        assert "x-kubernetes-preserve-unknown-fields" not in schema, path
        assert schema["type"] in {"object", "array", "string", "integer", "number", "boolean"}, path
        assert ("items" in schema) == (schema["type"] == "array"), path
        assert isinstance(schema.get("additionalProperties", {}), dict), path
        assert not ("properties" in schema and "additionalProperties" in schema), path
        assert set(schema.get("required", ())) <= set(schema.get("properties", ())), path


def test_no_name_and_no_value_is_a_truth_value_of_yaml_1_1() -> None:
    """kubectl and Argo CD read YAML 1.1, in which `on: [id]` has the key `true`: https://yaml.org/type/bool.html"""
    words = {"y", "n", "yes", "no", "on", "off", "true", "false"}
    for path, schema in walk(openapi_schema()["properties"]["spec"], "spec"):
        assert words.isdisjoint(map(str.lower, schema.get("properties", ()))), path
        assert words.isdisjoint(str(value).lower() for value in schema.get("enum", ())), path


def test_metadata_bounds_the_name_alone() -> None:
    metadata = openapi_schema()["properties"]["metadata"]
    assert set(metadata) == {"type", "properties"}
    assert metadata["properties"]["name"]["maxLength"] == 50


def test_everything_is_bounded() -> None:
    for path, schema in places():
        if path in {"", ".apiVersion", ".kind", ".metadata"} or path in FREE_FORM:
            continue
        match schema["type"]:
            case "string":
                assert "maxLength" in schema or "enum" in schema, path
            case "array":
                assert "maxItems" in schema, path
            case "object":
                assert "properties" in schema or "maxProperties" in schema, path
            case "integer":
                assert "enum" in schema or {"minimum", "maximum"} <= set(schema), path
                assert schema["format"] in {"int32", "int64"}, path
            case "number" if path.startswith(".spec"):
                # the API server turns bounds to int64 where the value is one
                assert -(2**53) <= schema["minimum"] < schema["maximum"] <= 2**53, path


def test_exclusive_bounds_are_those_of_openapi_3_0() -> None:
    for path, schema in places():
        for limit, exclusive in (("minimum", "exclusiveMinimum"), ("maximum", "exclusiveMaximum")):
            assert schema.get(exclusive, True) is True, path
            assert exclusive not in schema or limit in schema, path


def test_the_fullest_status_fits_into_etcd() -> None:
    """A status that is refused for its size would hide what it reports."""

    def largest(schema: Schema) -> int:
        match schema["type"]:
            case "object":
                named = sum(len(name) + 4 + largest(field) for name, field in schema.get("properties", {}).items())
                free = schema.get("maxProperties", 0) * (70 + largest(schema.get("additionalProperties", {"type": ""})))
                return int(named + free)
            case "array":
                return int(schema["maxItems"] * largest(schema["items"]))
            case "string":
                return int(schema.get("maxLength", 16)) + 2
            case _:
                return 24

    assert largest(openapi_schema()["properties"]["status"]) < 1_500_000


def test_list_maps_have_required_keys() -> None:
    found = {path: schema for path, schema in places() if schema.get("x-kubernetes-list-type") == "map"}
    assert set(found) == {
        ".spec.data.sources[].kafka.start.offsets",
        ".spec.data.sources[].kafka.end.offsets",
        ".spec.prepare.columns",
        ".spec.tune.searchSpace",
        ".status.conditions",
        ".status.revisions",
    }
    for schema in found.values():
        assert set(schema["x-kubernetes-list-map-keys"]) <= set(schema["items"]["required"])
    for _, schema in places():
        if schema.get("x-kubernetes-list-type") == "set":
            assert schema["items"]["type"] in ("string", "integer")  # of scalars, which can be compared


def test_the_spec_has_no_defaults() -> None:
    """A default would be written into objects that Argo CD compares with Git."""
    assert [path for path, schema in places() if "default" in schema] == [".status.observedGeneration"]


def test_people_are_told_what_each_field_is() -> None:
    untold = [path for path, schema in places() if path.startswith(".spec.") and "description" not in schema]
    assert [path for path in untold if not path.endswith(("[]", "{}"))] == []


def test_rules_are_in_the_schema() -> None:
    def subclasses(model: type[Part]) -> Iterator[type[Part]]:
        for child in model.__subclasses__():
            yield child
            yield from subclasses(child)

    drawn = {
        (rule["rule"], rule["message"]) for _, schema in places() for rule in schema.get("x-kubernetes-validations", ())
    }
    written = {(rule.cel, rule.message) for model in subclasses(Part) for rule in model.rules if rule.cel}
    assert drawn == written
    for cel, message in written:
        assert len(message) <= 2048
        assert "\n" not in message
        code = re.sub(r"r?'[^']*'", "", cel)
        assert code.count("(") == code.count(")")


def test_the_object_around_the_schema() -> None:
    drawn = crd()
    assert drawn["metadata"]["name"] == "trainingruns.runwright.dev"
    assert drawn["spec"]["names"]["shortNames"] == ["trun"]
    assert drawn["spec"]["names"]["categories"] == ["kubeflow"]
    assert drawn["spec"]["scope"] == "Namespaced"
    (version,) = drawn["spec"]["versions"]
    assert version["subresources"] == {"status": {}}
    paths = {path for path, _ in places()} | {".metadata.creationTimestamp"}
    assert {column["jsonPath"] for column in version["additionalPrinterColumns"]} <= paths


def test_drawing_it_again_gives_the_same_bytes() -> None:
    assert yaml.safe_load(render()) == crd()
    code = "from runwright_api.crd import render; import sys; sys.stdout.write(render())"
    again = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, check=True, text=True, env={"PYTHONHASHSEED": "7"}
    )
    assert again.stdout == render()


def test_generating_and_checking(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "crd" / "x.yaml"
    assert main(["--check", str(path)]) == 1
    assert not path.exists()
    assert "make generate" in capsys.readouterr().err
    assert main([str(path)]) == 0
    assert main(["--check", str(path)]) == 0
    path.write_text("stale")
    assert main(["--check", str(path)]) == 1
    assert main([]) == 2
    assert main(["--chek", str(path)]) == 2


def test_schema_and_models_refuse_the_same_values(make: Make) -> None:
    """A step beyond each bound of the schema is refused by both."""
    validator = jsonschema.Draft4Validator(openapi_schema())
    tried = 0
    for path, schema in places():
        parts = path.strip(".").split(".")
        if not path.startswith(".spec.") or "[]" in path or "{}" in path or parts[1] in {"tune", "monitor", "retrain"}:
            continue
        for value in _beyond(schema):
            run = make({path.strip("."): value})
            assert not validator.is_valid(run), (path, value)
            with pytest.raises(SpecError):
                load_object(run)
            tried += 1
    assert tried > 100


def _beyond(schema: Schema) -> Iterator[Any]:
    if "enum" in schema:
        yield "no such word"
    if schema.get("minimum", -1e15) > -1e15:
        yield schema["minimum"] - (0 if schema.get("exclusiveMinimum") else 1)
    if schema.get("maximum", 1e15) < 1e15:
        yield schema["maximum"] + (0 if schema.get("exclusiveMaximum") else 1)
    if "maxLength" in schema:
        yield "a" * (schema["maxLength"] + 1)
    if schema.get("minLength"):
        yield ""
    if "pattern" in schema:
        yield "{{x}}"
        yield "a\x01"
    if schema["type"] != "string":
        yield "text"
    else:
        yield 3


def test_every_refusal_names_a_field_that_exists() -> None:
    known = dict(places())
    for refusal in REFUSALS:
        schema = known["." + refusal.path]
        assert refusal.value is None or refusal.value in schema["enum"]
