"""What the status of each kind of job says, and how a program's end is read from Ray's message."""

from typing import Any

import pytest

from runwright_components.cluster.manifests.fault import Fault
from runwright_components.cluster.manifests.faults import job_fault, waiting_fault
from runwright_components.cluster.manifests.job_states import job_state


def train_job(*conditions: str, ready: int = 0, suspend: bool = False) -> dict[str, Any]:
    found = [{"type": kind, "status": "True"} for kind in conditions]
    nodes = [{"name": "node", "ready": ready, "active": 1}]
    return {"kind": "TrainJob", "spec": {"suspend": suspend}, "status": {"conditions": found, "jobsStatus": nodes}}


def spark_application(state: str) -> dict[str, Any]:
    return {"kind": "SparkApplication", "status": {"applicationState": {"state": state}}}


def ray_job(deployment: str, program: str = "", **status: Any) -> dict[str, Any]:
    return {"kind": "RayJob", "status": {"jobDeploymentStatus": deployment, "jobStatus": program, **status}}


@pytest.mark.parametrize(
    ("job", "state"),
    [
        ({"kind": "TrainJob"}, "created"),
        (train_job(), "created"),
        (train_job(ready=1), "running"),
        (train_job("Suspended"), "suspended"),
        (train_job("Complete", ready=1), "succeeded"),
        (train_job("Suspended", "Failed"), "failed"),
        ({"kind": "RayJob"}, "created"),
        (ray_job("Initializing"), "created"),
        (ray_job("Running", "RUNNING"), "running"),
        (ray_job("Retrying"), "restarting"),
        (ray_job("Suspended"), "suspended"),
        (ray_job("Complete", "SUCCEEDED"), "succeeded"),
        (ray_job("Complete", "STOPPED"), "failed"),
        (ray_job("Failed", "FAILED"), "failed"),
        (ray_job("ValidationFailed"), "failed"),
        ({"kind": "SparkApplication"}, "created"),
        (spark_application("SUBMITTED"), "created"),
        (spark_application("RUNNING"), "running"),
        (spark_application("SUCCEEDING"), "running"),
        (spark_application("COMPLETED"), "succeeded"),
        (spark_application("SUBMISSION_FAILED"), "failed"),
        (spark_application("FAILED"), "failed"),
        (spark_application("SUSPENDED"), "suspended"),
        ({"kind": ["TrainJob"], "status": 3}, "created"),
        ({"kind": "TrainJob", "status": {"jobsStatus": [3, {"ready": "one"}]}}, "created"),
    ],
)
def test_states(job: dict[str, Any], state: str) -> None:
    assert job_state(job) == state


@pytest.mark.parametrize("job", [train_job(suspend=True), {"kind": "RayJob", "spec": {"suspend": True}}])
def test_a_job_that_its_queue_holds_waits_for_it(job: dict[str, Any]) -> None:
    fault = waiting_fault(job, [])
    assert fault is not None
    assert fault.reason == "WaitingForQuota"


PROGRAM = "Job entrypoint command failed with exit code {}, last available logs (truncated to 20,000 chars):\n{}"


def ray_fault(code: int, log: str) -> Fault:
    return job_fault(ray_job("Failed", "FAILED", reason="AppFailed", message=PROGRAM.format(code, log)), [])


def test_a_program_on_ray_tells_its_fault_by_its_last_line() -> None:
    fault = ray_fault(10, 'epoch 3\n{"reason":"UserCodeError","message":"KeyError: age","cure":"see the lines"}\n')
    assert (fault.reason, fault.message, fault.exit_code) == ("UserCodeError", "KeyError: age", 10)
    assert not fault.retryable


def test_a_program_that_was_killed_says_by_what() -> None:
    fault = ray_fault(-9, "loading\nallocating")
    assert (fault.reason, fault.exit_code) == ("WorkerFailed", 137)
    assert "signal 9" in fault.message
    assert fault.log[-1] == "allocating"


def test_a_job_that_ray_could_not_even_start_says_so() -> None:
    job = ray_job("ValidationFailed", reason="ValidationFailed", message="rayClusterSpec is invalid")
    fault = job_fault(job, [])
    assert (fault.reason, fault.retryable) == ("InvalidConfig", False)
    assert "rayClusterSpec is invalid" in fault.message
