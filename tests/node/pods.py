"""Pods as tests write them: small, and welcome where Pod Security is `restricted`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tests.cluster.tier.api import Api
from tests.cluster.waiting import eventually

Manifest = dict[str, Any]

PATIENCE = 300.0
"""Seconds until a wait is given up as hanging."""


def pod(name: str, namespace: str, image: str, *command: str, memory: str = "64Mi", **spec: Any) -> Manifest:
    """A pod with one container, `main`, that is not started again."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace, "labels": {"app": name}},
        "spec": template(image, command, memory) | {"restartPolicy": "Never"} | spec,
    }


def template(image: str, command: Sequence[str], memory: str = "64Mi") -> Manifest:
    """The spec of a pod."""
    container = {
        "name": "main",
        "image": image,
        "command": list(command),
        "resources": {"requests": {"cpu": "10m", "memory": memory}, "limits": {"memory": memory}},
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
        "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],
    }
    return {
        "containers": [container],
        "securityContext": {"runAsNonRoot": True, "runAsUser": 65532, "seccompProfile": {"type": "RuntimeDefault"}},
        "volumes": [{"name": "tmp", "emptyDir": {}}],
        "terminationGracePeriodSeconds": 1,
    }


def ended(api: Api, namespace: str, name: str) -> Manifest:
    """Waits until a pod has succeeded or failed, and gives it."""

    def over() -> Manifest | None:
        found = api.get("v1", "Pod", name, namespace)
        return found if found["status"].get("phase") in ("Succeeded", "Failed") else None

    return eventually(over, PATIENCE)


def ready(api: Api, namespace: str, name: str) -> Manifest:
    """Waits until a pod is ready, and gives it."""

    def is_ready() -> Manifest | None:
        found = api.get("v1", "Pod", name, namespace)
        return found if api.condition(found, "Ready").get("status") == "True" else None

    return eventually(is_ready, PATIENCE)


def state(found: Manifest) -> Manifest:
    """The state of a pod's only container: {"terminated": {...}} and so on."""
    (status,) = found["status"]["containerStatuses"]
    return dict(status["state"])
