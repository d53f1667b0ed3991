"""The train step in a cluster: it starts the revision's job, or adopts it, and follows it to its end.

It owns the time limit and the budgets of restarts, failures apart from preemptions, and keeps the counts in its record:
a step that was killed and started again goes on counting, and finds its job running.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from runwright_components.cluster.backends import job_handle
from runwright_components.cluster.client import Kubernetes
from runwright_components.cluster.ending import ClusterError
from runwright_components.cluster.fence import Fence, FenceError
from runwright_components.cluster.jobs import JobHandle, uid_of
from runwright_components.cluster.manifests import faults
from runwright_components.cluster.manifests.fault import (
    CONTAINER_CONFIG,
    DEADLINE,
    IMAGE_PULL,
    NODE_LOST,
    NOT_ALLOWED,
    PREEMPTED,
    Fault,
)
from runwright_components.cluster.manifests.fields import dig, moment, text
from runwright_components.cluster.manifests.job_states import job_state
from runwright_components.cluster.manifests.pods import Manifest
from runwright_components.cluster.own_checkpoints import has_own_checkpoint
from runwright_components.cluster.records import IN_A_HURRY, Record, RecordWriter, now
from runwright_components.cluster.storage import (
    CHECKPOINTS,
    MODEL,
    PREPARED,
    PROGRESS,
    fetch_folder,
    index_of,
    place,
    store_folder,
)
from runwright_components.contract.artifacts import ModelManifest
from runwright_components.contract.cluster import ClusterRun
from runwright_components.contract.config import TrainConfig
from runwright_components.contract.outcome import StageError
from runwright_components.contract.progress import Event, Progress


@dataclass(frozen=True)
class Pace:
    """Seconds. `stuck`: a pod that waits so long for a person's help (an image, a Secret, a permission) has failed."""

    poll: float = 1.0
    fence: float = 10.0
    progress: float = 5.0
    record: float = 15.0
    events: float = 10.0
    stuck: float = 900.0
    restart: float = 10.0  # before the first restart after a failure; doubles
    longest_restart: float = 300.0


NEEDS_A_PERSON = (IMAGE_PULL, CONTAINER_CONFIG, NOT_ALLOWED)


