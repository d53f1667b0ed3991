"""The decision: a chain of gates, in order."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from runwright_operator.brain.choosing import cancel, choose, revive, supersede
from runwright_operator.brain.conditions import conclude
from runwright_operator.brain.decision import Decision
from runwright_operator.brain.draft import Draft, Rules
from runwright_operator.brain.following import follow
from runwright_operator.brain.judging import judge
from runwright_operator.brain.launching import launch
from runwright_operator.brain.leaving import leave
from runwright_operator.brain.observed import Observed
from runwright_operator.brain.remembering import remember
from runwright_operator.brain.restoring import restore
from runwright_operator.brain.serving import serve
from runwright_operator.brain.tidying import tidy

GATES: tuple[Callable[[Draft], None], ...] = (
    restore,  # a lost status is read back from the object's own history and the records, so that nothing trains twice
    choose,  # which revision does the spec ask for?
    supersede,  # what runs and is not it, ends
    cancel,  # so does what the user cancelled
    revive,  # a model that failed to serve is tried again when the spec changed
    launch,  # start it exactly once
    follow,  # what became of its pipeline?
    judge,  # does it pass the gate, as that is now?
    serve,  # which model should serve, and does it?
    tidy,  # keep the history bounded
    remember,  # and write it where backups find it
)


def decide(seen: Observed, now: datetime, rules: Rules) -> Decision:
    """What to do about a TrainingRun. Pure: the same observation at the same moment gives the same decision."""
    draft = Draft.of(seen, now, rules)
    if seen.deleting:
        return leave(draft)
    for gate in GATES:
        gate(draft)
    return Decision(status=conclude(draft), before=tuple(draft.before), then=tuple(draft.then), after=draft.after)
