"""What a TrainingRun asks for that only a cluster can give."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from runwright_api.trainingrun import TrainingRun

CLUSTER_ONLY = (
    "train.resources.nodes",
    "train.resources.gpusPerNode",
    "train.resources.cpu",
    "train.resources.memory",
    "train.scheduling",
    "train.retries",
    "train.timeout",
    "train.backend",
    "data.cluster",
    "train.image",
    "storage",
    "deploy.resources",
    "suspend",
    "history",
)


def ignored_here(run: TrainingRun) -> list[str]:
    """Paths in the spec that were given and that `runwright run` does nothing with."""
    given = run.spec.model_dump(by_alias=True, exclude_unset=True)
    heeded = {"train.backend"} if run.spec.train.backend == "rayjob" else set()  # code on Ray has one here as well
    heeded |= {"train.timeout"} if run.spec.train.code is not None else set()
    return [path for path in CLUSTER_ONLY if path not in heeded and _has(given, path.split("."))]


def _has(value: Any, path: list[str]) -> bool:
    for step in path:
        if not isinstance(value, Mapping) or step not in value:
            return False
        value = value[step]
    return bool(value)
