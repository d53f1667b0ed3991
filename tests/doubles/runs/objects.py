"""TrainingRuns with a status as the operator writes it."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from runwright_api import load_object, recipe_digest

Object = dict[str, Any]

NAME = "penguins"
SPEC: Object = {
    "data": {"sources": [{"s3": {"uri": "s3://zoo/penguins.csv"}}]},
    "prepare": {"target": "species"},
    "train": {"task": "tabular-classification", "epochs": 20},
    "evaluate": {"slices": ["island"], "gate": [{"metric": "accuracy", "min": 0.9}]},
}
THEN = "2026-01-01T00:00:00Z"


def run(changes: Mapping[str, Any] | None = None, **metadata: Any) -> Object:
    """A TrainingRun; `changes` maps dotted paths of the spec to values, None to take a field away."""
    spec = copy.deepcopy(SPEC)
    for path, value in (changes or {}).items():
        *parents, last = path.split(".")
        place = spec
        for step in parents:
            place = place.setdefault(step, {})
        if value is None:
            place.pop(last, None)
        else:
            place[last] = value
    return {
        "apiVersion": "runwright.dev/v1alpha1",
        "kind": "TrainingRun",
        "metadata": {"name": NAME, **metadata},
        "spec": spec,
    }


def digest(content: Object) -> str:
    """The recipe's digest, as the operator takes it."""
    return recipe_digest(load_object(content), {})


def artifact(number: int) -> Object:
    return {
        "uri": f"s3://models/{NAME}/{number}",
        "digest": f"sha256:{number:064x}",
        "modelDigest": f"sha256:{number + 1000:064x}",
        "version": number,
    }


def revision(number: int, state: str = "Succeeded", *, of: Object | None = None, **fields: Any) -> Object:
    """One revision; what ended well or was rejected has a package, metrics and a verdict."""
    made: Object = {"number": number, "recipe": digest(of or run()), "state": state, "startTime": THEN, **fields}
    if state in ("Succeeded", "Rejected"):
        made.setdefault("artifact", artifact(number))
        made.setdefault("metrics", {"accuracy": 0.95 if state == "Succeeded" else 0.8, "f1Macro": 0.9})
        made.setdefault("verdict", "passed" if state == "Succeeded" else "rejected")
        passed = state == "Succeeded"
        check = {"metric": "accuracy", "value": made["metrics"].get("accuracy"), "min": 0.9, "passed": passed}
        made.setdefault("checks", [check])
    return made


def condition(kind: str, truth: str, reason: str = "Succeeded", message: str = "") -> Object:
    return {"type": kind, "status": truth, "reason": reason, "message": message, "lastTransitionTime": THEN}


def status(*revisions: Object, serving: int | None = None, **fields: Any) -> Object:
    """A status whose newest revision is the wanted one."""
    found: Object = {"observedGeneration": 1, "revisions": list(revisions), **fields}
    if revisions:
        found.setdefault("revision", max(item["number"] for item in revisions))
    if serving is not None:
        digest_ = artifact(serving)["modelDigest"]
        found["serving"] = {"revision": serving, "url": f"http://{NAME}.zoo", "modelDigest": digest_}
    return found


def stored(content: Object, found: Object | None = None, *, version: int = 1, uid: str = "u1") -> Object:
    """The object as the API server gives it."""
    metadata = {"uid": uid, "generation": 1, "resourceVersion": str(version), "namespace": "zoo", **content["metadata"]}
    return {**content, "metadata": metadata, "status": found or {"observedGeneration": -1}}
