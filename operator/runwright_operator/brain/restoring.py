"""Gate: read a lost status back.

Status may be lost: by a slip of the hand, or when etcd's objects were put back without it. What was made is still
written down in the records of the revisions, so that nothing is trained a second time. They name the object by its uid:
one that was created anew starts anew.
"""

from __future__ import annotations

import contextlib
import re

from pydantic import ValidationError

from runwright_api.reasons import Stage, Trigger
from runwright_api.status import PipelineRun, Revision
from runwright_components.contract.cluster import StageRecord
from runwright_operator.brain.draft import Draft
from runwright_operator.brain.following import figures
from runwright_operator.brain.observed import RecordsSeen

_DIGEST = re.compile(r"sha256:[a-f0-9]{64}")


def restore(draft: Draft) -> None:
    """Rebuild the history where status has none and records are there. Only whole revisions count: what was cut
    short starts anew."""
    if draft.revisions or draft.status.observed_generation != -1:
        return
    for number, records in draft.seen.records.items():
        revision = _revision(number, records)
        if revision is not None:
            draft.revisions[number] = revision
    draft.wanted = max(draft.revisions, default=None)


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
