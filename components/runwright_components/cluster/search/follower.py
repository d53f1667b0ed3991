"""The job of one trial, followed look by look, with its curve."""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError

from runwright_components.cluster.jobs import JobHandle
from runwright_components.cluster.records import now
from runwright_components.cluster.search.reports import Point, read_curve
from runwright_components.cluster.storage import Place
from runwright_components.cluster.training import Follower
from runwright_components.contract.cluster import ClusterRun, StageFault, StageRecord

RECORD = "record.json"


class TrialRecord:
    """A record of a trial's job, in the trial's place in storage: the next step goes on counting its restarts."""

    def __init__(self, there: Place, run_id: str) -> None:
        self._there = there
        self.record = StageRecord(stage="train", run_id=run_id, state="running", time=now())

    def open(self) -> None:
        """Another attempt, a pipeline run of its own, has budgets of its own; a trial that is trained stays so."""
        content = self._there.read(RECORD)
        try:
            found = StageRecord.model_validate_json(content) if content else self.record
        except ValidationError:
            return
        if found.run_id == self.record.run_id:
            self.record = found
        elif "trained" in found.result:
            self.update(result={"trained": found.result["trained"]})

    def update(self, **changes: Any) -> None:
        self.record = self.record.model_copy(update=changes)

    def note(self, **changes: Any) -> None:
        self.update(**changes, time=now())
        self._there.write(RECORD, self.record.model_dump_json().encode())


class TrialFollower(Follower):
    """Follows a trial's job; its progress is its curve."""

    def __init__(self, job: JobHandle, run: ClusterRun, *, record: TrialRecord, **options: Any) -> None:
        super().__init__(job, run, record=record, **options)
        self._told = 0  # the last epoch
        self._points: list[Point] = []
        record.open()

    @property
    def waits_with(self) -> StageFault | None:
        """Why the job does not run, where something tells."""
        return self._record.record.waiting

    def points(self) -> list[Point]:
        """What is new of the curve since the last call."""
        found, self._points = self._points, []
        return found

    def read_points(self) -> None:
        """Look for what is new of the curve."""
        new = [point for point in read_curve(self._storage).points if point.epoch > self._told]
        if new:
            self._told = new[-1].epoch
            self._points += new

    def _tell_progress(self) -> None:
        if not self._is_due("progress", self._pace.progress):
            return
        if self._record.record.waiting is not None:
            self._record.note(waiting=None)
        self.read_points()
