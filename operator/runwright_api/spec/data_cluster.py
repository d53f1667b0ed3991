"""`spec.data.cluster`: the pods of an engine other than local."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from runwright_api.part import Part, Rule, unless
from runwright_api.text import Image, ObjectName, Quantity

LONGEST_NAME = 35
"""Of a run whose data a job prepares. KubeRay allows 47 characters; the revision and what the job is for are added."""


class DriverPod(Part):
    """The pod that runs the prepare stage and hands out its tasks."""

    cpu: Quantity = "1"
    """CPU cores, for example "4" or 500m. Default: 1."""
    memory: Quantity = "4Gi"
    """Memory, for example 16Gi. Default: 4Gi."""


class ExecutorPod(Part):
    """One of the pods that do the tasks."""

    cpu: Quantity = "2"
    """CPU cores, and so many tasks at a time. Default: 2."""
    memory: Quantity = "8Gi"
    """Memory, for example 16Gi. Default: 8Gi."""


class DataCluster(Part):
    """The SparkApplication or the RayJob that prepares the data. Used in a cluster only."""

    image: Image
    """Image of its pods: one with Runwright and the engine."""
    claim_name: ObjectName
    """PersistentVolumeClaim of the namespace that all its pods can mount (ReadWriteMany): they hand each other files on
    it."""
    executors: Annotated[int, Field(ge=1, le=1000)] = 2
    """Pods beside the driver. Default: 2."""
    driver: DriverPod = DriverPod()
    """The driver."""
    executor: ExecutorPod = ExecutorPod()
    """Each of the others."""


CLUSTER_RULE = Rule(
    message="cluster is for the engines spark and ray",
    broken=lambda data: unless(data.engine != "local" or data.cluster is None, "cluster"),
    cel="!has(self.cluster) || (has(self.engine) && self.engine != 'local')",
    cure="set `engine: spark` or `engine: ray`, or remove it; the prepare step itself does the work of local",
)
"""Rule of `spec.data`."""

RUN_RULE = Rule(
    message=f"with `data.engine: spark` or `ray`, the run's name has at most {LONGEST_NAME} characters",
    broken=lambda run: unless(
        run.spec.data.engine == "local" or len(run.metadata.name) <= LONGEST_NAME, "metadata", "name"
    ),
    cel=(
        f"size(self.metadata.name) <= {LONGEST_NAME} || !has(self.spec.data) || !has(self.spec.data.engine)"
        " || self.spec.data.engine == 'local'"
    ),
    cure="give it a shorter name, or use `engine: local`",
)
"""Rule of the whole TrainingRun."""
