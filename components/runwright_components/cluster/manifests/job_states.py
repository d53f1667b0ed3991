"""What a job's status says of it, in the same words for every kind of job.

Reads any JSON, and never raises. What decides is written by Kubernetes' condition conventions in a PyTorchJob and a
TrainJob, by two words of its own in a RayJob, and by one in a SparkApplication.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from runwright_components.cluster.manifests import rayjob, sparkapplication, trainjob
from runwright_components.cluster.manifests.fields import condition, dig, integer, items, mapping, text

JobState = Literal["created", "suspended", "running", "restarting", "succeeded", "failed"]

_RAY: dict[str, JobState] = {
    "Running": "running",
    "Retrying": "restarting",
    "Suspending": "suspended",
    "Suspended": "suspended",
    "Failed": "failed",
    "ValidationFailed": "failed",
}
_SPARK: dict[str, JobState] = {
    "RUNNING": "running",
    "SUCCEEDING": "running",
    "FAILING": "running",
    "UNKNOWN": "running",  # the operator lost sight of the driver, and looks again
    "COMPLETED": "succeeded",
    "FAILED": "failed",
    "SUBMISSION_FAILED": "failed",
    "PENDING_RERUN": "restarting",
    "INVALIDATING": "restarting",
    "SUSPENDING": "suspended",
    "SUSPENDED": "suspended",
    "RESUMING": "suspended",
}


def job_state(job: Mapping[str, Any]) -> JobState:
    """What its controller says of the job; an end outweighs what came before. A job without a kind is a PyTorchJob."""
    match mapping(job).get("kind"):
        case trainjob.KIND:
            return _train_job(job)
        case rayjob.KIND:
            return _ray_job(job)
        case sparkapplication.KIND:
            return _SPARK.get(_spark_word(job), "created")
    for kind, state in _PYTORCH:
        if _holds(job, kind):
            return state
    return "created"


_PYTORCH: tuple[tuple[str, JobState], ...] = (
    ("Succeeded", "succeeded"),
    ("Failed", "failed"),
    ("Suspended", "suspended"),
    ("Restarting", "restarting"),
    ("Running", "running"),
)


def is_suspended(job: Mapping[str, Any]) -> bool:
    """Whether the job waits for its queue, be its controller aware of it already or not."""
    asked = dig(job, "spec", "suspend") is True or dig(job, "spec", "runPolicy", "suspend") is True
    return asked or job_state(job) == "suspended"


def failure_message(job: Mapping[str, Any]) -> str:
    """What the controller says of a job that failed."""
    if mapping(job).get("kind") == rayjob.KIND:
        return ": ".join(filter(None, (text(dig(job, "status", "reason")), text(dig(job, "status", "message")))))
    if mapping(job).get("kind") == sparkapplication.KIND:
        return text(dig(job, "status", "applicationState", "errorMessage"))
    return text(condition(job, "Failed").get("message"))


def not_submitted(job: Mapping[str, Any]) -> bool:
    """Whether this is a SparkApplication whose driver was never started."""
    if mapping(job).get("kind") != sparkapplication.KIND:
        return False
    return _spark_word(job) == "SUBMISSION_FAILED" or "failed to run spark-submit" in failure_message(job)


def _spark_word(job: Mapping[str, Any]) -> str:
    return text(dig(job, "status", "applicationState", "state"))


def _train_job(job: Mapping[str, Any]) -> JobState:
    """There is no condition for a job that runs: its nodes tell."""
    if _holds(job, "Complete"):
        return "succeeded"
    if _holds(job, "Failed"):
        return "failed"
    if _holds(job, "Suspended"):
        return "suspended"
    nodes = [mapping(one) for one in items(dig(job, "status", "jobsStatus"))]
    return "running" if any((integer(one.get("ready")) or 0) > 0 for one in nodes) else "created"


def _ray_job(job: Mapping[str, Any]) -> JobState:
    """`Complete` is said of every job whose program ended; how, the other word says."""
    deployment, program = (text(dig(job, "status", name)) for name in ("jobDeploymentStatus", "jobStatus"))
    if deployment == "Complete":
        return "succeeded" if program == "SUCCEEDED" else "failed"
    return _RAY.get(deployment, "created")


def _holds(job: Mapping[str, Any], kind: str) -> bool:
    return condition(job, kind).get("status") == "True"
