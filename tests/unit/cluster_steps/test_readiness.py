"""When an InferenceService serves a model: a table of what KServe and its pods say."""

from typing import Any

from runwright_components.cluster.manifests import readiness

NEW, OLD = "sha256:new", "sha256:old"


def _live(digest: str = NEW, *, ready: str = "True", message: str = "", **status: Any) -> dict[str, Any]:
    return {
        "metadata": {"annotations": {"runwright.dev/model-digest": digest}, "generation": 7},
        "status": {
            "observedGeneration": 2,
            "url": "http://churn.team.example",
            "conditions": [{"type": "Ready", "status": ready, "message": message}],
            **status,
        },
    }


def _pod(digest: str, *, ready: bool, revision: int = 3, ending: bool = False, **status: Any) -> dict[str, Any]:
    metadata: dict[str, Any] = {
        "name": f"churn-{digest[-3:]}",
        "annotations": {"runwright.dev/model-digest": digest},
        "labels": {"runwright.dev/revision": str(revision)},
    }
    if ending:
        metadata["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    condition = {"type": "Ready", "status": "True" if ready else "False"}
    return {"metadata": metadata, "status": {"conditions": [condition], **status}}


def _crashing(code: int, message: str, restarts: int = 3) -> dict[str, Any]:
    status = {
        "name": "kserve-container",
        "restartCount": restarts,
        "state": {"waiting": {"reason": "CrashLoopBackOff"}},
        "lastState": {"terminated": {"exitCode": code, "reason": "Error", "message": message}},
    }
    return _pod(NEW, ready=False, containerStatuses=[status])


def test_ready_is_a_ready_service_whose_ready_pods_hold_the_model() -> None:
    found = readiness(_live(), NEW, [_pod(NEW, ready=True)])
    assert (found.state, found.url) == ("ready", "http://churn.team.example")


def test_generations_do_not_count() -> None:
    """KServe shows its Deployment's generation in Standard mode, so 2 observed of 7 is a service that is up to date."""
    assert readiness(_live(), NEW, [_pod(NEW, ready=True)]).state == "ready"


def test_ready_with_the_old_pods_only_is_not_ready() -> None:
    assert readiness(_live(), NEW, [_pod(OLD, ready=True)]).state == "progressing"
    assert readiness(_live(), NEW, [_pod(OLD, ready=True), _pod(NEW, ready=False)]).state == "progressing"
    assert readiness(_live(), NEW, []).state == "progressing"


def test_an_old_pod_that_still_answers_is_waited_for() -> None:
    found = readiness(_live(), NEW, [_pod(OLD, ready=True), _pod(NEW, ready=True)])
    assert (found.state, found.reason) == ("progressing", "InProgress")
    ending = readiness(_live(), NEW, [_pod(OLD, ready=True, ending=True), _pod(NEW, ready=True)])
    assert (ending.state, ending.message) == ("progressing", "pods of the model before are still ending")
    ended = readiness(_live(), NEW, [_pod(OLD, ready=False, ending=True), _pod(NEW, ready=True)])
    assert ended.state == "ready"


def test_a_pod_of_the_model_that_ends_does_not_serve_it() -> None:
    assert readiness(_live(), NEW, [_pod(NEW, ready=True, ending=True)]).state == "progressing"


def test_two_revisions_may_have_made_the_same_model() -> None:
    assert readiness(_live(), NEW, [_pod(NEW, ready=True, revision=2)], revision=3).state == "progressing"
    assert readiness(_live(), NEW, [_pod(NEW, ready=True, revision=3)], revision=3).state == "ready"


def test_a_service_that_is_missing_or_holds_another_model() -> None:
    assert readiness(None, NEW, []).state == "progressing"
    assert readiness(_live(OLD), NEW, [_pod(OLD, ready=True)]).state == "progressing"


def test_a_pod_that_waits_tells_why() -> None:
    status = {"name": "model", "state": {"waiting": {"reason": "ImagePullBackOff", "message": "no such tag"}}}
    found = readiness(_live(ready="False"), NEW, [_pod(NEW, ready=False, initContainerStatuses=[status])])
    assert (found.state, found.reason, found.message) == ("progressing", "ImagePullBackOff", "no such tag")
    assert found.fault is not None
    assert found.fault.container == "model"


def test_a_pod_that_ends_again_and_again_has_failed() -> None:
    found = readiness(_live(ready="False"), NEW, [_crashing(1, "boom")])
    assert (found.state, found.reason) == ("failed", "ServiceNotReady")
    assert readiness(_live(ready="False"), NEW, [_crashing(1, "boom", restarts=2)]).state == "progressing"


def test_what_a_person_must_mend_fails_at_once() -> None:
    words = '{"reason":"DigestMismatch","message":"weights were altered"}'
    found = readiness(_live(ready="False"), NEW, [_crashing(10, words, restarts=1)])
    assert (found.state, found.reason, found.message) == ("failed", "DigestMismatch", "weights were altered")


def test_a_spec_that_kserve_refuses() -> None:
    status = {"transitionStatus": "InvalidSpec", "lastFailureInfo": {"message": "no runtime"}}
    found = readiness(_live(ready="False", modelStatus=status), NEW, [])
    assert (found.state, found.reason, found.message) == ("failed", "ServiceNotReady", "no runtime")


def test_otherwise_it_tells_what_kserve_says() -> None:
    found = readiness(_live(ready="False", message="Deployment is not ready"), NEW, [_pod(NEW, ready=False)])
    assert (found.state, found.message) == ("progressing", "Deployment is not ready")
