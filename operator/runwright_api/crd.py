"""The CustomResourceDefinition, drawn from the models.

`python -m runwright_api.crd PATH...` writes it, `--check` compares it.

No field of the spec has a `default` in the CRD, although most have one: the API server would write it into the object,
where Argo CD compares it with Git (inside lists, which are replaced as a whole, it would be OutOfSync for ever),
and would freeze today's value into objects that never asked for it. The models resolve defaults when the operator reads
the object, and descriptions tell them. The only default is status.observedGeneration, -1, as KEP-1623 wants it.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from runwright_api import names
from runwright_api.part import Part
from runwright_api.trainingrun import TrainingRun

_HEADER = "# Drawn from operator/runwright_api by `make generate`; change the models, not this file.\n"
_COPIED = (
    "description",
    "type",
    "enum",
    "pattern",
    "minLength",
    "maxLength",
    "minItems",
    "maxItems",
    "minProperties",
    "maxProperties",
    "minimum",
    "maximum",
)
_INT32 = 2**31 - 1


def crd() -> dict[str, Any]:
    """The CRD as plain mappings: apiextensions.k8s.io/v1, one version, structural schema, status subresource."""
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{names.PLURAL}.{names.GROUP}"},
        "spec": {
            "group": names.GROUP,
            "names": {
                "kind": names.KIND,
                "listKind": f"{names.KIND}List",
                "plural": names.PLURAL,
                "singular": names.SINGULAR,
                "shortNames": [names.SHORT_NAME],
                "categories": [names.CATEGORY],
            },
            "scope": "Namespaced",
            "preserveUnknownFields": False,
            "versions": [
                {
                    "name": names.VERSION,
                    "served": True,
                    "storage": True,
                    "subresources": {"status": {}},
                    "additionalPrinterColumns": _printer_columns(),
                    "schema": {"openAPIV3Schema": openapi_schema()},
                }
            ],
        },
    }


def _printer_columns() -> list[dict[str, Any]]:
    columns = (
        ("Phase", "string", ".status.phase"),
        ("Revision", "integer", ".status.revision"),
        ("Serving", "integer", ".status.serving.revision"),
        ("Metric", "string", ".status.metric"),
        ("Progress", "string", ".status.progress.summary"),
        ("Age", "date", ".metadata.creationTimestamp"),
    )
    return [{"name": name, "type": kind, "jsonPath": path} for name, kind, path in columns]


def render() -> str:
    """The CRD as YAML; the same bytes each time."""
    return _HEADER + yaml.safe_dump(crd(), sort_keys=False, width=120, allow_unicode=True, default_flow_style=False)


def openapi_schema() -> dict[str, Any]:
    """The structural schema of a TrainingRun."""
    source = TrainingRun.model_json_schema(by_alias=True, mode="validation")
    definitions, fields = source["$defs"], source["properties"]
    # The API server owns what is beside spec and status; a CRD may bound the name alone.
    name = definitions["Metadata"]["properties"]["name"]
    own = {"description": source["description"], "required": ["spec"]}
    schema = _Drawing(definitions).part(
        {**own, "properties": {field: fields[field] for field in ("spec", "status")}}, TrainingRun
    )
    schema["properties"] = {
        "apiVersion": {"type": "string"},
        "kind": {"type": "string"},
        "metadata": {
            "type": "object",
            "properties": {"name": {key: name[key] for key in ("type", "maxLength", "pattern")}},
        },
        **schema["properties"],
    }
    schema["properties"]["status"]["properties"]["observedGeneration"]["default"] = -1
    return schema


class _Drawing:
    """Turns pydantic's JSON Schema into a structural one: no references, no unions, bounds as OpenAPI 3.0 has them."""

    def __init__(self, definitions: Mapping[str, Any]) -> None:
        self.definitions = definitions
        self.models = {model.__name__: model for model in _subclasses(Part)}

    def part(self, source: Mapping[str, Any], model: type[Part]) -> dict[str, Any]:
        drawn: dict[str, Any] = {"description": _one_line(source["description"]), "type": "object"}
        if source.get("required"):
            drawn["required"] = list(source["required"])
        drawn["properties"] = {name: self.value(field) for name, field in source["properties"].items()}
        rules = [{"rule": rule.cel, "message": rule.message} for rule in model.rules if rule.cel]
        if rules:
            drawn["x-kubernetes-validations"] = rules
        return drawn

    def value(self, source: Mapping[str, Any]) -> dict[str, Any]:
        if "anyOf" in source:
            given = [option for option in source["anyOf"] if option.get("type") != "null"]
            if len(given) > 1:  # a Scalar: CRDs have no unions of types
                return self._described({"x-kubernetes-preserve-unknown-fields": True}, source)
            return self._described(self.value(given[0]), source)
        if "$ref" in source:
            name = source["$ref"].rpartition("/")[2]
            definition = self.definitions[name]
            drawn = self.part(definition, self.models[name]) if name in self.models else self.value(definition)
            return self._described(drawn, source)
        return self._plain(source)

    def _described(self, drawn: dict[str, Any], source: Mapping[str, Any]) -> dict[str, Any]:
        """The field's own description goes before that of its type."""
        own = {"description": _one_line(source["description"])} if "description" in source else {}
        return {**own, **{key: item for key, item in drawn.items() if key not in own}, **_extensions(source)}

    def _plain(self, source: Mapping[str, Any]) -> dict[str, Any]:
        drawn = {key: source[key] for key in _COPIED if key in source}
        if "description" in drawn:
            drawn["description"] = _one_line(drawn["description"])
        for limit, exclusive in (("minimum", "exclusiveMinimum"), ("maximum", "exclusiveMaximum")):
            if exclusive in source:
                drawn |= {limit: source[exclusive], exclusive: True}
        match source.get("type"):
            case "array":
                drawn["items"] = self.value(source["items"])
            case "object":
                drawn["additionalProperties"] = self.value(_map_values(source))
            case "integer":
                small = drawn.get("minimum", -_INT32 - 1) >= -_INT32 and drawn.get("maximum", _INT32 + 1) <= _INT32
                drawn["format"] = "int32" if small else "int64"
            case "number":
                drawn["format"] = "double"
            case "string" if source.get("format") == "date-time":
                drawn["format"] = "date-time"
        return drawn | _extensions(source)


def _map_values(source: Mapping[str, Any]) -> Mapping[str, Any]:
    """The schema of a mapping's values; the rules for its keys are no matter of a structural schema."""
    patterns: Mapping[str, Any] = source.get("patternProperties", {})
    values: Mapping[str, Any] = next(iter(patterns.values()), source.get("additionalProperties", {}))
    return values


def _extensions(source: Mapping[str, Any]) -> dict[str, Any]:
    return {key: item for key, item in source.items() if key.startswith("x-kubernetes-")}


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _subclasses(model: type[Part]) -> Iterator[type[Part]]:
    for child in model.__subclasses__():
        yield child
        yield from _subclasses(child)


def main(arguments: list[str]) -> int:
    """Write the CRD to each path; with `--check`, only say which copies differ. Returns the exit code."""
    check = "--check" in arguments
    paths = [Path(argument) for argument in arguments if argument != "--check"]
    if not paths or any(argument.startswith("-") for argument in arguments if argument != "--check"):
        sys.stderr.write("usage: python -m runwright_api.crd [--check] PATH...\n")
        return 2
    text = render()
    stale = [path for path in paths if not path.is_file() or path.read_text(encoding="utf-8") != text]
    for path in stale:
        if check:
            sys.stderr.write(f"{path} differs from the models; run `make generate`\n")
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
