"""Gate: which model should serve, and does it?

The InferenceService is a function of the spec and of the revision to serve. The deploy step applies the same bytes, so
that it does not matter which of the two comes first. What serves keeps serving until a model that passed the gate is
there, and is given back its place when that one does not come up.
"""

from __future__ import annotations

from runwright_api.names import LABEL_MANAGED_BY, LABEL_RUN, LABEL_RUN_UID, MANAGED_BY, inference_service_name
from runwright_api.reasons import Reason, Stage
from runwright_api.status import Artifact, Failure, Revision, Serving
from runwright_components.cluster.manifests.comparing import wanted_equals
from runwright_components.cluster.manifests.fault import Fault
from runwright_components.cluster.manifests.fields import dig, mapping, text
from runwright_components.cluster.manifests.inference_service import inference_service
from runwright_components.cluster.manifests.serving import Readiness, readiness
from runwright_components.contract.cluster import ANNOTATION_MODEL_DIGEST, ServiceConfig
from runwright_operator.brain.decision import ApplyService, DeleteService
from runwright_operator.brain.draft import Draft, Note, older_than
from runwright_operator.brain.following import LOG_LINES, LOG_WIDTH
from runwright_pipelines.cluster import service_of, storage_of


def serve(draft: Draft) -> None:
    """Make the InferenceService what the spec wants, and learn whether it serves."""
    run = draft.seen.run
    if run is None:
        _watch_on(draft)
        return
    service = service_of(run, draft.rules.defaults)
    if service is None:
        _none_wanted(draft)
        return
    draft.target = _target(draft)
    revision = draft.revisions.get(draft.target) if draft.target is not None else None
    if revision is None or revision.artifact is None:
        return
    if _foreign(draft):
        message = f"an InferenceService named {draft.seen.key.name} exists and is not ours; rename it or the run"
        draft.service = Note(Reason.NOT_ALLOWED, message)
        draft.look_again(draft.rules.deploy_poll_seconds * 6)
        return
    _give(draft, revision, revision.artifact, service)


def _target(draft: Draft) -> int | None:
    """The pinned revision; else the wanted one if it passed; else what serves now, or served last."""
    held = draft.serving.revision if draft.serving else _served_last(draft)
    pin = draft.spec.deploy.revision if draft.spec else None
    if pin is not None:
        pinned = draft.revisions.get(pin)
        if pinned is not None and pinned.artifact is not None and pinned.verdict == "passed":
            return pin
        why = "is not in the history" if pinned is None else "has no package"
        if pinned is not None and pinned.verdict == "rejected":
            why = "was rejected by the gate; change evaluate.gate to publish it"
        draft.pin_problem = f"deploy.revision: revision {pin} {why}"
        return held
    current = draft.current
    if current is None or current.artifact is None or current.verdict != "passed":
        return held
    if current.state in ("Running", "Pending", "Succeeded"):
        return current.number
    if current.state == "Failed" and held in (None, current.number):
        return current.number  # nothing better is there: leave it the chance to come up
    return held


def _served_last(draft: Draft) -> int | None:
    """The good revision that was last given to the InferenceService: a backup may have brought back no service."""
    good = [
        one
        for one in draft.revisions.values()
        if one.artifact is not None and (one.state, one.verdict) == ("Succeeded", "passed") and one.deploy_time
    ]
    return max(good, key=lambda one: (one.deploy_time or "", one.number)).number if good else None


def _give(draft: Draft, revision: Revision, artifact: Artifact, service: ServiceConfig) -> None:
    seen = draft.seen
    assert seen.run is not None
    manifest = inference_service(
        service,
        namespace=seen.key.namespace,
        name=inference_service_name(seen.key.name),
        uid=seen.uid,
        revision=revision.number,
        recipe=revision.recipe,
        package_uri=artifact.uri,
        package_digest=artifact.digest,
        model_digest=artifact.model_digest,
        storage=storage_of(seen.run, draft.rules.defaults, namespace=seen.key.namespace),
    )
    freed = not service.owned and draft.service_goes_along()
    changed = seen.service is None or freed or not wanted_equals(seen.service, manifest)
    if changed:
        draft.before.append(ApplyService(manifest))
    if revision.deploy_time is None or (changed and _live_digest(draft) != artifact.model_digest):
        revision = draft.update(revision.number, deploy_time=draft.time)
    if changed:
        draft.service = Note(Reason.IN_PROGRESS, f"revision {revision.number} is being deployed")
        draft.look_again(draft.rules.deploy_poll_seconds)
        return
    found = readiness(seen.service, artifact.model_digest, seen.service_pods, revision=revision.number)
    if found.state == "ready":
        _ready(draft, revision, artifact, found)
    else:
        _not_ready(draft, revision, artifact, service, found)


