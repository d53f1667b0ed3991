"""From statuses and events, as Kubernetes writes them, to one reason."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runwright_components.cluster.manifests.fault import KNOWN, Fault
from runwright_components.cluster.manifests.faults import exhausted, gone_fault, job_fault, pod_fault, waiting_fault
from runwright_components.cluster.manifests.job_states import job_state
from runwright_components.cluster.manifests.serving import readiness

Pod = dict[str, Any]


def _pod(name: str = "churn-r1-master-0", **status: Any) -> Pod:
    return {"metadata": {"name": name, "uid": f"uid-{name}"}, "status": status}


def _waiting(reason: str, message: str = "") -> Pod:
    state = {"waiting": {"reason": reason, "message": message}}
    return _pod(phase="Pending", containerStatuses=[{"name": "pytorch", "state": state}])


def _ended(
    code: int, *, reason: str = "Error", message: str = "", at: str = "2026-01-01T00:00:10Z", **more: Any
) -> Pod:
    terminated = {"exitCode": code, "reason": reason, "message": message, "finishedAt": at}
    status = {"name": "pytorch", "restartCount": 0, "state": {"terminated": terminated}}
    return _pod(phase="Failed", containerStatuses=[status], **more)


def _disrupted(reason: str) -> Pod:
    condition = {"type": "DisruptionTarget", "status": "True", "reason": reason, "message": "told so"}
    return _ended(143, conditions=[condition])


def _of(pod: Pod) -> Fault:
    found = pod_fault(pod)
    assert found is not None
    return found


@pytest.mark.parametrize("reason", ["ImagePullBackOff", "ErrImagePull", "InvalidImageName", "ErrImageNeverPull"])
def test_an_image_that_does_not_come(reason: str) -> None:
    fault = _of(_waiting(reason, 'Back-off pulling image "x"'))
    assert (fault.reason, fault.waiting, fault.container) == ("ImagePullBackOff", True, "pytorch")
    assert fault.pod == "churn-r1-master-0"
    assert fault.record().cure


@pytest.mark.parametrize("reason", ["CreateContainerConfigError", "CreateContainerError"])
def test_a_container_that_cannot_be_made(reason: str) -> None:
    fault = _of(_waiting(reason, 'secret "storage" not found'))
    assert (fault.reason, fault.waiting) == ("ContainerConfigError", True)


def test_no_node_fits() -> None:
    condition = {
        "type": "PodScheduled",
        "status": "False",
        "reason": "Unschedulable",
        "message": "0/8 nodes are available: 8 Insufficient nvidia.com/gpu.",
    }
    fault = _of(_pod(phase="Pending", conditions=[condition]))
    assert (fault.reason, fault.waiting) == ("Unschedulable", True)
    assert "Insufficient nvidia.com/gpu" in fault.message


def test_a_gated_pod_waits_for_quota() -> None:
    condition = {"type": "PodScheduled", "status": "False", "reason": "SchedulingGated"}
    assert _of(_pod(phase="Pending", conditions=[condition])).reason == "WaitingForQuota"


def test_out_of_memory() -> None:
    fault = _of(_ended(137, reason="OOMKilled"))
    assert (fault.reason, fault.exit_code, fault.preemption, fault.retryable) == ("OOMKilled", 137, False, True)


@pytest.mark.parametrize(
    ("told", "reason"),
    [
        ("PreemptionByScheduler", "Preempted"),
        ("EvictionByEvictionAPI", "Evicted"),
        ("TerminationByKubelet", "Evicted"),
        ("DeletionByTaintManager", "NodeLost"),
        ("DeletionByPodGC", "NodeLost"),
    ],
)
def test_a_disruption_outweighs_the_exit_code(told: str, reason: str) -> None:
    fault = _of(_disrupted(told))
    assert (fault.reason, fault.preemption, fault.retryable) == (reason, True, True)


@pytest.mark.parametrize(
    ("told", "reason"),
    [
        ("Evicted", "Evicted"),
        ("NodeLost", "NodeLost"),
        ("OutOfcpu", "NodeLost"),
        ("DeadlineExceeded", "DeadlineExceeded"),
    ],
)
def test_the_pods_own_reason(told: str, reason: str) -> None:
    assert _of(_pod(phase="Failed", reason=told, message="so")).reason == reason


@pytest.mark.parametrize(
    ("code", "reason", "retryable", "preemption"),
    [
        (1, "WorkerFailed", True, False),
        (10, "UserCodeError", False, False),
        (20, "WorkerFailed", True, False),
        (30, "Cancelled", True, True),
        (143, "Cancelled", True, True),
        (127, "ContainerConfigError", True, False),
        (134, "WorkerFailed", True, False),
        (139, "WorkerFailed", True, False),
    ],
)
def test_an_exit_code_alone(code: int, reason: str, retryable: bool, preemption: bool) -> None:
    fault = _of(_ended(code, message="line one\nline two"))
    assert (fault.reason, fault.exit_code) == (reason, code)
    assert (fault.retryable, fault.preemption) == (retryable, preemption)


def test_the_words_that_a_worker_left() -> None:
    words = json.dumps({"reason": "DataInvalid", "message": "no rows", "cure": "collect more", "log": ["a", "b"]})
    fault = _of(_ended(10, message=words))
    assert (fault.reason, fault.message, fault.cure, fault.log) == (
        "DataInvalid",
        "no rows",
        "collect more",
        ("a", "b"),
    )
    assert not fault.retryable


def test_a_reason_that_is_not_in_the_list_is_not_taken_over() -> None:
    words = json.dumps({"reason": "rm -rf", "message": "x"})
    assert _of(_ended(1, message=words)).reason == "WorkerFailed"


def test_the_last_lines_of_the_log_come_along() -> None:
    fault = _of(_ended(1, message="\n".join(f"line {number}" for number in range(100))))
    assert len(fault.log) == 20
    assert fault.log[-1] == "line 99"


@pytest.mark.parametrize(
    "line",
    [
        "[Rank 1] Watchdog caught collective operation timeout: WorkNCCL(SeqNum=4)",
        "RuntimeError: [gloo] Connection closed by peer [10.1.2.3]:4711",
    ],
)
def test_a_rank_that_lost_its_peers(line: str) -> None:
    assert _of(_ended(134, message=line)).reason == "CollectiveTimeout"


def test_the_cause_among_several_pods_is_the_first_own_fault() -> None:
    pods = [
        _ended(134, message="Watchdog caught collective operation timeout", at="2026-01-01T00:00:01Z"),
        _ended(1, message="later", at="2026-01-01T00:00:09Z"),
        _ended(137, reason="OOMKilled", at="2026-01-01T00:00:05Z"),
    ]
    assert job_fault({}, pods).reason == "OOMKilled"


def test_a_peer_that_was_preempted_explains_a_lost_connection() -> None:
    event = {"reason": "Preempted", "message": "Preempted by pod x on node n", "involvedObject": {"name": "w-1"}}
    pods = [_ended(134, message="Connection closed by peer")]
    fault = job_fault({}, pods, [event])
    assert (fault.reason, fault.pod, fault.preemption) == ("Preempted", "w-1", True)


def test_a_failed_job_without_pods_lost_them() -> None:
    assert job_fault({}, []).reason == "NodeLost"


def test_a_vanished_pod_by_its_events() -> None:
    pod = _pod(phase="Running")
    mine = {"reason": "TaintManagerEviction", "message": "x", "involvedObject": {"uid": pod["metadata"]["uid"]}}
    other = {"reason": "Preempted", "message": "x", "involvedObject": {"uid": "another"}}
    assert gone_fault(pod, [other, mine]).reason == "NodeLost"
    assert gone_fault(pod, [{**mine, "reason": "Preempted"}]).reason == "Preempted"
    assert gone_fault(pod, []).preemption


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        ('pods "x" is forbidden: exceeded quota: gpus, requested: 8', "QuotaExceeded"),
        ('pods "x" is forbidden: violates PodSecurity "restricted:latest"', "NotAllowed"),
        ("pods is forbidden: no PriorityClass with name high was found", "NotAllowed"),
    ],
)
def test_pods_that_may_not_be_made(message: str, reason: str) -> None:
    fault = waiting_fault({}, [], [{"reason": "FailedCreatePod", "message": f"Error creating: {message}"}])
    assert fault is not None
    assert (fault.reason, fault.waiting) == (reason, True)


def test_a_name_that_is_taken_for_a_moment_is_no_reason() -> None:
    assert waiting_fault({}, [], [{"reason": "FailedCreatePod", "message": 'pods "x" already exists'}]) is None


def test_a_suspended_job_waits_for_its_queue() -> None:
    fault = waiting_fault({"spec": {"runPolicy": {"suspend": True}}}, [])
    assert fault is not None
    assert fault.reason == "WaitingForQuota"


def test_states_of_a_job() -> None:
    def of(*kinds: str) -> str:
        conditions = [{"type": kind, "status": "True"} for kind in kinds]
        return job_state({"status": {"conditions": conditions}})

    assert of() == "created"
    assert of("Created", "Running") == "running"
    assert of("Created", "Running", "Failed") == "failed"
    assert of("Created", "Succeeded") == "succeeded"
    assert of("Suspended") == "suspended"


def test_spent_retries_keep_the_cause() -> None:
    fault = Fault("OOMKilled", "too large", pod="p", exit_code=137)
    assert exhausted(fault, spent=0, what="failures") is fault
    last = exhausted(fault, spent=2, what="failures")
    assert (last.reason, last.pod, last.exit_code) == ("RetriesExhausted", "p", 137)
    assert "OOMKilled after 2 restarts" in last.message
    assert "train.retries.failures" in last.cure


def test_a_serving_container_may_end_once() -> None:
    ended = {"exitCode": 1, "reason": "Error", "message": "boom"}
    once = {"name": "kserve-container", "restartCount": 1, "state": {"terminated": ended}}
    assert pod_fault(_pod(containerStatuses=[once]), serving=True) is None
    loop = {**once, "restartCount": 4, "state": {"waiting": {"reason": "CrashLoopBackOff"}}}
    loop["lastState"] = {"terminated": ended}
    fault = pod_fault(_pod(containerStatuses=[loop]), serving=True)
    assert fault is not None
    assert (fault.reason, fault.restarts, fault.exit_code) == ("WorkerFailed", 4, 1)


_FIELDS = """
status metadata spec conditions containerStatuses initContainerStatuses state waiting terminated reason message
exitCode type name uid lastState phase items involvedObject annotations labels url finishedAt modelStatus restartCount
runPolicy suspend
"""
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=40),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(_FIELDS.split()) | st.text(max_size=8), inner, max_size=6)
    ),
    max_leaves=30,
)


@given(_JSON, _JSON, st.lists(_JSON, max_size=3))
@settings(max_examples=400, deadline=None)
def test_any_json_is_survived(one: Any, other: Any, several: list[Any]) -> None:
    mapping = one if isinstance(one, dict) else {"status": one, "metadata": other}
    for serving in (False, True):
        found = pod_fault(mapping, serving=serving)
        if found is not None:
            found.record()
    job_state(mapping)
    job_fault(mapping, several, several).record()
    waiting_fault(mapping, several, several)
    gone_fault(mapping, several).record()
    readiness(mapping, "sha256:x", [pod for pod in several if isinstance(pod, dict)])


@given(st.text() | st.binary().map(lambda raw: raw.decode("utf-8", "replace")))
def test_any_termination_message_is_survived(words: str) -> None:
    assert _of(_ended(1, message=words)).record().reason in KNOWN | {"ContainerConfigError"}
    _of(_ended(1, message="{" + words)).record()
