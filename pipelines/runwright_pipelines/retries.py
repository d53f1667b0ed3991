"""Retries of a cluster's steps: a pod may be evicted, deleted, or lost with its node. On one machine there are none."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

STEP_RETRIES = 3
POLICY = {
    "maxRetryCount": STEP_RETRIES,
    "backoffDuration": "5s",
    "backoffFactor": 2.0,
    "backoffMaxDuration": "60s",
}


def with_retries(spec: Mapping[str, Any]) -> dict[str, Any]:
    """The pipeline with every task retried. A step that failed by its own word fails again at once (its record says
    so): it is for the operator to decide what follows, with the budgets of the TrainingRun."""
    root = spec["root"]
    tasks = {name: {**task, "retryPolicy": POLICY} for name, task in root["dag"]["tasks"].items()}
    return {**spec, "root": {**root, "dag": {**root["dag"], "tasks": tasks}}}
