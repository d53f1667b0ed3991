"""From a TrainingRun to what its steps are told of the cluster; pure.

What the TrainingRun leaves open, the administrator has configured (`Defaults`).
"""

from __future__ import annotations

from dataclasses import dataclass

from runwright_api.text import seconds
from runwright_api.trainingrun import TrainingRun
from runwright_components.contract.cluster import (
    ClusterRun,
    DataJobConfig,
    JobConfig,
    PodAmounts,
    ServiceConfig,
    StorageConfig,
    Toleration,
)


@dataclass(frozen=True)
class Defaults:
    """What the administrator configured. `storage` is the prefix under which every namespace has its own."""

    storage: StorageConfig
    train_image: str
    serve_image: str
    train_gpu_image: str | None = None  # of trainings with GPUs, where it is another
    train_cpu: str | None = None
    train_memory: str | None = None
    serve_cpu: str | None = None
    serve_memory: str | None = None
    sources_allowed: tuple[str, ...] = ()  # hosts and networks that HTTP sources may reach, though not public
    openlineage_url: str | None = None  # server that steps tell their lineage
    openlineage_secret: str | None = None  # with its key, in each namespace


def cluster_run(
    run: TrainingRun, defaults: Defaults, *, namespace: str, uid: str, revision: int, recipe: str, deploys: bool
) -> ClusterRun:
    """What the steps of `revision` are told. `deploys` is false when another revision is pinned."""
    storage = storage_of(run, defaults, namespace=namespace)
    home = f"{storage.uri}/{run.name}/{uid}/r{revision}"
    return ClusterRun(
        namespace=namespace,
        name=run.name,
        uid=uid,
        revision=revision,
        recipe=recipe,
        storage=storage.model_copy(update={"uri": home}),
        job=_job(run, defaults),
        data=_data_job(run),
        service=service_of(run, defaults) if deploys else None,
        sources_allowed=defaults.sources_allowed,
        openlineage_url=defaults.openlineage_url,
    )


def storage_of(run: TrainingRun, defaults: Defaults, *, namespace: str) -> StorageConfig:
    """Where the artifacts of a run's namespace lie: the run's own place, else the administrator's."""
    own = run.spec.storage
    if own.uri is None:
        return defaults.storage.model_copy(update={"uri": f"{defaults.storage.uri.rstrip('/')}/{namespace}"})
    return StorageConfig(
        uri=own.uri.rstrip("/"),
        endpoint=defaults.storage.endpoint,
        region=defaults.storage.region,
        secret=own.secret_ref.name if own.secret_ref else None,
    )


def service_of(run: TrainingRun, defaults: Defaults) -> ServiceConfig | None:
    """The InferenceService that a run asks for; None when it wants none."""
    deploy = run.spec.deploy
    if deploy.mode == "None":
        return None
    return ServiceConfig(
        mode=deploy.mode,
        image=defaults.serve_image,
        cpu=deploy.resources.cpu or defaults.serve_cpu,
        memory=deploy.resources.memory or defaults.serve_memory,
        gpus=deploy.resources.gpus,
        timeout_seconds=seconds(deploy.timeout),
        owned=deploy.on_delete == "Delete",
    )


def with_registry(run: TrainingRun, defaults: Defaults, *, namespace: str) -> TrainingRun:
    """The run with the place of its packages filled in."""
    if run.spec.registry.uri is not None:
        return run
    place = f"{storage_of(run, defaults, namespace=namespace).uri}/registry"
    registry = run.spec.registry.model_copy(update={"uri": place})
    return run.model_copy(update={"spec": run.spec.model_copy(update={"registry": registry})})


def _job(run: TrainingRun, defaults: Defaults) -> JobConfig:
    train = run.spec.train
    compute, scheduling = train.resources, train.scheduling
    return JobConfig(
        backend=train.backend,
        helper_image=defaults.train_image if _is_foreign(run) else None,
        image=train.image or (defaults.train_gpu_image if compute.gpus_per_node else None) or defaults.train_image,
        nodes=compute.nodes,
        gpus_per_node=compute.gpus_per_node,
        processes_per_node=max(compute.processes_per_node, compute.gpus_per_node),
        cpu=compute.cpu or defaults.train_cpu,
        memory=compute.memory or defaults.train_memory,
        queue=scheduling.queue,
        priority_class=scheduling.priority_class_name,
        node_selector=scheduling.node_selector,
        tolerations=tuple(Toleration.model_validate(taint.model_dump()) for taint in scheduling.tolerations),
        failures=train.retries.failures,
        preemptions=train.retries.preemptions,
        timeout_seconds=seconds(train.timeout) if train.timeout else None,
    )


def _data_job(run: TrainingRun) -> DataJobConfig | None:
    """The job that prepares the data; None where the prepare step does it itself."""
    data = run.spec.data
    if data.engine == "local" or data.cluster is None:  # without a cluster, it is refused before
        return None
    return DataJobConfig(
        engine=data.engine,
        image=data.cluster.image,
        claim=data.cluster.claim_name,
        executors=data.cluster.executors,
        driver=PodAmounts(cpu=data.cluster.driver.cpu, memory=data.cluster.driver.memory),
        executor=PodAmounts(cpu=data.cluster.executor.cpu, memory=data.cluster.executor.memory),
    )


def _is_foreign(run: TrainingRun) -> bool:
    """Whether the image of the training's pods need not hold Runwright: a command is started as it is. Trials of a
    search and programs on Ray are started by our own."""
    train = run.spec.train
    starts_itself = train.image is not None and train.code is not None and bool(train.code.command)
    return starts_itself and train.backend != "rayjob" and run.spec.tune is None
