"""The kinds of Kubernetes objects that the operator touches, and the key of a TrainingRun."""

from __future__ import annotations

from typing import NamedTuple

from runwright_api import names


class Key(NamedTuple):
    """A TrainingRun, by namespace and name."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


class Resource(NamedTuple):
    """A kind of object as the API's paths name it; `group` is empty for the core group."""

    group: str
    version: str
    plural: str
    kind: str

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version


TRAINING_RUN = Resource(names.GROUP, names.VERSION, names.PLURAL, names.KIND)
PYTORCH_JOB = Resource("kubeflow.org", "v1", "pytorchjobs", "PyTorchJob")
TRAIN_JOB = Resource("trainer.kubeflow.org", "v1alpha1", "trainjobs", "TrainJob")
RAY_JOB = Resource("ray.io", "v1", "rayjobs", "RayJob")
SPARK_APPLICATION = Resource("sparkoperator.k8s.io", "v1beta2", "sparkapplications", "SparkApplication")
INFERENCE_SERVICE = Resource("serving.kserve.io", "v1beta1", "inferenceservices", "InferenceService")
CONFIG_MAP = Resource("", "v1", "configmaps", "ConfigMap")
POD = Resource("", "v1", "pods", "Pod")
SECRET = Resource("", "v1", "secrets", "Secret")
EVENT = Resource("", "v1", "events", "Event")
LEASE = Resource("coordination.k8s.io", "v1", "leases", "Lease")

JOBS = {"pytorchjob": PYTORCH_JOB, "trainjob": TRAIN_JOB, "rayjob": RAY_JOB}
"""The kind of job that trains, by `train.backend`."""
DATA_JOBS = {"spark": SPARK_APPLICATION, "ray": RAY_JOB}
"""The kind of job that prepares data, by `data.engine`."""
EVERY_JOB = tuple(dict.fromkeys((*JOBS.values(), *DATA_JOBS.values())))
OPTIONAL = (TRAIN_JOB, RAY_JOB, SPARK_APPLICATION)
"""Kinds that a cluster may lack for good: only who asks for them is refused."""
