"""Gate: write the history where backups find it.

Status does not travel: `kubectl apply` and backup tools leave it behind, and what carries the uid of an object is
nothing to the next one. Annotations do travel. So the object carries what became of its revisions in one of its own,
which `restore` reads when there is no status.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from runwright_api.names import ANNOTATION_HISTORY
from runwright_api.status import Revision, Serving
from runwright_operator.brain.decision import Remember
from runwright_operator.brain.draft import ACTIVE, Draft

LARGEST_HISTORY = 64 * 1024
"""Bytes; all annotations of an object share 256 KiB, and `kubectl apply` keeps a copy of the object among them."""

_PASSING = {"circumstances", "deploy_time"}


def remember(draft: Draft) -> None:
    """Write the history when it changes, or where there is none. What somebody else keeps in its place, a file in git
    for example, is left until then: two that write the same annotation would never end."""
    now, before = _ended(draft.revisions.values()), _ended(draft.status.revisions)
    live = draft.seen.annotations.get(ANNOTATION_HISTORY)
    if not now or (live is not None and (now, _number(draft.serving)) == (before, _number(draft.status.serving))):
        return
    history = _written(draft, now)
    if history != live:
        draft.before.append(Remember(history))


def _ended(revisions: Iterable[Revision]) -> list[Revision]:
    """What is under way starts anew after a restore."""
    return sorted((one for one in revisions if one.state not in ACTIVE), key=lambda one: one.number)


def _number(serving: Serving | None) -> int | None:
    return serving.revision if serving is not None else None


def _written(draft: Draft, revisions: list[Revision]) -> str:
    """JSON in the words of status, and whose history it is. The oldest give way where there is too much of it."""
    told: dict[str, Any] = {"run": str(draft.seen.key), "revisions": [_lasting(one) for one in revisions]}
    # Just restored, nothing serves yet: should this pass end halfway, the next one must know what did.
    serving = draft.serving or (draft.seen.history.serving if draft.seen.history else None)
    if serving is not None:
        told["serving"] = {"revision": serving.revision, "modelDigest": serving.model_digest}
    needed = {draft.wanted, serving.revision if serving is not None else None}
    text = _json(told)
    for revision in revisions:
        if len(text) <= LARGEST_HISTORY:
            break
        if revision.number not in needed:
            told["revisions"] = [one for one in told["revisions"] if one["number"] != revision.number]
            text = _json(told)
    return text


def _lasting(revision: Revision) -> dict[str, Any]:
    failure = revision.failure.model_copy(update={"log": ()}) if revision.failure else None
    kept = revision.model_copy(update={"failure": failure})
    return kept.model_dump(mode="json", by_alias=True, exclude=_PASSING, exclude_defaults=True)


def _json(told: dict[str, Any]) -> str:
    return json.dumps(told, separators=(",", ":"), sort_keys=True)