def _ready(draft: Draft, revision: Revision, artifact: Artifact, found: Readiness) -> None:
    draft.service_ready = True
    held = draft.serving
    same = held is not None and (held.revision, held.model_digest) == (revision.number, artifact.model_digest)
    since = held.since if held is not None and same else draft.time
    draft.serving = Serving(
        revision=revision.number, url=found.url[:1024], model_digest=artifact.model_digest, since=since
    )
    if revision.state in ("Running", "Failed"):  # its pipeline run is still closing, or it came up after all
        draft.update(revision.number, state="Succeeded", failure=None, completion_time=draft.time)


def _not_ready(draft: Draft, revision: Revision, artifact: Artifact, service: ServiceConfig, found: Readiness) -> None:
    reason = Reason(found.reason) if found.reason in set(Reason) else Reason.SERVICE_NOT_READY
    draft.service = Note(reason, found.message)
    draft.look_again(draft.rules.deploy_poll_seconds)
    new = draft.serving is None or draft.serving.model_digest != artifact.model_digest
    overdue = older_than(revision.deploy_time, draft.now, service.timeout_seconds)
    hopeless = found.state == "failed" or overdue
    # While the pipeline run goes on, its own deploy step says the same, and the end of the run decides.
    if new and hopeless and revision.number == draft.wanted and revision.state == "Succeeded":
        limit = f" within {service.timeout_seconds} s" if overdue else ""
        failure = _failure(f"revision {revision.number} did not become ready{limit}", reason, found)
        draft.update(revision.number, state="Failed", failure=failure.model_copy(update={"time": draft.time}))
        draft.look_again(0.0)


def _failure(message: str, reason: Reason, found: Readiness) -> Failure:
    fault: Fault | None = found.fault
    told = f"{message}: {found.message}" if found.message else message
    return Failure(
        stage=Stage.DEPLOY,
        reason=reason if reason != Reason.IN_PROGRESS else Reason.SERVICE_NOT_READY,
        message=told[:4000],
        pod=fault.pod if fault else None,
        container=fault.container if fault else None,
        exit_code=fault.exit_code if fault and fault.exit_code is not None and -1 <= fault.exit_code <= 255 else None,
        log=tuple(line[:LOG_WIDTH] for line in fault.log[-LOG_LINES:]) if fault else (),
    )


def _watch_on(draft: Draft) -> None:
    """The spec is refused: what serves is only looked at."""
    held = draft.serving
    if held is None:
        return
    draft.target = held.revision
    found = readiness(draft.seen.service, held.model_digest, draft.seen.service_pods)
    draft.service_ready = found.state == "ready"


def _none_wanted(draft: Draft) -> None:
    draft.serving = None
    if draft.seen.service is not None and draft.owns_service():
        draft.before.append(DeleteService(text(dig(draft.seen.service, "metadata", "uid"))))


def _foreign(draft: Draft) -> bool:
    """Whether the service of our name belongs to something else. One that a namesake left behind is taken over."""
    if draft.seen.service is None or draft.owns_service():
        return False
    metadata = mapping(draft.seen.service.get("metadata"))
    labels = mapping(metadata.get("labels"))
    left_behind = (
        labels.get(LABEL_MANAGED_BY) == MANAGED_BY
        and labels.get(LABEL_RUN) == draft.seen.key.name
        and LABEL_RUN_UID in labels
        and not metadata.get("ownerReferences")
    )
    return not left_behind


def _live_digest(draft: Draft) -> str:
    return text(dig(draft.seen.service, "metadata", "annotations", ANNOTATION_MODEL_DIGEST))
