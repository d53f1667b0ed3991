"""The deploy step with the real KServe and RBAC; the serving pods are simulated."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from runwright_components.cluster.manifests import inference_service, wanted_equals
from runwright_components.contract.artifacts import PackageManifest
from runwright_components.contract.outcome import ExitCode
from tests.cluster.step_cases import RECIPE, SERVICE, Case, registered
from tests.cluster.waiting import eventually

Simulate = Callable[..., None]


def _wanted(churn: Case, model: str) -> dict[str, Any]:
    registration = registered(churn.folder / "registry", "churn", model)
    assert churn.run.service is not None
    return inference_service(
        churn.run.service,
        namespace=churn.namespace,
        name="churn",
        uid=churn.run.uid,
        revision=1,
        recipe=RECIPE,
        package_uri=registration.uri,
        package_digest=registration.digest,
        model_digest=PackageManifest.read(Path(registration.uri.removeprefix("file://"))).model_digest,
        storage=churn.run.storage,
    )


def _digests_that_serve(churn: Case) -> set[str]:
    pods = churn.api.list("v1", "Pod", churn.namespace, labels="serving.kserve.io/inferenceservice=churn")
    return {
        pod["metadata"]["annotations"]["runwright.dev/model-digest"]
        for pod in pods
        if churn.api.condition(pod, "Ready").get("status") == "True" and "deletionTimestamp" not in pod["metadata"]
    }


def test_it_serves_and_steady_state_writes_nothing(churn: Case) -> None:
    churn.with_service(cpu="0.5", memory="1024Mi")
    step = churn.deploy()
    assert step.wait() == 0, step.said()
    record = churn.record("deploy")
    assert record is not None
    wanted = _wanted(churn, "one")
    digest = wanted["metadata"]["annotations"]["runwright.dev/model-digest"]
    assert (record.state, record.waiting) == ("succeeded", None)
    assert record.result["model_digest"] == digest
    assert record.result["url"].startswith("http")
    assert _digests_that_serve(churn) == {digest}
    live = churn.service()
    assert live is not None
    assert wanted_equals(live, wanted), "whatever KServe's webhooks made of it"
    again = churn.deploy()
    assert again.wait() == 0, again.said()
    after = churn.service()
    assert after is not None
    assert after["metadata"]["generation"] == live["metadata"]["generation"]
    assert after["metadata"]["managedFields"] == live["metadata"]["managedFields"] or after["status"] != live["status"]


def test_a_new_model_is_ready_only_when_its_own_pods_are(churn: Case, simulate: Simulate) -> None:
    assert churn.deploy("one").wait() == 0
    simulate(churn.namespace, "serving", start_ms=6000)
    step = churn.deploy("two")
    before = {_wanted(churn, "one")["metadata"]["annotations"]["runwright.dev/model-digest"]}
    after = {_wanted(churn, "two")["metadata"]["annotations"]["runwright.dev/model-digest"]}
    time.sleep(4)
    assert step.process.poll() is None, "KServe says Ready all the while, for the old pod answers"
    assert _digests_that_serve(churn) == before
    assert step.wait() == 0, step.said()
    assert _digests_that_serve(churn) == after


@pytest.mark.parametrize(
    ("how", "reason", "story"),
    [
        (
            {"init_waiting": "CrashLoopBackOff", "exit_code": 20, "message": "storage is away"},
            "ServiceNotReady",
            "storage is away",
        ),
        ({"waiting": "ImagePullBackOff", "message": "no such tag"}, "ImagePullBackOff", "no such tag"),
        ({"waiting": "CrashLoopBackOff", "exit_code": 1, "message": "boom"}, "ServiceNotReady", "boom"),
    ],
)
def test_a_model_that_does_not_come_up(
    churn: Case, simulate: Simulate, how: dict[str, Any], reason: str, story: str
) -> None:
    churn.with_service(timeout_seconds=8)
    simulate(churn.namespace, "serving", **how)
    step = churn.deploy()
    assert step.wait() == ExitCode.USER, step.said()
    record = churn.record("deploy")
    assert record is not None
    assert record.fault is not None
    assert (record.state, record.fault.reason) == ("failed", reason)
    assert story in record.fault.message
    assert record.fault.pod is not None
    assert record.fault.pod.startswith("churn-predictor")
    assert churn.service() is not None, "what to do now is the operator's to decide"


def test_somebody_elses_service_is_not_touched(churn: Case) -> None:
    theirs = _wanted(churn, "theirs")
    theirs["metadata"] = {"name": "churn", "namespace": churn.namespace}
    churn.api.create(theirs)
    before = eventually(churn.service)
    step = churn.deploy()
    assert step.wait() == ExitCode.USER
    after = churn.service()
    assert after is not None
    assert after["spec"] == before["spec"]


def test_a_rejected_model_is_not_deployed(churn: Case) -> None:
    step = churn.deploy(verdict="rejected")
    assert step.wait() == 0, step.said()
    record = churn.record("deploy")
    assert record is not None
    assert record.state == "skipped"
    assert churn.service() is None


@pytest.mark.parametrize("mode", ["Standard", "Knative"])
def test_every_option_is_admitted(churn: Case, mode: str) -> None:
    churn.with_service(mode=mode, cpu="2", memory="4Gi", gpus=1, owned=False)
    churn.api.create(_wanted(churn, "one"), dry_run=True)


def test_it_goes_with_its_training_run_or_stays(churn: Case) -> None:
    churn.with_service(owned=False)
    assert churn.deploy().wait() == 0
    churn.api.delete("runwright.dev/v1alpha1", "TrainingRun", "churn", churn.namespace)
    eventually(lambda: churn.record("deploy") is None, 30)  # collected with its owner
    kept = churn.service()
    assert kept is not None
    assert "deletionTimestamp" not in kept["metadata"]
    churn.api.delete(*SERVICE, "churn", churn.namespace)


def test_once_the_operator_has_closed_the_revision_the_step_decides_nothing(churn: Case) -> None:
    churn.name_run(churn.run_id, state="Succeeded")
    step = churn.deploy()
    assert step.wait() == 0, step.said()
    assert churn.service() is None, "what serves is the operator's to decide"
