"""The fence: a step goes on only while its own KFP run is the one that the TrainingRun's status names.

Starting a KFP run is not idempotent, so two may exist for a moment; the status names the one that counts.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, Literal

from runwright_components.cluster.client import Kubernetes, Resource
from runwright_components.cluster.manifests.fields import dig, items, mapping, text
from runwright_components.contract.cluster import API_VERSION, PLURAL, ClusterRun
from runwright_components.contract.outcome import Reason, StageError

TRAINING_RUNS = Resource(API_VERSION, PLURAL)
WAIT_SECONDS = 60.0  # for the operator to write the run's id into the status
POLL_SECONDS = 1.0

OVER = ("Succeeded", "Rejected", "Failed", "Cancelled")

Standing = Literal["ours", "unknown", "gone", "other"]


def standing(live: Mapping[str, Any] | None, run: ClusterRun, run_id: str) -> Standing:
    """What the TrainingRun `live` says of the KFP run `run_id`: ours to go on, not named yet, the object is gone, or
    another run's turn."""
    if live is None or text(dig(live, "metadata", "uid")) != run.uid or dig(live, "metadata", "deletionTimestamp"):
        return "gone"
    named = text(dig(_revision(live, run), "pipelineRun", "id"))
    if not named:
        return "unknown"
    return "ours" if named == run_id else "other"


def is_under_way(live: Mapping[str, Any] | None, run: ClusterRun, run_id: str) -> bool:
    """Whether the operator wants the KFP run `run_id` to go on: a step that is told to end was only moved."""
    return standing(live, run, run_id) == "ours" and _revision(live, run).get("state") == "Running"


def is_closed(live: Mapping[str, Any] | None, run: ClusterRun, run_id: str) -> bool:
    """Whether the operator is done with the KFP run `run_id`, as it is when the model serves before the run has ended.
    What serves is the operator's alone to decide from then on."""
    return standing(live, run, run_id) == "ours" and _revision(live, run).get("state") in OVER


def _revision(live: Mapping[str, Any] | None, run: ClusterRun) -> Mapping[str, Any]:
    """The status of the run's revision; {} when there is none."""
    revisions = map(mapping, items(dig(live, "status", "revisions")))
    return next((one for one in revisions if one.get("number") == run.revision), {})


class FenceError(StageError):
    """Why a step must not go on; `found` is what the TrainingRun says of its KFP run."""

    def __init__(self, run: ClusterRun, found: Standing) -> None:
        why = {
            "gone": f"the TrainingRun {run.name} was deleted",
            "other": f"another pipeline run does revision {run.revision} of {run.name}",
        }.get(found, f"the status of {run.name} does not name this pipeline run")
        super().__init__(Reason.CANCELLED, why, cure="nothing is to be done; the operator decides which run goes on")
        self.found = found


class Fence:
    """The fence of one step."""

    def __init__(
        self,
        kubernetes: Kubernetes,
        run: ClusterRun,
        run_id: str,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._kubernetes = kubernetes
        self._run = run
        self._run_id = run_id
        self._clock = clock
        self._sleep = sleep

    def enter(self) -> None:
        """Wait until the status names this run. Raises StageError (Cancelled) when it names another, when the object
        is gone, or when it names none in time."""
        until = self._clock() + WAIT_SECONDS
        while (found := self.look()) != "ours":
            if found != "unknown" or self._clock() >= until:
                raise FenceError(self._run, found)
            self._sleep(POLL_SECONDS)

    def is_under_way(self, patience: float) -> bool:
        """As the function of that name; asks the API for so many seconds at most."""
        return is_under_way(self._read(self._kubernetes.patient(patience)), self._run, self._run_id)

    def is_closed(self) -> bool:
        """As the function of that name. Raises StageError (Cancelled) when the turn has passed to another run."""
        live = self._read(self._kubernetes)
        found = standing(live, self._run, self._run_id)
        if found in ("gone", "other"):
            raise FenceError(self._run, found)
        return is_closed(live, self._run, self._run_id)

    def look(self) -> Standing:
        return standing(self._read(self._kubernetes), self._run, self._run_id)

    def _read(self, kubernetes: Kubernetes) -> Mapping[str, Any] | None:
        return kubernetes.get(TRAINING_RUNS, self._run.namespace, self._run.name)
