"""Gate: start the wanted revision exactly once.

KFP gives ids to runs and lets names repeat, so that a lost answer must not start a second one: the attempt's name is
written into status first; a run of that name is adopted, and only where there is none is one created. Should two exist
all the same, the oldest is kept.
"""

from __future__ import annotations

from functools import partial

from pydantic import ValidationError

from runwright_api.names import DATA_JOB, FINALIZER
from runwright_api.reasons import Reason
from runwright_api.status import Failure, PipelineRun, Revision
from runwright_api.trainingrun import TrainingRun
from runwright_components.contract.cluster import ClusterRun
from runwright_components.contract.outcome import StageError
from runwright_operator.brain.decision import AddFinalizer, StartPipeline, StopPipeline
from runwright_operator.brain.draft import Draft
from runwright_operator.brain.observed import JobSeen
from runwright_operator.resources import DATA_JOBS, JOBS
from runwright_pipelines.cluster import cluster_run, storage_of, with_registry
from runwright_pipelines.compiling import Images, parameter, pipeline_spec
from runwright_pipelines.retries import with_retries
from runwright_pipelines.secrets import with_secrets


def launch(draft: Draft) -> None:
    """Take a pending revision one step on: name the attempt, then create its pipeline run, then know its id."""
    current = draft.current
    if current is None or current.state != "Pending" or draft.seen.run is None:
        return
    if current.pipeline_run is None:
        if draft.suspended:
            return
        _prepare(draft, current, attempt=1)
    elif _written(draft, current):
        _adopt_or_start(draft, current)
    else:
        draft.look_again(0.0)


def attempt_name(draft: Draft, revision: int, attempt: int) -> str:
    """Display name of a pipeline run."""
    return f"{draft.seen.key.name}-{draft.seen.uid[:8]}-r{revision}-a{attempt}"


def attempt_number(run: PipelineRun) -> int:
    """1, 2, 3 and so on."""
    tail = run.attempt.rpartition("-a")[2]
    return int(tail) if tail.isdigit() else 1


def again(draft: Draft, revision: Revision) -> None:
    """Start another attempt at a revision."""
    run = revision.pipeline_run
    _prepare(draft, revision, attempt=attempt_number(run) + 1 if run else 1)


def circumstances(draft: Draft) -> str:
    """Digest of how a model is trained, apart from what is trained."""
    assert draft.seen.run is not None
    told = _told(draft, revision=0, recipe="")
    return told.model_copy(update={"service": None, "openlineage_url": None}).digest()


def _told(draft: Draft, *, revision: int, recipe: str) -> ClusterRun:
    run = draft.seen.run
    assert run is not None
    return cluster_run(
        run,
        draft.rules.defaults,
        namespace=draft.seen.key.namespace,
        uid=draft.seen.uid,
        revision=revision,
        recipe=recipe,
        deploys=run.spec.deploy.revision in (None, revision),
    )


def _prepare(draft: Draft, revision: Revision, attempt: int) -> None:
    if FINALIZER not in draft.seen.finalizers:
        draft.before.append(AddFinalizer())
    run = PipelineRun(attempt=attempt_name(draft, revision.number, attempt))
    draft.update(
        revision.number,
        state="Pending",
        pipeline_run=run,
        circumstances=circumstances(draft),
        completion_time=None,
    )
    draft.look_again(0.0)


def _written(draft: Draft, revision: Revision) -> bool:
    """Whether the API server already holds the attempt: only then may anything start."""
    before = {one.number: one.pipeline_run for one in draft.status.revisions}
    return before.get(revision.number) == revision.pipeline_run


def _adopt_or_start(draft: Draft, revision: Revision) -> None:
    seen, run = draft.seen, revision.pipeline_run
    assert run is not None
    if seen.submit_error:
        failure = Failure(reason=Reason.SUBMIT_FAILED, message=seen.submit_error[:4000], time=draft.time)
        draft.update(revision.number, state="Failed", failure=failure, completion_time=draft.time)
        return
    if seen.pipelines is None:
        draft.look_again(draft.rules.retry_seconds)
        return
    if seen.pipelines:
        kept, *others = sorted(seen.pipelines, key=lambda one: (one.created, one.id))
        draft.before.extend(StopPipeline(other.id) for other in others if not other.ended)
        draft.update(
            revision.number,
            state="Running",
            pipeline_run=run.model_copy(update={"id": kept.id, "url": kept.url}),
            start_time=revision.start_time or draft.time,
        )
        draft.look_again(0.0)
        return
    _start(draft, revision, run)


def _asked_for(run: TrainingRun, job: JobSeen) -> bool:
    """Whether the job is of the kind that the run asks for, to prepare its data or to train."""
    prepares = job.name.endswith(DATA_JOB)
    resource = DATA_JOBS.get(run.spec.data.engine) if prepares else JOBS[run.spec.train.backend]
    return resource is not None and job.kind == resource.kind


def _start(draft: Draft, revision: Revision, run: PipelineRun) -> None:
    seen, rules = draft.seen, draft.rules
    assert seen.run is not None
    try:
        local = with_registry(seen.run, rules.defaults, namespace=seen.key.namespace)
        drawn = with_retries(pipeline_spec(local, Images(components=rules.components_image)))
        storage = storage_of(seen.run, rules.defaults, namespace=seen.key.namespace)
        pipeline = with_secrets(drawn, seen.run, storage.secret, rules.defaults.openlineage_secret)
        told = _told(draft, revision=revision.number, recipe=revision.recipe)
    except (StageError, ValidationError, ValueError, KeyError) as error:  # a defect of ours must not start anything
        draft.compile_error = str(error)[:1000]
        return
    asked = partial(_asked_for, seen.run)
    draft.delete_jobs(revision.number, but=asked)  # of before the backend or the engine was changed
    draft.then.append(StartPipeline(revision.number, run.attempt, pipeline, parameter(told)))
    draft.look_again(0.0)
