"""TrainingRuns for tests, and what their status says."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

Manifest = dict[str, Any]

API_VERSION = "runwright.dev/v1alpha1"
KIND = "TrainingRun"


def training_run(name: str, namespace: str, **changes: Any) -> Manifest:
    """A small tabular run from an HTTP source; `changes` are merged into its spec, None removes."""
    spec: Manifest = {
        "data": {"sources": [{"http": {"url": "https://data.example.com/penguins.csv"}}]},
        "prepare": {"target": "species"},
        "train": {"task": "tabular-classification", "seed": 1, "resources": {"gpusPerNode": 1}},
        "evaluate": {"gate": [{"metric": "accuracy", "min": 0.5}]},
    }
    metadata = {"name": name, "namespace": namespace}
    return {"apiVersion": API_VERSION, "kind": KIND, "metadata": metadata, "spec": merged(spec, changes)}


def merged(spec: Mapping[str, Any], changes: Mapping[str, Any]) -> Manifest:
    """As a JSON merge patch does."""
    result = copy.deepcopy(dict(spec))
    for name, value in changes.items():
        if value is None:
            result.pop(name, None)
        elif isinstance(value, Mapping) and isinstance(result.get(name), Mapping):
            result[name] = merged(result[name], value)
        else:
            result[name] = value
    return result


def status(run: Manifest) -> Manifest:
    return dict(run.get("status") or {})


def condition(run: Manifest, kind: str) -> Manifest:
    found = [one for one in status(run).get("conditions", ()) if one["type"] == kind]
    return dict(found[0]) if found else {}


def is_true(run: Manifest, kind: str) -> bool:
    """Whether the condition holds for the spec as it is now."""
    current = status(run).get("observedGeneration") == run["metadata"]["generation"]
    return current and condition(run, kind).get("status") == "True"


def serves(run: Manifest, revision: int) -> bool:
    return is_true(run, "Ready") and status(run).get("serving", {}).get("revision") == revision


def revision(run: Manifest, number: int) -> Manifest:
    """The revision of that number; {} when there is none."""
    found = [one for one in status(run).get("revisions", ()) if one["number"] == number]
    return dict(found[0]) if found else {}


def states(run: Manifest) -> dict[int, str]:
    """What became of each revision."""
    return {one["number"]: one["state"] for one in status(run).get("revisions", ())}
