"""The jobs that prepare a revision's data by an engine, and what their program is told: the same in both kinds."""

from __future__ import annotations

from runwright_components.cluster.manifests.data_pod import driver_pod, worker_pod
from runwright_components.cluster.manifests.pods import PYTHON, Manifest, environment, resources, storage_environment
from runwright_components.cluster.manifests.rayjob import CONTAINER, LABEL_OF, job_on_ray
from runwright_components.cluster.manifests.sparkapplication import spark_application
from runwright_components.cluster.manifests.training_pod import with_container
from runwright_components.contract.cluster import CLUSTER_ENV, GROUP, ClusterRun, PodAmounts
from runwright_components.contract.config import PrepareConfig

ANNOTATION_INPUT = f"{GROUP}/input"  # digest of what a job that prepares data was given
PREPARE_ENV = "RUNWRIGHT_PREPARE"  # JSON of the PrepareConfig
OUT_ENV = "RUNWRIGHT_PREPARED"  # where the prepared data go
PROGRAM = "runwright_components.cluster.preparing"


def data_job(run: ClusterRun, *, config: PrepareConfig, out_uri: str, given: str) -> Manifest:
    """The job of `run.preparing()`. `given` is the digest of its input, by which one that is there already is known to
    do the same work. Raises StageError (InvalidConfig) for amounts that the engine cannot live with."""
    assert run.data is not None
    variables = {
        CLUSTER_ENV: run.canonical(),
        PREPARE_ENV: config.canonical(),
        OUT_ENV: out_uri,
        **storage_environment(run.storage),
    }
    if run.data.engine == "spark":
        job = spark_application(run, PROGRAM, environment(variables))
    else:
        head = driver_pod(run, CONTAINER, environment(variables), label_job=LABEL_OF)
        worker = worker_pod(run, CONTAINER, label_job=LABEL_OF)
        job = job_on_ray(
            run,
            (*PYTHON, PROGRAM),
            head=with_container(head, resources=_resources(run.data.driver)),
            worker=with_container(worker, resources=_resources(run.data.executor)),
        )
    job["metadata"]["annotations"][ANNOTATION_INPUT] = given
    return job


def _resources(amounts: PodAmounts) -> Manifest:
    return resources(cpu=amounts.cpu, memory=amounts.memory, gpus=0)