def train_in_cluster(
    kubernetes: Kubernetes,
    run: ClusterRun,
    run_id: str,
    config: TrainConfig,
    *,
    prepared: Path,
    out: Path,
    record: RecordWriter,
    progress: Progress,
    pace: Pace = Pace(),
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> ModelManifest:
    """Train on the prepared data in `prepared` by a job of `train.backend`, and bring the model to `out`.

    Raises StageError: Cancelled when fenced off; ClusterError with the API's reason when training failed for good. When
    the step is told to end (KeyboardInterrupt) its pod may only be moved: while the operator wants the KFP run, the job
    goes on, for the step's next pod to follow.
    """
    fence = Fence(kubernetes, run, run_id)
    fence.enter()
    storage = place(run.storage)
    there = storage.under(PREPARED)
    store_folder(prepared, there)
    job = job_handle(kubernetes, run, run_id, config=config, prepared_uri=there.uri)
    follower = Follower(job, run, record=record, fence=fence, progress=progress, pace=pace, clock=clock, sleep=sleep)
    follow_to_its_end(follower, job, fence)
    progress.note("fetching the model")
    fetch_folder(storage.under(MODEL), out)
    return ModelManifest.read(out)


def follow_to_its_end(follower: Follower, job: JobHandle, fence: Fence) -> None:
    """Follow the job; one that nobody is to follow any more is deleted. Raises what `Follower.follow` raises."""
    try:
        follower.follow()
    except ClusterError as error:
        if error.fault.reason in (DEADLINE, *NEEDS_A_PERSON):
            job.give_up()
        raise
    except BaseException as error:
        with contextlib.suppress(StageError):
            if not _goes_on(error, fence):
                job.give_up()
        raise


def _goes_on(error: BaseException, fence: Fence) -> bool:
    """Whether somebody else is to follow the job: the pipeline run whose turn it is now, which may not have adopted it
    yet, or the next pod of a step that was only moved."""
    if isinstance(error, FenceError):
        return error.found == "other"
    return isinstance(error, KeyboardInterrupt) and fence.is_under_way(patience=IN_A_HURRY)


class Follower:
    """Follows one job, through all its restarts: `follow` to its end, or `look` by `look` among others.

    `gpus` is what its pods ask for together, `running` whether they hold them.
    """

    def __init__(
        self,
        job: JobHandle,
        run: ClusterRun,
        *,
        record: Record,
        fence: Fence,
        progress: Progress,
        pace: Pace,
        clock: Callable[[], float],
        sleep: Callable[[float], None],
    ) -> None:
        self._job = job
        self._limits = run.job
        self._run = run
        self._storage = place(run.storage)
        self._record = record
        self._fence = fence
        self._progress = progress
        self._pace = pace
        self._clock = clock
        self._sleep = sleep
        self.gpus = run.job.nodes * run.job.gpus_per_node
        self._seen: dict[str, Manifest] = {}  # the pods of the job as they were seen last, by name
        self._current = ""  # uid of the job whose pods these are
        self._waiting: tuple[str, float] | None = None  # reason, since when
        self._ran = False
        self._last = clock()
        self._rests_until = 0.0  # after a failure
        self.running = False
        self._due: dict[str, float] = {}

    def follow(self) -> None:
        """Returns when the job has succeeded. Raises ClusterError, or StageError (Cancelled)."""
        self._record.open()
        while not self.look():
            self._sleep(self._pace.poll)

    def look(self) -> bool:
        """One look at the job, and what follows from it; tells whether it has succeeded. Raises as `follow` does."""
        self._check_fence()
        if self._record.record.result.get(self._job.done):
            return True
        if self._clock() < self._rests_until:
            return False
        live = self._job.get()
        if live is None:
            if self._current:  # deleted by somebody: its pods were taken away
                self._restart(None, Fault(NODE_LOST, f"the {self._job.kind} was deleted"))
            self._job.create(resume=self._resumes())
            return False
        if dig(live, "metadata", "deletionTimestamp"):
            return False
        owner = self._job.ownership(live)
        if owner == "foreign":
            raise self._job.foreign(live)
        if owner == "stale":
            self._job.delete(live)
            return False
        if owner == "adoptable":
            self._job.adopt(live)
        return self._judge(live)

    def _judge(self, live: Manifest) -> bool:
        if uid_of(live) != self._current:
            self._current, self._seen, self._ran = uid_of(live), {}, False
        state = job_state(live)
        self.running = state == "running"
        self._count_gpus()
        if state == "succeeded" and (fault := self._without_model(live)) is not None:
            self._restart(live, fault)
            return False
        if state == "succeeded":
            self._record.note(result={**self._record.record.result, self._job.done: now()}, waiting=None)
            self._job.clean(live)
            return True
        pods = self._job.pods(live)
        if state == "failed":
            self._restart(live, faults.job_fault(live, self._known(live, pods), self._job.disruptions(live)))
        elif state == "suspended":
            self._suspended(live, pods)
        elif (gone := self._gone(pods)) is not None:
            self._restart(live, self._why_gone(live, gone, pods))
        else:
            self._seen = {text(dig(pod, "metadata", "name")): pod for pod in pods}
            self._going_on(live, pods, running=state == "running")
        return False

    def _resumes(self) -> bool:
        """Whether there is a checkpoint for the user's own code, which runs without us and must be told."""
        return self._limits.helper_image is not None and has_own_checkpoint(self._storage.under(CHECKPOINTS))

    def _without_model(self, live: Manifest) -> Fault | None:
        """Why there is no model although the user's command ended well: where it runs without us, the pod's sidecar has
        the last word, and a pod that was taken away has none."""
        if self._limits.helper_image is None or index_of(self._storage.under(MODEL)) is not None:
            return None
        return faults.job_fault(live, self._known(live, self._job.pods(live)), self._job.disruptions(live))

    def _known(self, live: Manifest, pods: list[Manifest]) -> Sequence[Manifest]:
        """The pods, and those that are gone as they were seen last, by us or by their controller."""
        seen = [pod for name, pod in self._seen.items() if name not in _names(pods)]
        return self._job.blamed([*pods, *seen, *self._job.removed(live)])

    def _gone(self, pods: list[Manifest]) -> Manifest | None:
        """A pod that vanished, or came back as another: the controller makes a new one for it, which the others do not
        know."""
        live = {text(dig(pod, "metadata", "name")): uid_of(pod) for pod in pods}
        lost = [pod for name, pod in self._seen.items() if live.get(name) != uid_of(pod)]
        return next(iter(self._job.needed(lost)), None)

    def _why_gone(self, live: Manifest, gone: Manifest, pods: list[Manifest]) -> Fault:
        """A controller ends the peers of a pod that failed before it calls the job failed."""
        events, known = self._job.disruptions(live), self._known(live, pods)
        if any(faults.has_ended_badly(pod) for pod in known):
            return faults.job_fault(live, known, events)
        return faults.gone_fault(gone, events)

    def _going_on(self, live: Manifest, pods: list[Manifest], *, running: bool) -> None:
        if running and self._job.at_work(pods):
            self._ran = True
            self._waiting = None
            self._check_time()
            self._tell_progress()
            if self._is_due("record", self._pace.record):
                self._record.update()  # a training that says nothing is known to be alive, and a lost record comes back
            return
        missing = len(pods) < self._limits.nodes
        told = self._job.refusals(live) if missing and self._is_due("events", self._pace.events) else []
        self._wait_for(faults.waiting_fault(live, pods, told))

    def _suspended(self, live: Manifest, pods: list[Manifest]) -> None:
        if self._ran:  # Kueue took the quota back, and starts the job again itself
            self._ran, self._seen = False, {}
            self._spend(Fault(PREEMPTED, "the queue gave the quota to another workload"))
        self._wait_for(faults.waiting_fault(live, pods))

    def _wait_for(self, fault: Fault | None) -> None:
        if fault is None:
            if self._waiting is None:
                self._record.update()
            return
        fault = self._job.explained(fault)
        changed = self._waiting is None or self._waiting[0] != fault.reason
        if self._waiting is None or changed:
            self._waiting = (fault.reason, self._clock())
        waited = self._clock() - self._waiting[1]
        if fault.reason in NEEDS_A_PERSON and waited > self._pace.stuck:
            raise ClusterError(replace(fault, waiting=False).record())
        if changed:
            self._record.note(waiting=fault.record())
        else:
            self._record.update(waiting=fault.record())

    def _tell_progress(self) -> None:
        if not self._is_due("progress", self._pace.progress):
            return
        if self._record.record.waiting is not None:
            self._record.note(waiting=None)
        content = self._storage.read(PROGRESS)
        try:
            event = Event.model_validate_json(content) if content else None
        except ValueError:
            return
        if event is not None and event.done is not None:
            self._progress.update(event.done, event.total, unit=event.unit, values=event.values)

    def _check_time(self) -> None:
        result = self._record.record.result
        began = moment(result.get("began"))
        if began is None:
            self._record.note(result={**result, "began": now()})
        elif self._limits.timeout_seconds is not None:
            spent = (datetime.now(UTC) - began).total_seconds()
            if spent > self._limits.timeout_seconds:
                told = f"training has run for {spent:.0f} s, its limit is {self._limits.timeout_seconds} s"
                raise ClusterError(Fault(DEADLINE, told).record())

    def _restart(self, live: Manifest | None, fault: Fault) -> None:
        """Count the restart, remove the job and wait a while; the next look creates it anew. Raises ClusterError when
        the budget is spent.

        The record names the job whose end was counted: this step may be killed before it has deleted that job.
        """
        result = self._record.record.result
        if not self._current or result.get("counted") != self._current:
            self._spend(fault, result={**result, "counted": self._current})
        failures = self._record.record.failures
        if live is not None:
            self._job.delete(live)
        self._current, self._seen, self._ran, self.running = "", {}, False, False
        if not fault.preemption:
            pause = min(self._pace.restart * 2 ** (failures - 1), self._pace.longest_restart)
            self._rests_until = self._clock() + pause

    def _spend(self, fault: Fault, **changes: Any) -> None:
        record, fault = self._record.record, self._job.explained(fault)
        what = "preemptions" if fault.preemption else "failures"
        spent, budget = getattr(record, what), getattr(self._limits, what)
        if not fault.retryable or spent >= budget:
            last = faults.exhausted(fault, spent=spent, what=what) if fault.retryable else fault
            raise ClusterError(last.record())
        self._record.note(**{what: spent + 1}, waiting=fault.record(), **changes)
        self._progress.note(f"starting again: {fault.reason}: {fault.message}")

    def _count_gpus(self) -> None:
        at, self._last = self._last, self._clock()
        if self.running and self.gpus:
            spent = (self._record.record.gpu_seconds or 0.0) + self.gpus * (self._last - at)
            self._record.record = self._record.record.model_copy(update={"gpu_seconds": round(spent, 1)})

    def _check_fence(self) -> None:
        if self._is_due("fence", self._pace.fence):
            found = self._fence.look()
            if found in ("gone", "other"):
                raise FenceError(self._run, found)

    def _is_due(self, what: str, every: float) -> bool:
        due = self._clock() >= self._due.get(what, 0.0)
        if due:
            self._due[what] = self._clock() + every
        return due


def _names(pods: list[Manifest]) -> set[str]:
    return {text(dig(pod, "metadata", "name")) for pod in pods}
