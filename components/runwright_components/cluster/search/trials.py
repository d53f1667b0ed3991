"""Trials as jobs: each has a PyTorchJob and a place in storage of its own."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Sequence

from runwright_components.cluster.backends import PyTorchJobHandle
from runwright_components.cluster.client import Kubernetes
from runwright_components.cluster.ending import ClusterError
from runwright_components.cluster.fence import Fence
from runwright_components.cluster.jobs import uid_of
from runwright_components.cluster.manifests.fields import dig, text
from runwright_components.cluster.manifests.pods import Manifest
from runwright_components.cluster.manifests.training_pod import ANNOTATION_PIPELINE_RUN
from runwright_components.cluster.records import IN_A_HURRY, RecordWriter
from runwright_components.cluster.search.follower import TrialFollower, TrialRecord
from runwright_components.cluster.search.reports import read_result
from runwright_components.cluster.search.view import SharedView
from runwright_components.cluster.storage import MODEL, Place, place
from runwright_components.cluster.training import NEEDS_A_PERSON, Pace
from runwright_components.contract.cluster import (
    LABEL_REVISION,
    LABEL_RUN_UID,
    LABEL_STAGE,
    LABEL_TRIAL,
    ClusterRun,
    StageFault,
    TrialConfig,
)
from runwright_components.contract.config import ParameterConfig, TrainConfig
from runwright_components.contract.outcome import Reason, StageError
from runwright_components.contract.progress import silent
from runwright_components.contract.tuning import SEARCH, trial_name
from runwright_components.train.tuning.assignment import assign
from runwright_components.train.tuning.space import Values
from runwright_components.train.tuning.trial import Word

LEAVING_SECONDS = 60.0  # that a job which was deleted keeps its place among the parallel ones, if its pods do not end


def trial_run(run: ClusterRun, number: int, metric: str) -> ClusterRun:
    """The run as a trial's job sees it."""
    place_of_trial = f"{run.storage.uri}/{SEARCH}/{trial_name(number)}"
    storage = run.storage.model_copy(update={"uri": place_of_trial})
    return run.model_copy(update={"storage": storage, "trial": TrialConfig(number=number, metric=metric)})


