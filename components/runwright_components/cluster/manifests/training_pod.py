"""The pod that trains, the same in every kind of job: one source for its environment, security and placement."""

from __future__ import annotations

from typing import Any

from runwright_components.cluster.manifests.beside import command_of, with_helpers
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
    LABEL_TRIAL,
    ClusterRun,
    JobConfig,
    Toleration,
)
from runwright_components.contract.config import TrainConfig

LABEL_QUEUE = "kueue.x-k8s.io/queue-name"
ANNOTATION_PIPELINE_RUN = f"{GROUP}/pipeline-run"  # the KFP run whose train step follows the job
TRAIN_ENV = "RUNWRIGHT_TRAIN"  # JSON of the TrainConfig
PREPARED_ENV = "RUNWRIGHT_PREPARED"  # where the prepared data lie
WORKER = "runwright_components.cluster.worker"
COMMAND = (*PYTHON, WORKER)

NCCL = {
    "NCCL_DEBUG": "WARN",
    "NCCL_SOCKET_IFNAME": "^lo,docker",
    "TORCH_NCCL_ASYNC_ERROR_HANDLING": "1",  # a rank whose peer is gone ends, so that the job can start again
}


def job_labels(run: ClusterRun) -> dict[str, str]:
    """Labels of a revision's job, and of all that is made for it."""
    trial = {} if run.trial is None else {LABEL_TRIAL: str(run.trial.number)}
    return {**labels(run=run.name, uid=run.uid, revision=run.revision), LABEL_STAGE: run.stage, **trial}


def job_metadata(run: ClusterRun) -> Manifest:
    """Metadata of a job; the TrainingRun owns it."""
    queue = {LABEL_QUEUE: run.job.queue} if run.job.queue else {}
    return {
        "name": run.job_name,
        "namespace": run.namespace,
        "labels": {**job_labels(run), **queue},
        "annotations": {ANNOTATION_RECIPE: run.recipe},
        "ownerReferences": [owner_reference(name=run.name, uid=run.uid)],
    }


def training_environment(run: ClusterRun, config: TrainConfig, prepared_uri: str) -> list[Manifest]:
    """What the worker reads. Secrets are not among it: see `secret_environment`."""
    return environment(
        {
            CLUSTER_ENV: run.canonical(),
            TRAIN_ENV: config.canonical(),
            PREPARED_ENV: prepared_uri,
            "HOME": "/tmp",  # noqa: S108
            **storage_environment(run.storage),
            **(NCCL if run.job.gpus_per_node else {}),
        }
    )


def program(run: ClusterRun, config: TrainConfig, prepared_uri: str, *, resume: bool = False) -> Manifest:
    """`command` and `env` of the container that trains: our worker, or the user's own command where the image is the
    user's alone."""
    if run.job.helper_image is None or config.code is None:
        return {"command": [*COMMAND], "env": training_environment(run, config, prepared_uri)}
    return command_of(config.code, run, resume=resume, settings=NCCL if run.job.gpus_per_node else {})


def with_its_helpers(
    pod: Manifest, run: ClusterRun, config: TrainConfig, prepared_uri: str, *, role: str, resume: bool
) -> Manifest:
    """The pod with Runwright's containers where its own image is the user's alone; else as it is."""
    if run.job.helper_image is None:
        return pod
    return with_helpers(pod, run, training_environment(run, config, prepared_uri), role=role, resume=resume)


def training_resources(job: JobConfig) -> Manifest:
    return resources(cpu=job.cpu, memory=job.memory, gpus=job.gpus_per_node)


def training_pod(run: ClusterRun, container: str, *, label_job: str, shared_memory: bool | None = None) -> Manifest:
    """A pod template after Pod Security `restricted`, whose only container has that name and no command yet.

    `label_job` is the label by which the controller names the job on its pods, for nodes to be spread over hosts.
    `shared_memory`: whether processes share memory; by default where there are several, or GPUs.
    """
    job = run.job
    volumes = [scratch()]
    if job.gpus_per_node or job.processes_per_node > 1 if shared_memory is None else shared_memory:
        volumes.append(scratch("shared-memory", "/dev/shm", memory=True))  # noqa: S108
    spec: Manifest = {
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": pod_security(),
        "containers": [
            {
                "name": container,
                "image": job.image,
                **secret_environment(run.storage),
                "securityContext": container_security(),
                "terminationMessagePolicy": "FallbackToLogsOnError",
                "volumeMounts": [mount for _, mount in volumes],
            }
        ],
        "volumes": [volume for volume, _ in volumes],
        **_placement(job, {label_job: run.job_name}),
    }
    return {
        "metadata": {
            "labels": {**job_labels(run), **NO_SIDECAR},
            "annotations": {ANNOTATION_RECIPE: run.recipe, **NO_SIDECAR},
        },
        "spec": spec,
    }


def with_container(pod: Manifest, **fields: Any) -> Manifest:
    """The pod with further fields of its container."""
    (container,) = pod["spec"]["containers"]
    return {**pod, "spec": {**pod["spec"], "containers": [{**container, **fields}]}}


def _placement(job: JobConfig, same_job: dict[str, str]) -> Manifest:
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
                "labelSelector": {"matchLabels": same_job},
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
