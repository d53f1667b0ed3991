"""What the operator would do about a changed TrainingRun. Pure.

It follows the rules of revisions: a changed recipe trains, unless a kept package has that recipe already; a changed
gate judges the stored metrics again; a changed `deploy` touches the InferenceService alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from runwright_api import names
from runwright_api.reasons import Stage
from runwright_api.recipe import recipe_digest
from runwright_api.status import Revision, TrainingRunStatus
from runwright_api.trainingrun import TrainingRun
from runwright_cli.cluster.changes import Change, Meaning, changes
from runwright_cli.cluster.judging import verdict

LIVE = ("Pending", "Running")
"""States of a revision that has not ended."""


CIRCUMSTANCES = (
    "spec.storage.",
    "spec.train.resources.",
    "spec.train.scheduling.",
    "spec.train.retries.",
    "spec.train.timeout",
)
"""What a failed training is tried again for; of these, the recipe has what changes the model."""


class Effect(StrEnum):
    """What would happen."""

    NOTHING = "nothing"
    TRAIN = "train"
    GO_BACK = "goBack"
    JUDGE = "judge"
    SERVICE = "service"
    SUSPEND = "suspend"
    RESUME = "resume"
    LATER = "later"
    METADATA = "metadata"


@dataclass(frozen=True)
class Step:
    """One thing that would happen, in words."""

    effect: Effect
    sentences: tuple[str, ...]
    revision: int | None = None


@dataclass(frozen=True)
class Plan:
    """What would happen, and the fields that make it happen."""

    steps: tuple[Step, ...]
    changes: tuple[Change, ...] = ()

    @property
    def changed(self) -> bool:
        return self.effects != (Effect.NOTHING,)

    @property
    def effects(self) -> tuple[Effect, ...]:
        return tuple(dict.fromkeys(step.effect for step in self.steps))

    @property
    def sentences(self) -> tuple[str, ...]:
        return tuple(sentence for step in self.steps for sentence in step.sentences)

    @property
    def revision(self) -> int | None:
        """The revision that would train, or that it goes back to."""
        return next((step.revision for step in self.steps if step.revision is not None), None)


def plan(old: TrainingRun | None, new: TrainingRun, status: TrainingRunStatus) -> Plan:
    """What applying `new` over `old` does, given the status of the object in the cluster."""
    if old is None:
        return Plan((_first(new),))
    case = _Case(old, new, status)
    steps = (
        case.trains(),
        case.retries(),
        case.judges(),
        case.serves(),
        case.suspends(),
        case.waits(),
        case.metadata(),
    )
    found = tuple(step for step in steps if step is not None)
    return Plan(found or (Step(Effect.NOTHING, ("nothing: the cluster has this already",)),), case.changes)


def newest(status: TrainingRunStatus) -> Revision | None:
    """The revision that the spec asks for, as far as the operator has seen it."""
    return next((item for item in status.revisions if item.number == status.revision), None)


def next_number(status: TrainingRunStatus) -> int:
    """Number of the revision that starts next."""
    return max((item.number for item in status.revisions), default=0) + 1


def _first(new: TrainingRun) -> Step:
    if new.spec.suspend:
        return Step(Effect.SUSPEND, ("a new TrainingRun; suspended, so nothing starts",), revision=1)
    served = "" if new.spec.deploy.mode == "None" else ", and serves if it passes the gate"
    return Step(Effect.TRAIN, (f"a new TrainingRun: revision 1 trains{served}",), revision=1)


class _Case:
    """One change of one TrainingRun; each method is one rule."""

    def __init__(self, old: TrainingRun, new: TrainingRun, status: TrainingRunStatus) -> None:
        self.old, self.new, self.status = old, new, status
        self.current = newest(status)
        self.changes = changes(old, new)

    def _about(self, meaning: Meaning) -> tuple[Change, ...]:
        return tuple(item for item in self.changes if item.meaning is meaning)

    def trains(self) -> Step | None:
        """A changed recipe, or a fresh token of the retrain annotation."""
        token = self.new.metadata.annotations.get(names.ANNOTATION_RETRAIN)
        asked = token is not None and token != self.status.retrain and self.current is not None
        changed = self._about(Meaning.RECIPE)
        if not changed and not asked:
            return None
        known = None if asked else self._made_before()
        if known is not None:
            return self._goes_back(known)
        number = next_number(self.status)
        why = f"the annotation {names.ANNOTATION_RETRAIN} asks for it" if asked else f"{_count(changed)} changed"
        if self.new.spec.suspend:
            line = f"revision {number} trains once it is no longer suspended: {why}"
            return Step(Effect.TRAIN, (line,), revision=number)
        lines = [f"revision {number} trains: {why}"]
        if self.current and self.current.state in LIVE:
            lines.append(f"revision {self.current.number}, which still runs, is cancelled")
        return Step(Effect.TRAIN, (*lines, *self._meanwhile()), revision=number)

    def _made_before(self) -> Revision | None:
        """The newest revision of this recipe whose package is kept."""
        digest = recipe_digest(self.new, {})  # without images, as the operator takes it
        made = [
            item
            for item in self.status.revisions
            if item.recipe == digest and item.artifact is not None and item.state not in LIVE
        ]
        return max(made, key=lambda item: item.number, default=None)

    def _goes_back(self, revision: Revision) -> Step:
        number = revision.number
        lines = [f"goes back to revision {number} without training: its package is kept, and has this very recipe"]
        judged = verdict(self.new.spec.evaluate.gate, revision)
        if self.current and self.current.state in LIVE:
            lines.append(f"revision {self.current.number}, which still runs, is cancelled")
        if judged.word == "rejected":
            lines += [f"the gate rejects it: {judged.why}", *self._keeps()]
        elif self.new.spec.deploy.revision is not None:
            lines.append(f"deploy.revision is {self.new.spec.deploy.revision}, so that one serves")
        return Step(Effect.GO_BACK, tuple(lines), revision=number)

    def _meanwhile(self) -> list[str]:
        if self.new.spec.deploy.mode == "None":
            return []
        pinned = self.new.spec.deploy.revision
        if pinned is not None:
            return [f"deploy.revision is {pinned}: the new one is judged, but {pinned} serves"]
        if self.status.serving:
            return [f"revision {self.status.serving.revision} keeps serving until the new one has passed the gate"]
        return []

    def _keeps(self) -> list[str]:
        return [f"revision {self.status.serving.revision} keeps serving"] if self.status.serving else []

    def judges(self) -> Step | None:
        """A changed gate."""
        if not self._about(Meaning.GATE):
            return None
        current = self.current
        if self._about(Meaning.RECIPE):
            return Step(Effect.JUDGE, ("the changed gate judges it",))
        if current is None or not current.metrics or current.artifact is None:
            which = f"revision {current.number}" if current and current.state in LIVE else "the next revision"
            return Step(Effect.JUDGE, (f"the changed gate judges {which}",))
        judged = verdict(self.new.spec.evaluate.gate, current)
        again = f"the gate judges revision {current.number} again, without training"
        if judged.word == "unknown":
            return Step(Effect.JUDGE, (f"{again}; the verdict cannot be told here: {judged.why}",))
        still = "still " if judged.word == current.verdict else ""
        lines = [f"{again}: {still}{judged.word}: {judged.why}"]
        if judged.word == "rejected":
            lines += self._keeps()
        elif not still and self.new.spec.deploy.mode != "None" and self.new.spec.deploy.revision is None:
            lines.append(f"revision {current.number} serves")
        return Step(Effect.JUDGE, tuple(lines))

    def serves(self) -> Step | None:
        """A changed deploy; or any change, where a model only failed to come up."""
        paths = {item.path: item for item in self._about(Meaning.DEPLOY)}
        mode, pin = paths.get("spec.deploy.mode"), paths.pop("spec.deploy.revision", None)
        lines = []
        if mode is not None and mode.new == "None":
            lines.append(f"the InferenceService {self.new.name} is removed: deploy.mode is None")
        elif mode is not None and mode.old == "None":
            lines.append(f"the InferenceService {self.new.name} is made")
        elif paths and (self._about(Meaning.RECIPE) or self._about(Meaning.GATE) or pin):
            lines.append(f"the InferenceService {self.new.name} changes too")
        elif paths:
            lines.append(f"only the InferenceService {self.new.name} changes; nothing trains")
        if pin is not None:
            lines.insert(0, self._pinned(pin))
        lines += self._tries_again()
        return Step(Effect.SERVICE, tuple(lines)) if lines else None

    def _pinned(self, pin: Change) -> str:
        if pin.new is None:
            return f"deploy.revision is no longer {pin.old}: the newest revision that passed the gate serves"
        revision = next((item for item in self.status.revisions if item.number == pin.new), None)
        if revision is None:
            return f"deploy.revision {pin.new} is not in the history: nothing changes what serves"
        if revision.artifact is None:
            return f"deploy.revision {pin.new} has no package: nothing changes what serves"
        rejected = ", although the gate rejected it" if revision.verdict == "rejected" else ""
        return f"revision {pin.new} serves{rejected}, without training"

    def _tries_again(self) -> list[str]:
        current = self.current
        if current is None or not self.changes or self._about(Meaning.RECIPE):
            return []
        failed = current.failure is not None and current.failure.stage is Stage.DEPLOY and current.state == "Failed"
        return [f"revision {current.number}, which did not come up, gets another try"] if failed else []

    def retries(self) -> Step | None:
        """Another way to train, where the training failed: more memory, say."""
        current = self.current
        if current is None or current.state != "Failed" or current.artifact is not None or not self._otherwise():
            return None
        if self._about(Meaning.RECIPE) or self.new.spec.suspend:
            return None
        line = f"revision {current.number}, which failed, is tried again: it is trained in another way now"
        return Step(Effect.TRAIN, (line,), revision=current.number)

    def _otherwise(self) -> tuple[Change, ...]:
        """How training runs, apart from what is trained."""
        return tuple(item for item in self._about(Meaning.LATER) if item.path.startswith(CIRCUMSTANCES))

    def suspends(self) -> Step | None:
        if not self._about(Meaning.SUSPEND):
            return None
        if self.new.spec.suspend:
            return Step(Effect.SUSPEND, ("suspended: nothing new starts; what serves keeps serving",))
        return Step(Effect.RESUME, ("no longer suspended: what was held back starts",))

    def waits(self) -> Step | None:
        """What only the next revision is made by."""
        tried = () if self.retries() is None else self._otherwise()
        changed = tuple(item for item in self._about(Meaning.LATER) if item not in tried)
        if not changed:
            return None
        paths = ", ".join(item.path for item in changed)
        trains = self.trains()
        if trains is not None and trains.effect is Effect.TRAIN:
            return Step(Effect.LATER, (f"it is made with the new {paths}",))
        uses = "uses it" if len(changed) == 1 else "uses them"
        return Step(Effect.LATER, (f"no new revision for {paths}; the next one {uses}",))

    def metadata(self) -> Step | None:
        old, new = self.old.metadata, self.new.metadata
        if old.labels == new.labels and _annotations(old.annotations) == _annotations(new.annotations):
            return None
        return Step(Effect.METADATA, ("labels or annotations change",))


def _annotations(given: Mapping[str, str]) -> dict[str, str]:
    return {key: value for key, value in given.items() if key != names.ANNOTATION_RETRAIN}


def _count(changed: tuple[Change, ...]) -> str:
    return "1 field of the recipe" if len(changed) == 1 else f"{len(changed)} fields of the recipe"


def as_json(found: Plan) -> dict[str, Any]:
    """The plan for programs."""
    return {
        "changed": found.changed,
        "effects": [str(effect) for effect in found.effects],
        "revision": found.revision,
        "sentences": list(found.sentences),
        "changes": [
            {"path": item.path, "old": item.old, "new": item.new, "meaning": str(item.meaning)}
            for item in found.changes
        ],
    }
