"""A TrainingRun as text: canonical YAML, and the JSON Schema that editors complete and check by."""

from __future__ import annotations

import json
from typing import Any

import yaml

from runwright_api.names import API_VERSION, KIND
from runwright_api.trainingrun import TrainingRun
from runwright_api.yaml_tree import TrapError, resolve


def dump(run: TrainingRun) -> str:
    """The YAML of a run, shortest form: in the order of the API, without what equals its default.

    `load(dump(run)) == run`, and equal runs give equal text.
    """
    content = run.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    text: str = yaml.dump(
        {"apiVersion": API_VERSION, "kind": KIND, **content},
        Dumper=_Dumper,
        sort_keys=False,
        allow_unicode=True,
        default_flow_style=False,
        width=120,
    )
    return text


class _Dumper(yaml.SafeDumper):
    """Puts quotes around text that our reader, which reads scalars as Kubernetes does, would take for another thing."""

    def ignore_aliases(self, _data: Any) -> bool:  # the reader refuses aliases
        return True


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    try:
        plain = resolve(text) == text
    except TrapError:
        plain = False
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=None if plain else "'")


_Dumper.add_representer(str, _text)


def schema_json() -> str:
    """The JSON Schema (draft 2020-12) of what people write: apiVersion, kind, metadata and spec."""
    schema = _without_extensions(TrainingRun.model_json_schema(by_alias=True, mode="validation"))
    schema["properties"].pop("status")
    schema["required"] = ["apiVersion", "kind", "metadata", "spec"]
    _drop_unused(schema)
    content = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"https://{API_VERSION}/trainingrun.schema.json",
        **schema,
    }
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


def _without_extensions(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_extensions(item) for key, item in value.items() if not key.startswith("x-kubernetes-")}
    return [_without_extensions(item) for item in value] if isinstance(value, list) else value


def _drop_unused(schema: dict[str, Any]) -> None:
    """Remove the definitions that only the status used."""
    definitions, used, new = schema["$defs"], set(), _references(schema["properties"])
    while new:
        used |= new
        new = set().union(*(_references(definitions[name]) for name in new)) - used
    schema["$defs"] = {name: definition for name, definition in definitions.items() if name in used}


def _references(value: Any) -> set[str]:
    if isinstance(value, dict):
        own = {value["$ref"].rpartition("/")[2]} if isinstance(value.get("$ref"), str) else set()
        return own.union(*(_references(item) for item in value.values()))
    return set().union(*(_references(item) for item in value)) if isinstance(value, list) else set()
