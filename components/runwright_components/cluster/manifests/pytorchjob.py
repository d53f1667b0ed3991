"""The PyTorchJob of a revision: one Master and, past one node, Workers that differ from it in their number alone.

We own retries and time limits (`runwright_components.cluster.training`): a pod that failed is never restarted by the
training operator, whose limits neither tell failures from preemptions nor always fire.
"""

from __future__ import annotations

import copy

from runwright_components.cluster.manifests.pods import Manifest
from runwright_components.cluster.manifests.training_pod import (
    job_metadata,
    program,
    training_pod,
    training_resources,
    with_container,
    with_its_helpers,
)
from runwright_components.contract.cluster import ClusterRun
from runwright_components.contract.config import TrainConfig

API_VERSION = "kubeflow.org/v1"
KIND = "PyTorchJob"
PLURAL = "pytorchjobs"
CONTAINER = "pytorch"  # the training operator's webhook demands the name
LABEL_JOB = "training.kubeflow.org/job-name"
ROLE = "metadata.labels['training.kubeflow.org/replica-type']"


def pytorch_job(run: ClusterRun, *, config: TrainConfig, prepared_uri: str, resume: bool = False) -> Manifest:
    """The job of `run`'s revision, its name the same as that of the revision's records (`record_name`).

    `resume` tells the user's own code that there are checkpoints, where it runs in an image without us.
    """
    job = run.job
    pod = with_container(
        training_pod(run, CONTAINER, label_job=LABEL_JOB),
        **program(run, config, prepared_uri, resume=resume),
        resources=training_resources(job),
    )
    pod = with_its_helpers(pod, run, config, prepared_uri, role=ROLE, resume=resume)
    replicas = {"Master": _replicas(1, pod)}
    if job.nodes > 1:
        replicas["Worker"] = _replicas(job.nodes - 1, pod)
    policy: Manifest = {"cleanPodPolicy": "Running", "backoffLimit": 0}
    if job.queue:
        policy["suspend"] = True  # Kueue starts it when the queue has room
    if job.queue and job.priority_class:
        policy["schedulingPolicy"] = {"priorityClass": job.priority_class}  # where Kueue looks for it
    return {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "metadata": job_metadata(run),
        "spec": {
            "nprocPerNode": str(job.processes_per_node),
            "runPolicy": policy,
            "pytorchReplicaSpecs": replicas,
        },
    }


def _replicas(count: int, pod: Manifest) -> Manifest:
    return {"replicas": count, "restartPolicy": "Never", "template": copy.deepcopy(pod)}
