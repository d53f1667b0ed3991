"""Pieces that all our pods share: one source for security contexts, labels, resources and environments."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from runwright_components.contract.cluster import (
    API_VERSION,
    KIND,
    LABEL_REVISION,
    LABEL_RUN,
    LABEL_RUN_UID,
    StorageConfig,
)

Manifest = dict[str, Any]

LABEL_MANAGED_BY = "app.kubernetes.io/managed-by"
MANAGED_BY = "runwright"
GPU = "nvidia.com/gpu"
NO_SIDECAR = {"sidecar.istio.io/inject": "false"}  # a job's pod must end, and an init container reach the storage
USER = 65532  # numeric and not 0, as Pod Security `restricted` and KFP demand
PYTHON = ("python", "-m")


def labels(*, run: str, uid: str, revision: int) -> dict[str, str]:
    """What every object of a revision is found by."""
    return {LABEL_RUN: run, LABEL_RUN_UID: uid, LABEL_REVISION: str(revision), LABEL_MANAGED_BY: MANAGED_BY}


def owner_reference(*, name: str, uid: str) -> Manifest:
    """The TrainingRun as the owner: garbage collection removes what it owns."""
    return {"apiVersion": API_VERSION, "kind": KIND, "name": name, "uid": uid, "controller": True}


def pod_security() -> Manifest:
    """A pod's security context after Pod Security `restricted`."""
    return {
        "runAsNonRoot": True,
        "runAsUser": USER,
        "runAsGroup": USER,
        "fsGroup": USER,
        "seccompProfile": {"type": "RuntimeDefault"},
    }


def container_security() -> Manifest:
    """A container's; it repeats what a pod's context says, for Knative refuses the pod's."""
    return {
        "runAsNonRoot": True,
        "runAsUser": USER,
        "runAsGroup": USER,
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
        "seccompProfile": {"type": "RuntimeDefault"},
    }


def literal(text: str) -> str:
    """`text` as an argument or an environment value: the kubelet would expand `$(NAME)` in it."""
    return text.replace("$", "$$")


def environment(values: Mapping[str, str]) -> list[Manifest]:
    return [{"name": name, "value": literal(value)} for name, value in values.items()]


def storage_environment(storage: StorageConfig) -> dict[str, str]:
    """Where the storage is; who may read it comes from its Secret (`secret_environment`)."""
    given = {"AWS_ENDPOINT_URL": storage.endpoint, "AWS_REGION": storage.region}
    return {name: value for name, value in given.items() if value}


def secret_environment(storage: StorageConfig) -> Manifest:
    """`envFrom` of a container, where the storage has a Secret."""
    return {"envFrom": [{"secretRef": {"name": storage.secret}}]} if storage.secret else {}


def resources(*, cpu: str | None, memory: str | None, gpus: int) -> Manifest:
    """Requests for what can be shared, limits for what cannot; empty where nothing is asked for."""
    requests = {name: amount for name, amount in (("cpu", cpu), ("memory", memory)) if amount}
    limits = {"memory": memory} if memory else {}
    if gpus:
        limits[GPU] = str(gpus)
    found = {"requests": requests, "limits": limits}
    return {name: amounts for name, amounts in found.items() if amounts}


def scratch(name: str = "tmp", path: str = "/tmp", *, memory: bool = False) -> tuple[Manifest, Manifest]:  # noqa: S108
    """An empty volume and its mount: the root file system is read-only."""
    return {"name": name, "emptyDir": {"medium": "Memory"} if memory else {}}, {"name": name, "mountPath": path}
