"""The real peers do their work: jobs run on simulated nodes, models get ready, what is owned goes with its owner."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import pytest

from tests.cluster.tier.api import Api, Refused
from tests.cluster.waiting import eventually

Seen = TypeVar("Seen")

JOB = ("kubeflow.org/v1", "PyTorchJob")
SERVICE = ("serving.kserve.io/v1beta1", "InferenceService")
SECURITY = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
POD_SECURITY = {"runAsNonRoot": True, "runAsUser": 65532, "seccompProfile": {"type": "RuntimeDefault"}}


def _job(namespace: str, *, workers: int, gpus: int, container: str = "pytorch") -> dict[str, Any]:
    resources = {"limits": {"nvidia.com/gpu": gpus}}
    containers = [{"name": container, "image": "example", "resources": resources, "securityContext": SECURITY}]
    pod = {"spec": {"securityContext": POD_SECURITY, "containers": containers}}
    replica = {"restartPolicy": "Never", "template": pod}
    replicas = {"Master": {"replicas": 1, **replica}} | (
        {"Worker": {"replicas": workers, **replica}} if workers else {}
    )
    return {
        "apiVersion": JOB[0],
        "kind": JOB[1],
        "metadata": {"name": "job", "namespace": namespace},
        "spec": {"runPolicy": {"backoffLimit": 0, "cleanPodPolicy": "None"}, "pytorchReplicaSpecs": replicas},
    }


def _model(namespace: str) -> dict[str, Any]:
    containers = [{"name": "kserve-container", "image": "example", "securityContext": SECURITY}]
    first = [{"name": "model", "image": "example", "securityContext": SECURITY}]
    predictor = {"securityContext": POD_SECURITY, "initContainers": first, "containers": containers}
    return {
        "apiVersion": SERVICE[0],
        "kind": SERVICE[1],
        "metadata": {"name": "model", "namespace": namespace},
        "spec": {"predictor": predictor},
    }


def _has(api: Api, namespace: str, condition: str) -> Callable[[], dict[str, Any]]:
    def seen() -> dict[str, Any]:
        job = api.get(*JOB, "job", namespace)
        return job if api.condition(job, condition).get("status") == "True" else {}

    return seen


def _or_none(seen: Callable[[], Seen]) -> Seen | None:
    """What is read from a status, or None while the status does not hold it."""
    try:
        return seen()
    except (KeyError, ValueError):
        return None


def test_a_job_with_workers_succeeds(api: Api, namespace: str, simulate: Callable[..., None]) -> None:
    simulate(namespace, "training", run_ms=1000)
    api.create(_job(namespace, workers=2, gpus=8))
    eventually(_has(api, namespace, "Succeeded"), 30)
    pods = api.list("v1", "Pod", namespace, labels="training.kubeflow.org/job-name=job")
    assert sorted(pod["metadata"]["name"] for pod in pods) == ["job-master-0", "job-worker-0", "job-worker-1"]
    assert len({pod["spec"]["nodeName"] for pod in pods}) == 3  # each takes all GPUs of its node
    worker = next(pod for pod in pods if pod["metadata"]["name"] == "job-worker-0")
    assert worker["status"]["initContainerStatuses"][0]["state"]["terminated"]["exitCode"] == 0


def test_a_failure_looks_as_a_kubelet_reports_it(api: Api, namespace: str, simulate: Callable[..., None]) -> None:
    simulate(namespace, "training", run_ms=200)
    simulate(namespace, "training-master-0", exit_code=137, reason="OOMKilled", message='{"said": "no memory"}')
    api.create(_job(namespace, workers=0, gpus=1))
    eventually(_has(api, namespace, "Failed"), 30)
    pod = api.get("v1", "Pod", "job-master-0", namespace)
    ended = pod["status"]["containerStatuses"][0]["state"]["terminated"]
    assert (pod["status"]["phase"], ended["exitCode"], ended["reason"]) == ("Failed", 137, "OOMKilled")
    assert ended["message"] == '{"said": "no memory"}'


def test_a_missing_image_keeps_a_pod_waiting_until_it_is_there(
    api: Api, namespace: str, simulate: Callable[..., None]
) -> None:
    simulate(namespace, "training", waiting="ImagePullBackOff", run_ms=100)
    api.create(_job(namespace, workers=0, gpus=1))

    def waits() -> str:
        pod = api.get("v1", "Pod", "job-master-0", namespace)
        return str(pod["status"]["containerStatuses"][0]["state"]["waiting"]["reason"])

    assert eventually(lambda: _or_none(waits), 30) == "ImagePullBackOff"
    api.merge("v1", "Pod", "job-master-0", {"metadata": {"annotations": {"sim/waiting": None}}}, namespace)
    eventually(_has(api, namespace, "Succeeded"), 30)


def test_an_eviction_looks_as_one(api: Api, namespace: str, simulate: Callable[..., None]) -> None:
    how = {"pod_reason": "Evicted", "disruption": "TerminationByKubelet", "message": "The node was low on memory."}
    simulate(namespace, "training", run_ms=100, exit_code=137, **how)
    api.create(_job(namespace, workers=0, gpus=1))
    eventually(_has(api, namespace, "Failed"), 30)
    pod = api.get("v1", "Pod", "job-master-0", namespace)
    assert (pod["status"]["reason"], pod["status"]["message"]) == ("Evicted", how["message"])
    assert api.condition(pod, "DisruptionTarget")["reason"] == "TerminationByKubelet"


def test_a_running_pod_ends_when_it_is_told_to(api: Api, namespace: str) -> None:
    api.create(_job(namespace, workers=0, gpus=1))
    eventually(_has(api, namespace, "Running"), 30)
    told = {"metadata": {"annotations": {"sim/run-ms": "0", "sim/exit-code": "10"}}}
    api.merge("v1", "Pod", "job-master-0", told, namespace)
    eventually(_has(api, namespace, "Failed"), 30)


def test_a_job_too_large_for_a_node_stays_unschedulable(api: Api, namespace: str) -> None:
    api.create(_job(namespace, workers=0, gpus=9))

    def unschedulable() -> bool:
        condition = api.condition(api.get("v1", "Pod", "job-master-0", namespace), "PodScheduled")
        return condition.get("reason") == "Unschedulable" and "Insufficient nvidia.com/gpu" in condition["message"]

    eventually(unschedulable, 30)


def test_the_training_operator_refuses_a_wrong_container(api: Api, namespace: str) -> None:
    with pytest.raises(Refused, match="pytorch"):
        api.create(_job(namespace, workers=0, gpus=1, container="trainer"))


def test_a_model_becomes_ready_and_has_a_url(api: Api, namespace: str) -> None:
    api.create(_model(namespace))

    def ready() -> dict[str, Any]:
        found = api.get(*SERVICE, "model", namespace)
        return found if api.condition(found, "Ready").get("status") == "True" else {}

    status = eventually(ready, 30)["status"]
    assert status["url"].startswith(f"http://model-{namespace}.")
    assert status["observedGeneration"] == 1
    assert api.get("apps/v1", "Deployment", "model-predictor", namespace)["status"]["readyReplicas"] == 1


def test_a_model_that_cannot_be_fetched_is_not_ready(api: Api, namespace: str, simulate: Callable[..., None]) -> None:
    simulate(namespace, "serving", init_waiting="CrashLoopBackOff", exit_code=10, message="no such package")
    api.create(_model(namespace))

    def crashed() -> dict[str, Any]:
        (pod,) = api.list("v1", "Pod", namespace, labels="serving.kserve.io/inferenceservice=model")
        return dict(pod["status"]["initContainerStatuses"][0]["lastState"]["terminated"])

    ended = eventually(lambda: _or_none(crashed), 30)
    assert (ended["exitCode"], ended["message"]) == (10, "no such package")
    assert api.condition(api.get(*SERVICE, "model", namespace), "Ready")["status"] == "False"


def test_kserve_refuses_a_model_without_a_predictor(api: Api, namespace: str) -> None:
    model = _model(namespace)
    model["spec"]["predictor"] = {}
    with pytest.raises(Refused, match="denied the request"):
        api.create(model)


def test_what_is_owned_goes_with_its_owner(api: Api, namespace: str, smallest: Callable[[str, str], Any]) -> None:
    owner = api.create(smallest(namespace, "penguins"))
    reference = {"apiVersion": owner["apiVersion"], "kind": owner["kind"], "name": "penguins"}
    job, model = _job(namespace, workers=1, gpus=1), _model(namespace)
    for child in (job, model):
        child["metadata"]["ownerReferences"] = [{**reference, "uid": owner["metadata"]["uid"]}]
        api.create(child)
    eventually(lambda: len(api.list("v1", "Pod", namespace)) == 3, 30)
    api.delete(owner["apiVersion"], owner["kind"], "penguins", namespace)
    eventually(lambda: not any(api.list(*kind, namespace) for kind in (JOB, SERVICE, ("v1", "Pod"))), 60)


def test_a_namespace_goes_with_all_that_is_in_it(api: Api, namespace: str, smallest: Callable[[str, str], Any]) -> None:
    api.create(smallest(namespace, "penguins"))
    api.create(_job(namespace, workers=1, gpus=1))
    eventually(lambda: api.list("v1", "Pod", namespace), 30)
    api.delete("v1", "Namespace", namespace)
    eventually(lambda: api.find("v1", "Namespace", namespace) is None, 60)


def test_pod_security_is_enforced(api: Api, namespace: str) -> None:
    pod = {"containers": [{"name": "root", "image": "example"}]}
    manifest = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "root", "namespace": namespace}, "spec": pod}
    with pytest.raises(Refused, match="violates PodSecurity"):
        api.create(manifest)


def test_a_service_account_has_its_own_rights_and_no_more(
    api: Api, namespace: str, as_account: Callable[[str, str], Any]
) -> None:
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "reader", "namespace": namespace}}
    api.create(account)
    reader = Api.from_kubeconfig(as_account(namespace, "reader"))
    with pytest.raises(Refused) as refused:
        reader.list("v1", "Pod", namespace)
    assert refused.value.status == 403
