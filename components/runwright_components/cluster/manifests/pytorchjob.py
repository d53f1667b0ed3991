"""The PyTorchJob of a revision: one Master and, past one node, Workers that differ from it in their number alone.

We own retries and time limits (`runwright_components.cluster.training`): a pod that failed is never restarted by the
training operator, whose limits neither tell failures from preemptions nor always fire.
"""

from __future__ import annotations

import copy

from runwright_components.cluster.manifests.pods import (
    NO_SIDECAR,
    PYTHON,
    Manifest,
    container_security,
    environment,
    labels,
    owner_reference,
    pod_security,
    resources,
    scratch,
    secret_environment,
    storage_environment,
)
from runwright_components.contract.cluster import (
    ANNOTATION_RECIPE,
    CLUSTER_ENV,
    GROUP,
    LABEL_STAGE,
    ClusterRun,
    JobConfig,
    Toleration,
    record_name,
)
from runwright_components.contract.config import TrainConfig

API_VERSION = "kubeflow.org/v1"
KIND = "PyTorchJob"
PLURAL = "pytorchjobs"
CONTAINER = "pytorch"  # the training operator's webhook demands the name
LABEL_JOB = "training.kubeflow.org/job-name"
LABEL_QUEUE = "kueue.x-k8s.io/queue-name"
ANNOTATION_PIPELINE_RUN = f"{GROUP}/pipeline-run"  # the KFP run whose train step follows the job
TRAIN_ENV = "RUNWRIGHT_TRAIN"  # JSON of the TrainConfig
PREPARED_ENV = "RUNWRIGHT_PREPARED"  # where the prepared data lie
WORKER = "runwright_components.cluster.worker"

NCCL = {
    "NCCL_DEBUG": "WARN",
    "NCCL_SOCKET_IFNAME": "^lo,docker",
    "TORCH_NCCL_ASYNC_ERROR_HANDLING": "1",  # a rank whose peer is gone ends, so that the job can start again
}


def pytorch_job(run: ClusterRun, *, config: TrainConfig, prepared_uri: str) -> Manifest:
    """The job of `run`'s revision, its name the same as that of the revision's records (`record_name`)."""
    job = run.job
    name = record_name(run.name, run.revision)
    pod = _pod(run, config, prepared_uri)
    replicas = {"Master": _replicas(1, pod)}
    if job.nodes > 1:
        replicas["Worker"] = _replicas(job.nodes - 1, pod)
    policy: Manifest = {"cleanPodPolicy": "Running", "backoffLimit": 0}
    metadata: Manifest = {
        "name": name,
        "namespace": run.namespace,
        "labels": _labels(run),
        "annotations": {ANNOTATION_RECIPE: run.recipe},
        "ownerReferences": [owner_reference(name=run.name, uid=run.uid)],
    }
    if job.queue:
        metadata["labels"][LABEL_QUEUE] = job.queue
        policy["suspend"] = True  # Kueue starts it when the queue has room
    if job.queue and job.priority_class:
        policy["schedulingPolicy"] = {"priorityClass": job.priority_class}  # where Kueue looks for it
    return {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "metadata": metadata,
        "spec": {
            "nprocPerNode": str(job.processes_per_node),
            "runPolicy": policy,
            "pytorchReplicaSpecs": replicas,
        },
    }


def _labels(run: ClusterRun) -> dict[str, str]:
    return {**labels(run=run.name, uid=run.uid, revision=run.revision), LABEL_STAGE: "train"}


def _replicas(count: int, pod: Manifest) -> Manifest:
    return {"replicas": count, "restartPolicy": "Never", "template": copy.deepcopy(pod)}


def _pod(run: ClusterRun, config: TrainConfig, prepared_uri: str) -> Manifest:
    job = run.job
    volumes = [scratch()]
    if job.gpus_per_node or job.processes_per_node > 1:
        volumes.append(scratch("shared-memory", "/dev/shm", memory=True))  # noqa: S108
    values = {
        CLUSTER_ENV: run.canonical(),
        TRAIN_ENV: config.canonical(),
        PREPARED_ENV: prepared_uri,
        "HOME": "/tmp",  # noqa: S108
        **storage_environment(run.storage),
        **(NCCL if job.gpus_per_node else {}),
    }
    container: Manifest = {
        "name": CONTAINER,
        "image": job.image,
        "command": [*PYTHON, WORKER],
        "env": environment(values),
        **secret_environment(run.storage),
        "resources": resources(cpu=job.cpu, memory=job.memory, gpus=job.gpus_per_node),
        "securityContext": container_security(),
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": [mount for _, mount in volumes],
    }
    spec: Manifest = {
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": pod_security(),
        "containers": [container],
        "volumes": [volume for volume, _ in volumes],
        **_placement(job, record_name(run.name, run.revision)),
    }
    return {
        "metadata": {
            "labels": {**_labels(run), **NO_SIDECAR},
            "annotations": {ANNOTATION_RECIPE: run.recipe, **NO_SIDECAR},
        },
        "spec": spec,
    }


def _placement(job: JobConfig, name: str) -> Manifest:
    placed: Manifest = {}
    if job.node_selector:
        placed["nodeSelector"] = dict(job.node_selector)
    if job.tolerations:
        placed["tolerations"] = [_toleration(toleration) for toleration in job.tolerations]
    if job.priority_class:
        placed["priorityClassName"] = job.priority_class
    if job.nodes > 1:
        placed["topologySpreadConstraints"] = [
            {
                "maxSkew": 1,
                "topologyKey": "kubernetes.io/hostname",
                "whenUnsatisfiable": "ScheduleAnyway",
                "labelSelector": {"matchLabels": {LABEL_JOB: name}},
            }
        ]
    return placed


def _toleration(given: Toleration) -> Manifest:
    found = {
        "key": given.key,
        "operator": given.operator,
        "value": given.value,
        "effect": given.effect,
        "tolerationSeconds": given.toleration_seconds,
    }
    return {name: value for name, value in found.items() if value is not None}
