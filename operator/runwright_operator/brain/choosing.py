"""Gates: which revision does the spec ask for, and what becomes of the others?"""

from __future__ import annotations

from runwright_api.names import ANNOTATION_CANCEL
from runwright_api.reasons import Reason, Stage, Trigger
from runwright_api.status import Failure, Revision
from runwright_operator.brain.decision import StopAttempt
from runwright_operator.brain.draft import ACTIVE, Draft
from runwright_operator.brain.launching import again, circumstances


def choose(draft: Draft) -> None:
    """The wanted revision: the current one, a known one whose recipe the spec went back to, or a new one.

    Nothing is chosen while the spec is refused, or where a running revision could not be ended because KFP is away.
    """
    seen, current = draft.seen, draft.current
    if seen.run is None:
        return
    token = draft.request
    asked = token is not None and token != draft.retrain
    if current is not None and current.recipe == seen.recipe and not asked:
        return
    if current is not None and current.state in ACTIVE and seen.pipelines_error:
        return
    known = None if asked else _known(draft)
    if known is not None:
        draft.wanted = known.number
        draft.update(known.number, state="Succeeded", failure=None, deploy_time=None)  # the gate has the last word
    elif not draft.suspended:
        _begin(draft, token if asked and current is not None else None)
    else:
        return
    if token is not None and (asked or current is None) and known is None:
        draft.retrain = token


def _known(draft: Draft) -> Revision | None:
    """The newest revision of this recipe whose package is kept: it needs no training."""
    for revision in sorted(draft.revisions.values(), key=lambda one: -one.number):
        if revision.recipe == draft.seen.recipe and revision.artifact is not None and revision.state not in ACTIVE:
            return revision
    return None


def _begin(draft: Draft, request: str | None) -> None:
    number = max(draft.revisions, default=0) + 1
    draft.revisions[number] = Revision(
        number=number,
        recipe=draft.seen.recipe,
        trigger=Trigger.REQUEST if request is not None else Trigger.RECIPE,
        request=request,
    )
    draft.wanted = number


def supersede(draft: Draft) -> None:
    """End what still runs and is no longer wanted."""
    for revision in list(draft.revisions.values()):
        if revision.state in ACTIVE and revision.number != draft.wanted:
            message = f"revision {draft.wanted} took its place"
            stop(draft, revision, Failure(reason=Reason.SUPERSEDED, message=message, time=draft.time))


def cancel(draft: Draft) -> None:
    """End the revision that the annotation names, if it runs."""
    text = draft.seen.annotations.get(ANNOTATION_CANCEL, "")
    number = int(text) if text.isascii() and text.isdigit() and len(text) < 10 else None
    revision = draft.revisions.get(number) if number is not None else None
    if revision is not None and revision.state in ACTIVE and not draft.seen.pipelines_error:
        failure = Failure(
            reason=Reason.CANCELLED,
            message="cancelled by request; change the recipe or ask for a retraining to start again",
            time=draft.time,
        )
        stop(draft, revision, failure)


def stop(draft: Draft, revision: Revision, failure: Failure) -> None:
    """Cancel a revision: its pipeline run is terminated, its training job deleted."""
    run = revision.pipeline_run
    if run is not None:
        draft.before.append(StopAttempt(run.attempt, run.id))
    draft.delete_jobs(revision.number)
    draft.update(revision.number, state="Cancelled", failure=failure, completion_time=draft.time)


def revive(draft: Draft) -> None:
    """A revision that failed gets another try when the spec changed what it failed by: how its model serves, which
    needs no training, or how it is trained (memory, nodes, retries), which the recipe leaves out."""
    current, run = draft.current, draft.seen.run
    if current is None or run is None or current.state != "Failed":
        return
    if current.artifact is None:
        if current.circumstances is not None and current.circumstances != circumstances(draft) and not draft.suspended:
            again(draft, draft.update(current.number, failures=0, preemptions=0, failure=None))
    elif (
        current.failure is not None
        and current.failure.stage == Stage.DEPLOY
        and draft.seen.generation != draft.status.observed_generation
    ):
        draft.update(current.number, state="Succeeded", failure=None, deploy_time=None)
