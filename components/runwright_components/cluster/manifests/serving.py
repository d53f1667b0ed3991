"""Whether an InferenceService serves a certain model, from its status and its pods. Reads any JSON, never raises.

In Standard mode the service's own status does not tell: `status.observedGeneration` is that of KServe's Deployment, and
Ready stays True all through an update, for the old pods answer meanwhile. The pods do tell, since our annotation with
the model's digest is on them: a model serves when the service is ready and every pod that is ready carries its digest.
A pod that is ending counts among them as long as it is ready: it answers until every node has heard of its end.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from runwright_components.cluster.manifests.fault import Fault
from runwright_components.cluster.manifests.faults import pod_fault
from runwright_components.cluster.manifests.fields import condition, dig, mapping, text
from runwright_components.contract.cluster import ANNOTATION_MODEL_DIGEST, LABEL_REVISION
from runwright_components.contract.outcome import Reason

SERVICE_NOT_READY = "ServiceNotReady"
_VAGUE = (Reason.WORKER_FAILED, Reason.INTERNAL)
HOPELESS = 3  # restarts of a container, after which it is not expected to come up


@dataclass(frozen=True)
class Readiness:
    """`failed`: the model will not serve without a change. `fault` is the story of the pod that explains `reason`."""

    state: Literal["ready", "progressing", "failed"]
    reason: str = ""
    message: str = ""
    url: str = ""
    fault: Fault | None = None


def readiness(
    live: Mapping[str, Any] | None,
    wanted_digest: str,
    pods: Iterable[Mapping[str, Any]],
    *,
    revision: int | None = None,
) -> Readiness:
    """What the InferenceService `live` says of the model `wanted_digest`; `pods` are its predictor's.

    With `revision`, only pods of that revision count as the wanted ones: two revisions may have made the same model.
    """
    if live is None:
        return Readiness("progressing", "Pending", "the InferenceService does not exist yet")
    url = text(dig(live, "status", "url"))
    if text(dig(live, "metadata", "annotations", ANNOTATION_MODEL_DIGEST)) != wanted_digest:
        return Readiness("progressing", "Pending", "the InferenceService holds another model")
    seen = list(map(mapping, pods))
    carrying = [pod for pod in seen if _carries(pod, wanted_digest, revision)]
    wanted = [pod for pod in carrying if not dig(pod, "metadata", "deletionTimestamp")]
    others = [pod for pod in seen if pod not in carrying and is_ready(pod)]
    serving = [pod for pod in wanted if is_ready(pod)]
    ready = condition(live, "Ready")
    if ready.get("status") == "True" and serving and not others:
        return Readiness("ready", "Serving", "", url)
    found = [fault for pod in wanted if not is_ready(pod) and (fault := pod_fault(pod, serving=True)) is not None]
    broken = next((fault for fault in found if _hopeless(fault)), None)
    if broken is not None and not serving:
        return Readiness("failed", _reason(broken), broken.message, url, broken)
    invalid = _invalid(live)
    if invalid:
        return Readiness("failed", SERVICE_NOT_READY, invalid, url)
    if found:
        return Readiness("progressing", _reason(found[0]), found[0].message, url, found[0])
    if others and serving:
        return Readiness("progressing", "InProgress", "pods of the model before are still ending", url)
    said = text(ready.get("message")) or text(condition(live, "PredictorReady").get("message"))
    return Readiness("progressing", "InProgress", said or "the predictor is starting", url)


def _reason(fault: Fault) -> str:
    """The fault's own where it says more than that something ended."""
    return SERVICE_NOT_READY if fault.reason in _VAGUE else fault.reason


def is_ready(pod: Mapping[str, Any]) -> bool:
    return condition(pod, "Ready").get("status") == "True"


def _hopeless(fault: Fault) -> bool:
    return not fault.waiting and (not fault.retryable or fault.restarts >= HOPELESS)


def _carries(pod: Mapping[str, Any], digest: str, revision: int | None) -> bool:
    metadata = mapping(pod.get("metadata"))
    if text(dig(metadata, "annotations", ANNOTATION_MODEL_DIGEST)) != digest:
        return False
    return revision is None or text(dig(metadata, "labels", LABEL_REVISION)) == str(revision)


def _invalid(live: Mapping[str, Any]) -> str:
    """What KServe says of a spec that it cannot run; empty when it says nothing of the kind."""
    status = mapping(dig(live, "status", "modelStatus"))
    if status.get("transitionStatus") == "InvalidSpec":
        return text(dig(status, "lastFailureInfo", "message")) or "KServe refuses the predictor's spec"
    return ""
