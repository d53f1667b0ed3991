"""The pods that prepare data, the same on Spark and on Ray: those of a training, and a volume that all share."""

from __future__ import annotations

from runwright_components.cluster.manifests.pods import Manifest, environment
from runwright_components.cluster.manifests.training_pod import training_pod
from runwright_components.contract.cluster import ClusterRun

SHARED = "/runwright/shared"
"""Where the volume is: an engine's tasks name files, which are under one path for the driver and for every worker."""
_HOME = {"HOME": "/tmp"}  # noqa: S108


def driver_pod(run: ClusterRun, container: str, variables: list[Manifest], *, label_job: str) -> Manifest:
    """A pod template of `run.preparing()` after Pod Security `restricted`, for the pod that runs our program."""
    return _pod(run, container, label_job, {"env": [*variables, *environment(_HOME)]})


def worker_pod(run: ClusterRun, container: str, *, label_job: str) -> Manifest:
    """The same for those that the engine gives tasks to. They read and write the volume alone, and get no credentials
    of the storage."""
    return _pod(run, container, label_job, {"env": environment(_HOME), "envFrom": []})


def _pod(run: ClusterRun, container: str, label_job: str, fields: Manifest) -> Manifest:
    assert run.data is not None
    pod = training_pod(run, container, label_job=label_job, shared_memory=run.data.engine == "ray")
    spec = pod["spec"]
    (found,) = spec["containers"]
    mounts = [*found["volumeMounts"], {"name": "shared", "mountPath": SHARED}]
    volume = {"name": "shared", "persistentVolumeClaim": {"claimName": run.data.claim}}
    containers = [{**found, **fields, "volumeMounts": mounts}]
    return {**pod, "spec": {**spec, "containers": containers, "volumes": [*spec["volumes"], volume]}}
