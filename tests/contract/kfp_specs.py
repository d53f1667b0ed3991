"""Pipelines small enough to be written by hand."""

from __future__ import annotations

from typing import Any


def shell(script: str, *, image: str = "busybox:1.37", retries: int = 0) -> dict[str, Any]:
    """One container that runs a shell script; the pipeline takes a text that it does not use."""
    task: dict[str, Any] = {"taskInfo": {"name": "shell"}, "componentRef": {"name": "comp-shell"}, "cachingOptions": {}}
    if retries:
        task["retryPolicy"] = {"maxRetryCount": retries, "backoffDuration": "0s", "backoffFactor": 2.0}
    container = {"image": image, "command": ["sh", "-c", script]}
    text = {"parameterType": "STRING", "defaultValue": "", "isOptional": True}
    return {
        "pipelineInfo": {"name": "shell"},
        "schemaVersion": "2.1.0",
        "sdkVersion": "kfp-2.17.0",
        "components": {"comp-shell": {"executorLabel": "exec-shell"}},
        "deploymentSpec": {"executors": {"exec-shell": {"container": container}}},
        "root": {"dag": {"tasks": {"shell": task}}, "inputDefinitions": {"parameters": {"text": text}}},
    }
