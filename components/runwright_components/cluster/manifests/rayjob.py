"""The RayJob of a revision (KubeRay): a Ray cluster for the user's own code, and our worker as the program on its head.

The head counts as a node and computes too. KubeRay hands the program in itself (HTTPMode), so that no further pod needs
an image and rights. Requests to the cluster carry a token that KubeRay makes: whoever reaches a head without one runs
what he likes there.

We own retries and time limits, as with a PyTorchJob. Ray itself replaces workers that were lost.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from runwright_components.cluster.manifests.pods import Manifest
from runwright_components.cluster.manifests.training_pod import (
    COMMAND,
    job_metadata,
    training_environment,
    training_pod,
    training_resources,
    with_container,
)
from runwright_components.contract.cluster import ClusterRun
from runwright_components.contract.config import TrainConfig

API_VERSION = "ray.io/v1"
KIND = "RayJob"
PLURAL = "rayjobs"
CONTAINER = "ray"
GROUP = "workers"
LABEL_CLUSTER = "ray.io/cluster"
LABEL_OF = "ray.io/originated-from-cr-name"
LABEL_NODE_TYPE = "ray.io/node-type"
HEAD = "head"
REMOVED = "DeletedHeadPod"
OLDEST_RAY = "2.52.0"  # the first with tokens; KubeRay wants a version that has them, and asks the image for its own
SHUT_DOWN_SECONDS = 60  # after the end, for the pods' last words to be read

_REMOVED = re.compile(
    r"Deleted head Pod [^/\s]+/(?P<name>[^;\s]+);.*ContainerStateTerminated\{ExitCode:(?P<code>\d+),"
    r".*?Reason:(?P<reason>\w*),Message:(?P<message>.*?),(?:StartedAt|$)",
    re.DOTALL,
)


def removed_head(message: str) -> Manifest | None:
    """The head as KubeRay saw it last, by its event DeletedHeadPod: a head that ended it removes at once, with all that
    its status said. None for a head that had not ended."""
    found = _REMOVED.search(message)
    if found is None:
        return None
    ended = {"exitCode": int(found["code"]), "reason": found["reason"], "message": found["message"]}
    status = {"phase": "Failed", "containerStatuses": [{"name": CONTAINER, "state": {"terminated": ended}}]}
    return {"metadata": {"name": found["name"]}, "status": status}


def ray_job(run: ClusterRun, *, config: TrainConfig, prepared_uri: str) -> Manifest:
    """The job of `run`'s revision, its name the same as that of the revision's records (`record_name`)."""
    pod = with_container(
        training_pod(run, CONTAINER, label_job=LABEL_OF, shared_memory=True),
        env=training_environment(run, config, prepared_uri),
        resources=training_resources(run.job),
    )
    return job_on_ray(run, COMMAND, head=pod, worker=pod)


def job_on_ray(run: ClusterRun, command: Sequence[str], *, head: Manifest, worker: Manifest) -> Manifest:
    """A RayJob whose head runs `command`, with pods after those templates."""
    job = run.job
    cluster: Manifest = {
        "rayVersion": OLDEST_RAY,
        "authOptions": {"mode": "token"},
        "headGroupSpec": _group(head),
    }
    if (workers := job.nodes - 1) > 0:
        count = {"replicas": workers, "minReplicas": workers, "maxReplicas": workers}
        cluster["workerGroupSpecs"] = [{"groupName": GROUP, **count, **_group(worker)}]
    spec: Manifest = {
        "entrypoint": " ".join(command),
        "submissionMode": "HTTPMode",
        "backoffLimit": 0,
        "shutdownAfterJobFinishes": True,
        "ttlSecondsAfterFinished": SHUT_DOWN_SECONDS,
        "rayClusterSpec": cluster,
    }
    if job.queue:
        spec["suspend"] = True  # Kueue starts it when the queue has room
    return {"apiVersion": API_VERSION, "kind": KIND, "metadata": job_metadata(run), "spec": spec}


def _group(pod: Manifest) -> dict[str, Any]:
    return {"rayStartParams": {}, "template": {**pod, "spec": {**pod["spec"], "restartPolicy": "Never"}}}
