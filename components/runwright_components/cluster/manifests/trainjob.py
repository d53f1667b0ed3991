"""The TrainJob of a revision (Kubeflow Trainer 2), and the TrainingRuntime that it refers to.

A TrainJob says what is run and on how many nodes; what its pods are like, its runtime says. The runtime is our own, one
a revision: what a TrainJob may patch of another's runtime leaves out Secrets as environment, priority and spread, and
the runtimes that Trainer brings are refused by Pod Security `restricted` (docs/decisions/0020).

We own retries and time limits, as with a PyTorchJob: the first pod that fails ends the job.
"""

from __future__ import annotations

from runwright_components.cluster.manifests.pods import Manifest
from runwright_components.cluster.manifests.training_pod import (
    job_labels,
    job_metadata,
    program,
    training_pod,
    training_resources,
    with_its_helpers,
)
from runwright_components.contract.cluster import ClusterRun, record_name
from runwright_components.contract.config import TrainConfig

API_VERSION = "trainer.kubeflow.org/v1alpha1"
KIND = "TrainJob"
PLURAL = "trainjobs"
RUNTIME_KIND = "TrainingRuntime"
RUNTIME_PLURAL = "trainingruntimes"
NODE = "node"  # what Trainer's torch plugin calls the replicated job and its container, and addresses rank 0 by
LABEL_STEP = "trainer.kubeflow.org/trainjob-ancestor-step"
LABEL_FRAMEWORK = "trainer.kubeflow.org/framework"
LABEL_JOB_SET = "jobset.sigs.k8s.io/jobset-name"
LABEL_JOB_SET_UID = "jobset.sigs.k8s.io/jobset-uid"
ROLE = "metadata.labels['batch.kubernetes.io/job-completion-index']"


def train_job(run: ClusterRun, *, config: TrainConfig, prepared_uri: str, resume: bool = False) -> Manifest:
    """The job of `run`'s revision; it refers to the runtime of the same name."""
    job = run.job
    trainer: Manifest = {
        "image": job.image,
        **program(run, config, prepared_uri, resume=resume),
        "numNodes": job.nodes,
        "numProcPerNode": job.processes_per_node,
        "resourcesPerNode": training_resources(job),
    }
    spec: Manifest = {
        "runtimeRef": {"apiGroup": API_VERSION.partition("/")[0], "kind": RUNTIME_KIND, "name": _name(run)},
        "trainer": trainer,
    }
    if job.queue:
        spec["suspend"] = True  # Kueue starts it when the queue has room
    return {"apiVersion": API_VERSION, "kind": KIND, "metadata": job_metadata(run), "spec": spec}


def training_runtime(run: ClusterRun, *, config: TrainConfig, prepared_uri: str, resume: bool = False) -> Manifest:
    """What the pods of the revision's TrainJob are like."""
    metadata = job_metadata(run)
    metadata["labels"] = {**job_labels(run), LABEL_FRAMEWORK: "torch"}  # the queue is the job's, not the template's
    pod = training_pod(run, NODE, label_job=LABEL_JOB_SET)
    pod = with_its_helpers(pod, run, config, prepared_uri, role=ROLE, resume=resume)
    pod["spec"]["restartPolicy"] = "Never"
    job = {
        "metadata": {"labels": {LABEL_STEP: "trainer"}},
        "spec": {"backoffLimit": 0, "template": pod},
    }
    return {
        "apiVersion": API_VERSION,
        "kind": RUNTIME_KIND,
        "metadata": metadata,
        "spec": {
            "mlPolicy": {"numNodes": run.job.nodes, "torch": {}},
            "template": {
                "metadata": {"labels": job_labels(run)},
                "spec": {
                    "failurePolicy": {"maxRestarts": 0},
                    "replicatedJobs": [{"name": NODE, "template": job}],
                },
            },
        },
    }


def _name(run: ClusterRun) -> str:
    return record_name(run.name, run.revision)
