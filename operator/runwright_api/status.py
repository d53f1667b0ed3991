"""`status` of a TrainingRun: what the operator saw and did. Written by the operator alone."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import ConfigDict, Field, WithJsonSchema

from runwright_api.part import Lax, Part, map_by
from runwright_api.reasons import ConditionType, Phase, Reason, Stage, Trigger

_Count = Annotated[int, Field(ge=0, le=2**53)]
_Generation = Annotated[int, Field(ge=-1, le=2**53)]
_RevisionNumber = Annotated[int, Field(ge=1, le=2**31 - 1)]
_Short = Annotated[str, Field(max_length=256)]
_Uri = Annotated[str, Field(max_length=1024)]
_Message = Annotated[str, Field(max_length=4096)]
_Digest = Annotated[str, Field(max_length=71, pattern=r"^sha256:[a-f0-9]{64}$")]
_Time = Annotated[str, Field(max_length=64, json_schema_extra={"format": "date-time"})]
# The CRD takes any word here: were it closed, a status written by a newer operator than the CRD would be refused, and
# the very failure that it reports be hidden.
_Word = WithJsonSchema({"type": "string", "maxLength": 64, "pattern": "^[A-Za-z]+$"})
_ConditionType = Annotated[ConditionType, Lax, _Word]
_Reason = Annotated[Reason, Lax, _Word]
_Phase = Annotated[Phase, Lax, _Word]
_Stage = Annotated[Stage, Lax, _Word]
_Trigger = Annotated[Trigger, Lax, _Word]
_Metrics = Annotated[dict[Annotated[str, Field(max_length=64)], float], Field(max_length=64)]


class StatusPart(Part):
    """A part of the status. An older operator that reads what a newer one wrote ignores what it does not know."""

    model_config = ConfigDict(extra="ignore")


class Condition(StatusPart):
    """One aspect of the run, after the conventions of KEP-1623."""

    type: _ConditionType
    """Which aspect."""
    status: Literal["True", "False", "Unknown"]
    """Whether it holds."""
    reason: _Reason
    """Why, from a closed list."""
    message: _Message = ""
    """Why, for people."""
    observed_generation: _Generation | None = None
    """Generation of the spec that this was judged by."""
    last_transition_time: _Time
    """When status changed last."""


class GateCheck(StatusPart):
    """One bound of the gate and what came of it."""

    metric: Annotated[str, Field(max_length=64)]
    value: float | None = None
    min: float | None = None
    max: float | None = None
    slice: _Short | None = None
    passed: bool


class PipelineRun(StatusPart):
    """The Kubeflow pipeline run of a revision."""

    id: _Short = ""
    """Given by the server; empty until the run is known to exist."""
    attempt: _Short
    """Our own name for the attempt, written before the run is created, so that a lost answer never trains twice."""
    url: _Uri | None = None
    """Page of the run."""


class Artifact(StatusPart):
    """The packaged model of a revision."""

    uri: _Uri
    """Where the package lies."""
    digest: _Digest
    """Digest of the package."""
    model_digest: _Digest
    """Digest of the model, to which the metrics are bound."""
    version: Annotated[int, Field(ge=1, le=2**31 - 1)] | None = None
    """Version in the registry."""


class Failure(StatusPart):
    """What failed, and where to look."""

    stage: _Stage | None = None
    """Stage that failed."""
    reason: _Reason
    """Why, from a closed list."""
    message: _Message = ""
    """Why, for people, with the cure."""
    pod: _Short | None = None
    """Pod that failed."""
    container: _Short | None = None
    exit_code: Annotated[int, Field(ge=-1, le=255)] | None = None
    log: Annotated[tuple[Annotated[str, Field(max_length=512)], ...], Field(max_length=20), Lax] = ()
    """The last lines of its log."""
    log_uri: _Uri | None = None
    """Where the whole log is kept after the pods are gone."""
    time: _Time | None = None


class Cost(StatusPart):
    """What a training took, its restarts included. Rates are over the time of its steps."""

    seconds: float
    """That its processes were there."""
    cpu_seconds: float
    """Of all processes."""
    processes: _Count
    restarts: _Count = 0
    """How often it was continued."""
    samples_per_second: float
    """Rows learned from."""
    tokens_per_second: float | None = None
    """Of texts, padding included."""
    mfu: float | None = None
    """Share of the GPUs' peak that the model's own operations took, from 0 to 1."""
    peak_gpu_bytes: _Count | None = None
    """Memory of a GPU, of the process that took most."""
    peak_host_bytes: _Count
    """Memory of a process, of the one that took most."""
    energy_joules: float | None = None
    """Of the GPUs, where they tell."""


class Revision(StatusPart):
    """One attempt at a model: a recipe, the run that made it, and what came of it."""

    number: _RevisionNumber
    """1, 2, 3 and so on."""
    recipe: _Digest
    """Digest of the recipe."""
    circumstances: _Digest | None = None
    """Digest of how it was trained (resources, scheduling, retries): a failed revision is tried again with others."""
    trigger: _Trigger = Trigger.RECIPE
    """Why it was started."""
    request: _Short | None = None
    """Value of the annotation runwright.dev/retrain that asked for it."""
    state: Literal["Pending", "Running", "Succeeded", "Rejected", "Failed", "Cancelled"] = "Pending"
    """What became of it."""
    pipeline_run: PipelineRun | None = None
    """The run that made it."""
    failures: _Count = 0
    """Retries spent on failures."""
    preemptions: _Count = 0
    """Retries spent on preemptions."""
    metrics: _Metrics = Field(default={})
    """Metrics on the test split."""
    verdict: Literal["passed", "rejected"] | None = None
    """What the gate said."""
    checks: Annotated[tuple[GateCheck, ...], Field(max_length=32), Lax] = ()
    """The bounds of the gate."""
    artifact: Artifact | None = None
    """The packaged model."""
    failure: Failure | None = None
    """Why it failed."""
    gpu_seconds: float | None = None
    """GPUs times the seconds that training held them."""
    cost: Cost | None = None
    """What training took, as its processes measured it."""
    deploy_time: _Time | None = None
    """When its model was last given to the InferenceService."""
    start_time: _Time | None = None
    completion_time: _Time | None = None


class Serving(StatusPart):
    """The model that answers now."""

    revision: _RevisionNumber
    url: _Uri = ""
    """Address of the InferenceService."""
    model_digest: _Digest
    since: _Time | None = None


class Progress(StatusPart):
    """How far the pipeline is."""

    stage: _Stage
    """Stage that runs."""
    percent: Annotated[int, Field(ge=0, le=100)] | None = None
    """Share of the stage that is done."""
    epoch: _Count | None = None
    step: _Count | None = None
    loss: float | None = None
    samples_per_second: float | None = None
    seconds_left: _Count | None = None
    """Estimate of the time that the stage still takes."""
    updated: _Time | None = None
    summary: _Short = ""
    """For the printer column, for example "train 42%"."""


class TrainingRunStatus(StatusPart):
    """What the operator saw and did."""

    observed_generation: _Generation = -1
    """Generation of the spec that this status speaks of; -1 until the operator has seen the run."""
    conditions: Annotated[tuple[Condition, ...], Field(max_length=16, json_schema_extra=map_by("type")), Lax] = ()
    """The aspects of the run, one a type."""
    phase: _Phase | None = None
    """One word for people, derived from the conditions."""
    revision: _RevisionNumber | None = None
    """The revision that the spec asks for: the newest, or an older one whose recipe the spec went back to."""
    revisions: Annotated[tuple[Revision, ...], Field(max_length=30, json_schema_extra=map_by("number")), Lax] = ()
    """The newest revisions, bounded by spec.history.limit."""
    serving: Serving | None = None
    """The model that answers now."""
    progress: Progress | None = None
    """How far the pipeline is."""
    metric: _Short = ""
    """The gate's first metric of that revision, for the printer column."""
    failure: Failure | None = None
    """Why the revision that the spec asks for failed; gone when it succeeds."""
    retrain: _Short | None = None
    """The last value of the annotation runwright.dev/retrain that was acted on."""