class JobTrials:
    """The trials of one search as jobs, for the loop of the search to keep busy.

    A trial's job is named by its number: the step that comes after a killed one finds it. A job goes when its trial has
    ended; what the trial left in storage goes when the search forgets it.
    """

    def __init__(
        self,
        kubernetes: Kubernetes,
        run: ClusterRun,
        run_id: str,
        config: TrainConfig,
        space: Sequence[ParameterConfig],
        *,
        prepared_uri: str,
        record: RecordWriter,
        pace: Pace = Pace(),
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        assert config.tune is not None
        labels = {LABEL_RUN_UID: run.uid, LABEL_REVISION: str(run.revision), LABEL_STAGE: "train"}
        selector = ",".join(f"{name}={value}" for name, value in labels.items())
        self._view = SharedView(kubernetes, run.namespace, PyTorchJobHandle.resource, labels=selector)
        self._kubernetes = kubernetes
        self._fence = Fence(self._view, run, run_id)
        self._run = run
        self._run_id = run_id
        self._config = config
        self._tune = config.tune
        self._space = space
        self._prepared_uri = prepared_uri
        self._record = record
        self._pace = pace
        self._clock = clock
        self._sleep = sleep
        self._home = place(run.storage).under(SEARCH)
        self._followers: dict[int, TrialFollower] = {}
        self._pruned: dict[int, Word] = {}  # whose end nobody has heard yet
        self._leaving: dict[int, float] = {}  # jobs that were deleted, and when
        self._counted = clock()
        self.first_fault: StageFault | None = None

    def clear(self, *, but: set[int]) -> None:
        """Remove the jobs and the files of all trials but these."""
        self._view.refresh()
        for number in self._jobs().keys() - but:
            self._delete(number)
        kept = {trial_name(number) for number in but}
        for name in self._home.folders():
            if name.startswith("trial-") and name not in kept:
                self._home.under(name).remove()

    # -------------------------------------------------------- as the loop asks

    def room(self) -> bool:
        return len(self._followers) + len(self._leaving) < self._tune.parallel

    def running(self) -> list[int]:
        return sorted({*self._followers, *self._pruned})

    def gpus(self) -> int:
        return sum(follower.gpus for follower in self._followers.values() if follower.running)

    def start(self, number: int, values: Values) -> None:
        config = assign(self._config, self._space, values)
        run = self._as_trial(number)
        handle = PyTorchJobHandle(self._view, run, self._run_id, config=config, prepared_uri=self._prepared_uri)
        self._followers[number] = TrialFollower(
            handle,
            run,
            record=TrialRecord(place(run.storage), self._run_id),
            fence=self._fence,
            progress=silent("train"),
            pace=self._pace,
            clock=self._clock,
            sleep=self._sleep,
        )

    def listen(self, timeout: float) -> list[Word]:
        """Raises StageError: Cancelled when fenced off; ClusterError for a fault that all trials would have."""
        words, self._pruned = list(self._pruned.values()), {}
        self._view.refresh()
        self._let_go()
        for number, follower in list(self._followers.items()):
            words += self._look(number, follower)
        self._count_gpus()
        self._tell()
        if not words:
            self._sleep(max(timeout, self._pace.poll))
        return words

    def answer(self, number: int, *, go_on: bool) -> None:
        if not go_on and number in self._followers:
            self._drop(number)
            self._pruned[number] = Word(number=number, kind="pruned")

    def end(self, number: int) -> None:
        self._pruned.pop(number, None)
        if number in self._followers:
            self._drop(number)

    def forget(self, number: int) -> None:
        self._place(number).remove()

    def cancel(self) -> None:
        """Delete the jobs that are this pipeline run's, without the patience that a step which is being ended has not;
        their checkpoints stay."""
        self._kubernetes = self._kubernetes.patient(IN_A_HURRY)
        self._view.refresh(patience=IN_A_HURRY)
        for number, job in self._jobs().items():
            if text(dig(job, "metadata", "annotations", ANNOTATION_PIPELINE_RUN)) == self._run_id:
                with contextlib.suppress(StageError):
                    self._delete(number)

    def model(self, number: int) -> Place:
        """Where the model of a trial lies."""
        return self._place(number).under(MODEL)

    # -------------------------------------------------------- inside

    def _place(self, number: int) -> Place:
        return self._home.under(trial_name(number))

    def _look(self, number: int, follower: TrialFollower) -> list[Word]:
        try:
            done = follower.look()
        except ClusterError as error:
            if error.fault.reason in NEEDS_A_PERSON:
                raise
            self._drop(number)
            return [self._failed(number, error.fault)]
        if done:
            follower.read_points()
        words = [
            Word(number=number, kind="epoch", epoch=point.epoch, figures=dict(point.figures))
            for point in follower.points()
        ]
        return [*words, self._result(number)] if done else words

    def _result(self, number: int) -> Word:
        self._drop(number)
        result = read_result(self._place(number))
        if result is None:
            return self._failed(number, StageFault(reason=str(Reason.WORKER_FAILED), message="it left no result"))
        return Word(number=number, kind="complete", epoch=result.epochs, value=result.value, seconds=result.seconds)

    def _failed(self, number: int, fault: StageFault) -> Word:
        self.first_fault = self.first_fault or fault
        known = fault.reason in list(Reason)
        error = {
            "reason": fault.reason if known else str(Reason.WORKER_FAILED),
            "message": fault.message if known else f"{fault.reason}: {fault.message}",
            "cure": fault.cure,
        }
        return Word(number=number, kind="failed", error=error)

    def _drop(self, number: int) -> None:
        """A trial is over for us, and its job goes."""
        del self._followers[number]
        self._delete(number)

    def _delete(self, number: int) -> None:
        """Delete a trial's job, be it in this round's view yet or not."""
        resource, name = PyTorchJobHandle.resource, self._as_trial(number).job_name
        job = self._kubernetes.get(resource, self._run.namespace, name)
        if job is not None and dig(job, "metadata", "labels", LABEL_RUN_UID) == self._run.uid:
            self._kubernetes.delete(resource, self._run.namespace, name, uid=uid_of(job))
            self._leaving[number] = self._clock()

    def _as_trial(self, number: int) -> ClusterRun:
        return trial_run(self._run, number, self._tune.metric)

    def _let_go(self) -> None:
        there = self._jobs()
        for number, since in list(self._leaving.items()):
            if number not in there or self._clock() - since > LEAVING_SECONDS:
                del self._leaving[number]

    def _jobs(self) -> dict[int, Manifest]:
        """The jobs of trials in this round, by number."""
        labelled = ((text(dig(job, "metadata", "labels", LABEL_TRIAL)), job) for job in self._view.jobs.values())
        return {int(number): job for number, job in labelled if number.isdigit()}

    def _count_gpus(self) -> None:
        """What the run has cost so far stands in the step's own record."""
        before, self._counted = self._counted, self._clock()
        if gpus := self.gpus():
            spent = (self._record.record.gpu_seconds or 0.0) + gpus * (self._counted - before)
            self._record.record = self._record.record.model_copy(update={"gpu_seconds": round(spent, 1)})

    def _tell(self) -> None:
        """The step's own record says why nothing runs, where nothing does."""
        followers = self._followers.values()
        waits = [one.waits_with for one in followers if one.waits_with is not None]
        told = None if any(one.running for one in followers) or not waits else waits[0]
        before = self._record.record.waiting
        if (told and told.reason) != (before and before.reason):
            self._record.note(waiting=told)
        else:
            self._record.update(waiting=told)
