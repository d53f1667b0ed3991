"""The pod of a training in an image of the user's that holds no Runwright: its command, and our containers beside it.

An init container brings the prepared data and the newest checkpoint into a folder that all containers share. A sidecar
(an init container that starts before the others and ends after them) keeps checkpoints and progress in storage. The
kubelet's SIGTERM tells it that the command has ended; then it checks the model and stores it. The pod's phase is the
command's; what was wrong with the model, the sidecar leaves as its termination message.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from runwright_components.cluster.manifests.fields import dig, items, mapping
from runwright_components.cluster.manifests.pods import (
    PYTHON,
    Manifest,
    container_security,
    environment,
    literal,
    scratch,
    secret_environment,
)
from runwright_components.contract.cluster import ClusterRun
from runwright_components.contract.config import CodeConfig
from runwright_components.contract.workplace import RESUME_ENV, Places

FETCHER = "runwright-data"
KEEPER = "runwright"
PROGRAM = "runwright_components.cluster.beside"
FOLDER_ENV = "RUNWRIGHT_SHARED"
ROLE_ENV = "RUNWRIGHT_ROLE"
FIRST_ROLES = ("master", "0")
"""What the controllers call the node that exports the model: a PyTorchJob's replica type, a Job's index."""
SHARED = "/runwright"
END_SECONDS = 600
"""For the command to write a checkpoint when its pod is taken away, and for the model to be checked and stored."""

READY = ".keeping"
"""In the shared folder once the sidecar hears the kubelet's SIGTERM: the command starts no earlier."""

_LISTENS = {
    "exec": {"command": ["python", "-c", f"import os, sys; sys.exit(not os.path.exists('{SHARED}/{READY}'))"]},
    "periodSeconds": 1,
    "timeoutSeconds": 10,
    "failureThreshold": 300,
}
_SMALL = {"requests": {"cpu": "100m", "memory": "256Mi"}}


def places(folder: Path, *, resume: bool) -> Places:
    """The shared folder, as the user's code is told of it."""
    return Places(folder=folder, checkpoints=folder / "checkpoints", resume=resume)


def command_of(code: CodeConfig, run: ClusterRun, *, resume: bool, settings: dict[str, str]) -> Manifest:
    """`command` and `env` of the user's container. It sees nothing of the storage but what `passEnv` names."""
    shared = places(Path(SHARED), resume=resume)
    given = {"HOME": "/tmp", **settings, **code.env, **shared.variables}  # noqa: S108
    secrets = [name for name in code.pass_env if name not in given]  # no name stands twice, or merging fails
    return {
        "command": [literal(word) for word in (*code.command, *code.args)],
        "env": [*_from_secret(secrets, run), *environment(given)],
    }


def has_helpers(pod: Mapping[str, Any]) -> bool:
    """Whether the pod, any JSON, runs the user's command with our containers beside it."""
    return any(mapping(one).get("name") == KEEPER for one in items(dig(pod, "spec", "initContainers")))


def _from_secret(names: list[str], run: ClusterRun) -> list[Manifest]:
    """Variables that the storage's Secret holds; what the image sets, the container sees anyway."""
    if run.storage.secret is None:
        return []
    keys = [{"name": run.storage.secret, "key": name, "optional": True} for name in names]
    return [{"name": key["key"], "valueFrom": {"secretKeyRef": key}} for key in keys]


def with_helpers(pod: Manifest, run: ClusterRun, given: list[Manifest], *, role: str, resume: bool) -> Manifest:
    """The pod, whose only container is the user's, with ours beside it.

    `given` is the environment of a worker; `role` is the field of the pod that tells which node it is.
    """
    (container,) = pod["spec"]["containers"]
    user = {name: value for name, value in container.items() if name != "envFrom"}
    shared, shared_at = scratch(KEEPER, SHARED)
    own, own_at = scratch("runwright-tmp")
    variables = [
        *given,
        *environment({FOLDER_ENV: SHARED, RESUME_ENV: "1" if resume else "0"}),
        {"name": ROLE_ENV, "valueFrom": {"fieldRef": {"fieldPath": role}}},
    ]
    ours: dict[str, Any] = {
        "image": run.job.helper_image,
        "env": variables,
        **secret_environment(run.storage),
        "resources": _SMALL,
        "securityContext": container_security(),
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": [own_at, shared_at],
    }
    spec = {
        **pod["spec"],
        # The command is not process 1 then, which the kernel would let ignore SIGTERM without a handler.
        "shareProcessNamespace": True,
        "terminationGracePeriodSeconds": END_SECONDS,
        "initContainers": [
            {"name": FETCHER, "command": [*PYTHON, PROGRAM, "fetch"], **ours},
            {
                "name": KEEPER,
                "command": [*PYTHON, PROGRAM, "keep"],
                "restartPolicy": "Always",
                "startupProbe": _LISTENS,
                **ours,
            },
        ],
        "containers": [{**user, "volumeMounts": [*user["volumeMounts"], shared_at]}],
        "volumes": [*pod["spec"]["volumes"], own, shared],
    }
    return {**pod, "spec": spec}
