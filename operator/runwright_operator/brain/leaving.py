"""Deletion: end what runs outside, keep the served model if that is wanted, and let the object go."""

from __future__ import annotations

from runwright_api.names import FINALIZER
from runwright_components.cluster.manifests.fields import mapping
from runwright_operator.brain.decision import ApplyService, Decision, RemoveFinalizer, StopAttempt
from runwright_operator.brain.draft import ACTIVE, Draft, older_than

CLOSING = 600.0
"""Seconds that a KFP run may go on after its revision is over: a step's record tells the end before KFP's retries and
its bookkeeping are through. An older one is taken for ended, so that a KFP that is away keeps no object from going."""


def leave(draft: Draft) -> Decision:
    """What is owned goes by itself (garbage collection); KFP runs and jobs that run are ended here, in any phase.

    Everything is done before the finalizer is removed, and may be repeated.
    """
    if FINALIZER not in draft.seen.finalizers:
        return Decision(status=draft.status)
    before = draft.before
    for revision in draft.revisions.values():
        run, over = revision.pipeline_run, older_than(revision.completion_time, draft.now, CLOSING)
        if run is not None and (revision.state in ACTIVE or not over):
            before.append(StopAttempt(run.attempt, run.id))
    draft.delete_jobs()
    if draft.seen.keeps_service and draft.owns_service() and draft.seen.service is not None:
        released = _released(draft)
        if released is not None:
            before.append(ApplyService(released))
    before.append(RemoveFinalizer())
    return Decision(status=draft.status, before=tuple(before))


def _released(draft: Draft) -> dict[str, object] | None:
    """The service without its owner, so that it outlives the run; None when it has none."""
    if not draft.service_goes_along():
        return None
    service = mapping(draft.seen.service)
    metadata = mapping(service.get("metadata"))
    return {
        "apiVersion": service.get("apiVersion"),
        "kind": service.get("kind"),
        "metadata": {
            "name": metadata.get("name"),
            "namespace": metadata.get("namespace"),
            "labels": dict(mapping(metadata.get("labels"))),
            "annotations": dict(mapping(metadata.get("annotations"))),
        },
        "spec": dict(mapping(service.get("spec"))),
    }
