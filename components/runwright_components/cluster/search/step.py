"""The search in a cluster as the train step does it, from prepared data to the best trial's model."""

from __future__ import annotations

import contextlib
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from runwright_components.cluster.client import Kubernetes
from runwright_components.cluster.ending import ClusterError
from runwright_components.cluster.fence import Fence
from runwright_components.cluster.records import IN_A_HURRY, RecordWriter
from runwright_components.cluster.search.store import database_errors, secrets_of, study_storage
from runwright_components.cluster.search.trials import JobTrials
from runwright_components.cluster.storage import PREPARED, fetch_folder, place, store_folder
from runwright_components.cluster.training import Pace
from runwright_components.contract.artifacts import ModelManifest
from runwright_components.contract.cluster import ClusterRun
from runwright_components.contract.config import TrainConfig
from runwright_components.contract.outcome import StageError
from runwright_components.contract.progress import Progress
from runwright_components.contract.tuning import SEARCH, STUDY_URL_ENV
from runwright_components.train.tuning.loop import Fruitless, Search
from runwright_components.train.tuning.result import hand_over, short, summarize
from runwright_components.train.tuning.search import Plan
from runwright_components.train.tuning.study import Study

STUDY = "study"  # under SEARCH in storage: the journal


def search_in_cluster(
    kubernetes: Kubernetes,
    run: ClusterRun,
    run_id: str,
    config: TrainConfig,
    *,
    prepared: Path,
    out: Path,
    record: RecordWriter,
    progress: Progress,
    environment: Mapping[str, str] = os.environ,
    pace: Pace = Pace(),
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> ModelManifest:
    """Search as `config.tune` says with a PyTorchJob for each trial, and bring the best one's model to `out`.

    The study outlives this step: the next one repeats no trial that has ended, and follows the jobs that run. Raises
    StageError: Cancelled when fenced off; ClusterError where all trials failed, or one with what all would fail with.
    """
    tune = config.tune
    assert tune is not None
    address = environment.get(STUDY_URL_ENV, "")
    record.hide(secrets_of(address) if address else ())
    fence = Fence(kubernetes, run, run_id)
    fence.enter()
    record.open()
    storage = place(run.storage)
    there = storage.under(PREPARED)
    store_folder(prepared, there)
    plan = Plan.of(config, prepared)
    if tune.gpu_seconds is not None and not run.job.gpus_per_node:
        progress.warning("trials have no GPU: tune.budget.gpuSeconds does not limit the search")
    store = study_storage(storage.under(SEARCH).under(STUDY), environment)
    name = f"{run.namespace}/{run.name}/{run.uid}/r{run.revision}"
    trials = JobTrials(
        kubernetes,
        run,
        run_id,
        config,
        plan.space,
        prepared_uri=there.uri,
        record=record,
        pace=pace,
        clock=clock,
        sleep=sleep,
    )
    with (
        database_errors(address) if address else contextlib.nullcontext(),
        _jobs_end_with_us(trials, fence),
        Study(store, tune, plan.space, epochs=plan.epochs, first=plan.first, name=name) as study,
    ):
        trials.clear(but=study.wanted())
        ended = Search(trials, tune, study, progress, clock=clock).run()
        summary = summarize(tune, plan.space, study, ended=ended)
        trials.clear(but={summary.best})
    progress.note(f"the model of trial {summary.best} goes on: {tune.metric} {short(summary.winner.value)}")
    with tempfile.TemporaryDirectory(prefix="runwright-") as folder:
        model = Path(folder) / "model"
        fetch_folder(trials.model(summary.best), model)
        return hand_over(model, out, summary, config)


@contextlib.contextmanager
def _jobs_end_with_us(trials: JobTrials, fence: Fence) -> Iterator[None]:
    """No trial runs on after a search that failed. A step that is told to end may only be moved: while the operator
    wants the KFP run, the jobs go on, for the step's next pod to follow."""
    try:
        yield
    except BaseException as error:
        with contextlib.suppress(StageError):
            if not (isinstance(error, KeyboardInterrupt) and fence.is_under_way(patience=IN_A_HURRY)):
                trials.cancel()
        if isinstance(error, Fruitless) and trials.first_fault is not None:
            told = {"message": error.message, "where": error.where, "cure": error.cure}
            raise ClusterError(trials.first_fault.model_copy(update=told)) from error
        raise
