"""Gate: keep the history bounded."""

from __future__ import annotations

from runwright_operator.brain.decision import ArchivePipeline, DeleteRecord
from runwright_operator.brain.draft import ACTIVE, Draft

MOST_REVISIONS = 30
"""As many as status can hold."""


def tidy(draft: Draft) -> None:
    """Forget the oldest revisions beyond the limit, but for those that serve, are wanted, pinned or run."""
    spec = draft.spec
    if spec is None:
        return
    needed = {draft.wanted, draft.target, draft.serving.revision if draft.serving else None, spec.deploy.revision}
    newest_first = sorted(draft.revisions, reverse=True)
    limit = min(spec.history.limit, MOST_REVISIONS)
    kept = {number for number in newest_first if number in needed or draft.revisions[number].state in ACTIVE}
    for number in newest_first:
        if len(kept) >= limit:
            break
        kept.add(number)
    for number in newest_first:
        if number in kept:
            continue
        run = draft.revisions.pop(number).pipeline_run
        draft.before.append(DeleteRecord(number))
        if run is not None and run.id:
            draft.before.append(ArchivePipeline(run.id))
