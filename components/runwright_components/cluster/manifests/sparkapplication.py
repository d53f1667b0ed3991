"""The SparkApplication of a revision (Kubeflow Spark operator): our program as its driver, and Spark's executors.

Both kinds of pods are described whole by pod templates, so that the operator's webhook is not needed for them. We own
retries: the application is never restarted by its operator, and executors that ended are kept until it goes, for their
status to be read. The driver makes its executors itself, with the rights of a ServiceAccount of its own.
"""

from __future__ import annotations

import math
from decimal import Decimal
from typing import Any

from runwright_components.cluster.manifests.data_pod import driver_pod, worker_pod
from runwright_components.cluster.manifests.pods import Manifest
from runwright_components.cluster.manifests.training_pod import job_metadata
from runwright_components.contract.cluster import ClusterRun, PodAmounts
from runwright_components.contract.outcome import Reason, StageError

API_VERSION = "sparkoperator.k8s.io/v1beta2"
KIND = "SparkApplication"
PLURAL = "sparkapplications"
DRIVER = "spark-kubernetes-driver"  # names of containers that the operator tells Spark to look for in the templates
EXECUTOR = "spark-kubernetes-executor"
LABEL_APP = "sparkoperator.k8s.io/app-name"
LABEL_ROLE = "spark-role"
ACCOUNT = "runwright-spark"
OLDEST_SPARK = "4.0.0"  # of the field that must be there; what runs is the image's
LEAST_MEMORY = 1024  # MiB of a pod: Spark refuses a heap below 450 MiB, and Python wants as much beside it

_PROGRAM = "/runwright/program"
_ANNOTATION_PROGRAM = "runwright.dev/program"
_UNITS: dict[str, int | Decimal] = {
    "": 1, "k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12, "P": 10**15,
    "Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40, "Pi": 2**50,
    "m": Decimal("0.001"),
}  # fmt: skip

_CONF = {
    "spark.authenticate": "true",  # executors and driver know each other by a secret that Spark makes
    "spark.ui.enabled": "false",  # whoever reaches the page of a driver could end its jobs
    # Both go with the driver's pod; deleting them would take rights that the driver has not.
    "spark.kubernetes.driver.service.deleteOnTermination": "false",
    "spark.kubernetes.driver.ownPersistentVolumeClaim": "false",
}


def spark_application(run: ClusterRun, module: str, environment: list[Manifest]) -> Manifest:
    """The application of `run.preparing()`, whose driver runs the Python module. Raises StageError (InvalidConfig)."""
    assert run.data is not None
    driver = driver_pod(run, DRIVER, environment, label_job=LABEL_APP)
    driver["spec"]["automountServiceAccountToken"] = True  # it makes the executors
    _with_program(driver, module)
    amounts = _amounts(run.data.executor, "executor")
    tasks = run.data.executors * amounts["cores"]  # as many at a time; Spark itself counts before executors are there
    executor = {"instances": run.data.executors, "deleteOnTermination": False, **amounts}
    spec = {
        "type": "Python",
        "pythonVersion": "3",
        "mode": "cluster",
        "sparkVersion": OLDEST_SPARK,
        "image": run.data.image,
        "mainApplicationFile": f"local://{_PROGRAM}/main.py",
        "restartPolicy": {"type": "Never"},
        "sparkConf": {**_CONF, "spark.default.parallelism": str(tasks)},
        "driver": {"serviceAccount": ACCOUNT, "template": driver, **_amounts(run.data.driver, "driver")},
        "executor": {"template": worker_pod(run, EXECUTOR, label_job=LABEL_APP), **executor},
    }
    return {"apiVersion": API_VERSION, "kind": KIND, "metadata": job_metadata(run), "spec": spec}


def _with_program(pod: Manifest, module: str) -> None:
    """Give the pod the file that Spark wants for a program: it has no way to name a module. The kubelet writes it from
    an annotation, so that neither the image nor another object must hold it."""
    text = f"import runpy\n\nrunpy.run_module({module!r}, run_name='__main__')\n"
    pod["metadata"]["annotations"][_ANNOTATION_PROGRAM] = text
    path = {"path": "main.py", "fieldRef": {"fieldPath": f"metadata.annotations['{_ANNOTATION_PROGRAM}']"}}
    pod["spec"]["volumes"].append({"name": "program", "downwardAPI": {"items": [path]}})
    (container,) = pod["spec"]["containers"]
    container["volumeMounts"].append({"name": "program", "mountPath": _PROGRAM, "readOnly": True})


def _amounts(given: PodAmounts, who: str) -> dict[str, Any]:
    """A quarter of a pod's memory is the JVM's heap, the rest Python's, which does the work: Spark wants to be told of
    each."""
    mebibytes = int(_number(given.memory) / 2**20)
    if mebibytes < LEAST_MEMORY:
        raise StageError(
            Reason.INVALID_CONFIG,
            f"{given.memory} of memory is too little for Spark",
            where=f"data.cluster.{who}.memory",
            cure=f"give {LEAST_MEMORY // 1024}Gi or more",
        )
    heap = max(LEAST_MEMORY // 2, mebibytes // 4)
    return {
        "cores": max(1, math.ceil(_number(given.cpu))),
        "coreRequest": given.cpu,
        "memory": f"{heap}m",
        "memoryOverhead": f"{mebibytes - heap}m",
    }


def _number(quantity: str) -> Decimal:
    """A Kubernetes quantity as a number."""
    digits = quantity.rstrip("mkMGTPi")
    return Decimal(digits) * _UNITS[quantity[len(digits) :]]
