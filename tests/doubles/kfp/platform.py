"""The platform specification that may travel beside a pipeline: which Secrets a step gets as environment variables."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

from tests.doubles.kfp.cluster import Cluster, ClusterError


def split(given: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The pipeline and its platform specification, as a request holds them: together, or the pipeline alone."""
    if "pipeline_spec" in given:
        return dict(given["pipeline_spec"]), dict(given.get("platform_spec") or {})
    return dict(given), {}


def joined(pipeline: Mapping[str, Any], platform: Mapping[str, Any]) -> dict[str, Any]:
    """As the server answers it."""
    return {"pipeline_spec": dict(pipeline), "platform_spec": dict(platform)} if platform else dict(pipeline)


async def secrets(
    pipeline: Mapping[str, Any], platform: Mapping[str, Any], task: str, cluster: Cluster, namespace: str
) -> dict[str, str]:
    """Environment variables of a task, from the Secrets of its namespace. Raises ClusterError, as its pod would wait
    for ever: CreateContainerConfigError."""
    component = pipeline["root"]["dag"]["tasks"][task]["componentRef"]["name"]
    label = pipeline["components"][component]["executorLabel"]
    executors = platform.get("platforms", {}).get("kubernetes", {}).get("deploymentSpec", {}).get("executors", {})
    found: dict[str, str] = {}
    for wanted in executors.get(label, {}).get("secretAsEnv", ()):
        optional = wanted.get("optional", False)
        try:
            secret = await cluster.ask("GET", f"/api/v1/namespaces/{namespace}/secrets/{wanted['secretName']}")
        except ClusterError as error:
            if optional and error.status == 404:
                continue
            raise
        for entry in wanted["keyToEnv"]:
            content = (secret.get("data") or {}).get(entry["secretKey"])
            if content is not None:
                found[entry["envVar"]] = base64.b64decode(content).decode()
            elif not optional:
                raise ClusterError(0, f"couldn't find key {entry['secretKey']} in Secret {wanted['secretName']}")
    return found
