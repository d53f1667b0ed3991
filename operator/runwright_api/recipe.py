"""The recipe: everything that decides the model, and nothing else. Its digest names revisions.

A TrainingRun whose recipe changes gets a new model; any other change must not train again. So left out are: how the
data are reached (secrets, request headers, watermarks, whether all is read each time), what prepares them (all engines
give the same files), where and when training runs (CPU, memory, scheduling, retries, timeout, backend), how often it
is saved (a resumed training is bit-exact), how long its processes wait for each other, and what is said about the
package (description, license) or asked of it (parity tolerance). Nodes, GPUs and processes stay: they set the world
size, and with it the effective batch.

Values equal to their default are left out. So writing a default down changes nothing, and a field that a later version
adds does not change the recipes of today. A default itself may only change with the version of the API.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from runwright_api.trainingrun import TrainingRun

_ACCESS = {"secret_ref": True, "headers_from": True, "watermark": True}
_LEFT_OUT: dict[str, Any] = {
    "data": {
        "cluster": True,
        "engine": True,
        "sources": {
            "__all__": {
                **dict.fromkeys(("http", "s3", "gcs", "azure", "sql", "kafka", "hugging_face"), _ACCESS),
                "logs": {"s3": _ACCESS},
                "incremental": True,
                "feedback": {"predictions": {"s3": _ACCESS}},
            },
        },
    },
    "prepare": {},
    "train": {
        "checkpoint": True,
        "resources": {"cpu": True, "memory": True},
        "scheduling": True,
        "retries": True,
        "collective_timeout": True,
        "timeout": True,
        "backend": True,
    },
    "tune": {"storage": True},
    "package": {"description": True, "license": True, "parity_tolerance": True},
}


def recipe(run: TrainingRun) -> dict[str, Any]:
    """What decides the model, as plain JSON values: data, prepare, train, tune and package."""
    exclude = {part: left_out for part, left_out in _LEFT_OUT.items() if left_out}
    whole, content = (
        run.spec.model_dump(mode="json", by_alias=True, exclude_defaults=True, include=set(_LEFT_OUT), exclude=left_out)
        for left_out in (None, exclude)
    )
    pruned: dict[str, Any] = _prune(content, whole)
    return pruned


def _prune(value: Any, whole: Any) -> Any:
    """Without empty mappings: a part of which all was left out is as good as not given. One that was empty before
    stays: that it is given says something (`bins: {}`)."""
    if isinstance(value, dict):
        pruned = {key: _prune(item, whole[key]) for key, item in value.items()}
        return {key: item for key, item in pruned.items() if item != {} or whole[key] == {}}
    if isinstance(value, list):
        return [_prune(item, before) for item, before in zip(value, whole, strict=True)]
    return value


def recipe_digest(run: TrainingRun, images: Mapping[str, str]) -> str:
    """SHA-256 of the recipe's canonical JSON, as `sha256:HEX`.

    `images` maps each component to its image; give references with digests, since a tag may move.
    """
    content = {"images": dict(images), "recipe": recipe(run)}
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()
