"""Gate: read a lost status back.

Status gets lost: by a slip of the hand, or because a backup brought the object back without it. What was made is
written down in two places, so that nothing is trained a second time: in an annotation of the object itself (see
`remembering`), and in the records of the revisions, which name the object by its uid.
"""

from __future__ import annotations

import contextlib
import re

from pydantic import ValidationError

from runwright_api.reasons import Stage, Trigger
from runwright_api.status import PipelineRun, Revision
from runwright_components.contract.cluster import StageRecord
from runwright_operator.brain.draft import ACTIVE, Draft
from runwright_operator.brain.following import figures
from runwright_operator.brain.launching import circumstances
from runwright_operator.brain.observed import RecordsSeen

_DIGEST = re.compile(r"sha256:[a-f0-9]{64}")


def restore(draft: Draft) -> None:
    """Rebuild the revisions where there is no status. What was cut short starts anew, and a retraining that was asked
    for before is not asked for again."""
    if draft.revisions or draft.status.observed_generation != -1:
        return
    draft.revisions = {**_recorded(draft), **_remembered(draft)}
    if not draft.revisions:
        return
    draft.wanted = max(draft.revisions)
    draft.retrain = draft.request
    now = circumstances(draft) if draft.seen.run else None
    for number in draft.revisions:
        draft.update(number, deploy_time=None, circumstances=now)
    served = draft.seen.history.serving if draft.seen.history else None
    if served is not None and served.revision in draft.revisions:
        draft.update(served.revision, deploy_time=draft.time)


def _remembered(draft: Draft) -> dict[int, Revision]:
    """What the object says of itself."""
    history = draft.seen.history
    return {one.number: one for one in history.revisions if one.state not in ACTIVE} if history else {}


def _recorded(draft: Draft) -> dict[int, Revision]:
    """What the steps wrote down. Only whole revisions count."""
    found = ((number, _revision(number, records)) for number, records in draft.seen.records.items())
    return {number: revision for number, revision in found if revision is not None}


def _revision(number: int, records: RecordsSeen) -> Revision | None:
    if not _DIGEST.fullmatch(records.recipe):
        return None
    last = records.stages.get(Stage.REGISTER)
    if last is None or last.state != "succeeded":
        return None
    stages: dict[str, StageRecord] = records.of_run(last.run_id)
    with contextlib.suppress(ValidationError):
        empty = Revision(
            number=number,
            recipe=records.recipe,
            trigger=Trigger.RECIPE,
            state="Succeeded",
            pipeline_run=PipelineRun(id=last.run_id, attempt=f"r{number}"),
            completion_time=last.time,
        )
        revision = empty.model_copy(update=figures(stages, empty))
        return revision if revision.artifact is not None else None
    return None
