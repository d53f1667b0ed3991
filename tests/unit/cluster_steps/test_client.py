"""The thin client against a small API that fails in all the ways that the real one does."""

from typing import Any

import pytest

from runwright_components.cluster.client import Kubernetes, Resource
from runwright_components.contract.outcome import ExitCode, Reason, StageError
from tests.doubles.kubernetes_api import KubernetesApi

from .conftest import RUN_PATH, FakeTime

PODS = Resource("v1", "pods")
JOBS = Resource("kubeflow.org/v1", "pytorchjobs")
POD = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a", "namespace": "team", "labels": {"x": "1"}}}


@pytest.fixture
def slow(kubernetes: Kubernetes, clock: FakeTime) -> Kubernetes:
    """A client with the patience of a step, whose pauses cost no time."""
    return Kubernetes(kubernetes._api, patience=900, clock=clock, sleep=clock.sleep)


def test_paths() -> None:
    assert PODS.path("team", "a") == "/api/v1/namespaces/team/pods/a"
    assert JOBS.path("team") == "/apis/kubeflow.org/v1/namespaces/team/pytorchjobs"


def test_objects_come_and_go(kubernetes: Kubernetes, api: KubernetesApi) -> None:
    assert kubernetes.get(PODS, "team", "a") is None
    made = kubernetes.create(PODS, POD)
    assert made is not None
    assert kubernetes.create(PODS, POD) is None
    assert [pod["metadata"]["name"] for pod in kubernetes.list(PODS, "team", labels="x=1")] == ["a"]
    assert kubernetes.list(PODS, "team", labels="x=2") == []
    kubernetes.merge(PODS, "team", "a", {"metadata": {"labels": {"x": "2"}}})
    assert kubernetes.list(PODS, "team", labels="x=2")
    kubernetes.delete(PODS, "team", "a", uid="another")
    assert kubernetes.get(PODS, "team", "a") is not None
    kubernetes.delete(PODS, "team", "a", uid=made["metadata"]["uid"])
    assert kubernetes.get(PODS, "team", "a") is None
    assert kubernetes.merge(PODS, "team", "a", {}) is None


def test_apply_creates_and_changes_under_its_manager(kubernetes: Kubernetes, api: KubernetesApi) -> None:
    kubernetes.apply(PODS, POD, manager="runwright")
    kubernetes.apply(PODS, {**POD, "spec": {"a": 1}}, manager="runwright")
    found = kubernetes.get(PODS, "team", "a")
    assert found is not None
    assert found["spec"] == {"a": 1}
    assert {manager for method, _, manager in api.asked if method == "PATCH"} == {"runwright"}


@pytest.mark.parametrize("failure", [0, 429, 500, 503, 504])
def test_five_minutes_without_the_api_are_lived_through(
    slow: Kubernetes, api: KubernetesApi, clock: FakeTime, failure: int
) -> None:
    began = clock.now
    api.failures = [failure] * 24
    assert slow.get(Resource("runwright.dev/v1alpha1", "trainingruns"), "team", "churn") is not None
    assert clock.now - began > 300
    assert len(api.asked) == 25, "tried again ever more rarely, at most once in 15 s"


def test_patience_ends(slow: Kubernetes, api: KubernetesApi, clock: FakeTime) -> None:
    api.failures = [503] * 200
    with pytest.raises(StageError) as caught:
        slow.get(PODS, "team", "a")
    assert caught.value.reason is Reason.SOURCE_UNAVAILABLE
    assert caught.value.exit_code is ExitCode.TRANSIENT
    assert 800 < clock.now - 1000 <= 900


@pytest.mark.parametrize(("status", "reason"), [(401, "SourceDenied"), (403, "SourceDenied"), (422, "InvalidConfig")])
def test_a_refusal_is_told_at_once(slow: Kubernetes, api: KubernetesApi, status: int, reason: str) -> None:
    api.failures = [status]
    with pytest.raises(StageError) as caught:
        slow.create(PODS, POD)
    assert caught.value.reason == reason
    assert "made to fail" in caught.value.message
    assert len(api.asked) == 1


def test_a_create_whose_answer_was_lost_finds_its_object(slow: Kubernetes, api: KubernetesApi) -> None:
    api.lose_answers = 1
    assert slow.create(PODS, POD) is None
    assert len(api.objects) == 2
    assert RUN_PATH in api.objects


def test_no_access_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "missing"))
    with pytest.raises(StageError) as caught:
        Kubernetes.connect()
    assert caught.value.reason is Reason.SOURCE_DENIED
