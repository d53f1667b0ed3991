"""What a step is told of the cluster that it runs in, and what it writes down for the operator to read.

A pipeline has a parameter `cluster`: empty on one machine, else the JSON of a ClusterRun. Each step then keeps a
StageRecord under the key `STAGE.json` of the revision's ConfigMap (`record_name`), by server-side apply with a field
manager of its own. The operator reads these records: they outlive pods, and need no access to the artifact store.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from runwright_components.contract.artifacts import Document
from runwright_components.contract.config import Config
from runwright_components.contract.step import StageName

GROUP = "runwright.dev"
API_VERSION = f"{GROUP}/v1alpha1"
KIND = "TrainingRun"
PLURAL = "trainingruns"
LABEL_RUN = f"{GROUP}/run"
LABEL_RUN_UID = f"{GROUP}/run-uid"
LABEL_REVISION = f"{GROUP}/revision"
LABEL_STAGE = f"{GROUP}/stage"
LABEL_TRIAL = f"{GROUP}/trial"  # of a job that is one trial of a search: its number
ANNOTATION_RECIPE = f"{GROUP}/recipe"
ANNOTATION_MODEL_DIGEST = f"{GROUP}/model-digest"
FIELD_MANAGER = "runwright"

CLUSTER_ENV = "RUNWRIGHT_CLUSTER"  # the ClusterRun, for the pods of a training
STORAGE_PREFIX = "RUNWRIGHT_STORAGE_"  # before AWS_ACCESS_KEY_ID and so on, in a step whose own AWS_* are a source's
DATA_JOB = "-data"  # what the name of the job that prepares the data has after the revision
LARGEST_RECORD = 48 * 1024  # bytes of one StageRecord; a ConfigMap holds 1 MiB


class StorageConfig(Config):
    """Where the revision's checkpoints and model lie: a prefix, and the Secret whose keys become the environment."""

    uri: str  # s3://bucket/prefix; file:///folder on one node
    endpoint: str | None = None
    region: str | None = None
    secret: str | None = None


class Toleration(Config):
    """A taint that training pods tolerate, with Kubernetes' meaning."""

    key: str | None = None
    operator: Literal["Exists", "Equal"] = "Equal"
    value: str | None = None
    effect: str | None = None
    toleration_seconds: int | None = None


Backend = Literal["pytorchjob", "trainjob", "rayjob"]


class JobConfig(Config):
    """The job that trains: its kind, its pods, and how often it may start again."""

    backend: Backend = "pytorchjob"
    image: str
    helper_image: str | None = None  # Runwright's, where `image` holds nothing but the user's own code
    nodes: int = 1
    gpus_per_node: int = 0
    processes_per_node: int = 1
    cpu: str | None = None
    memory: str | None = None
    queue: str | None = None  # Kueue LocalQueue
    priority_class: str | None = None
    node_selector: dict[str, str] = Field(default={})
    tolerations: tuple[Toleration, ...] = ()
    failures: int = 2  # restarts after failures of its own
    preemptions: int = 10  # restarts after its pods were taken away
    timeout_seconds: int | None = None


class ServiceConfig(Config):
    """The InferenceService."""

    mode: Literal["Standard", "Knative"] = "Standard"
    image: str
    cpu: str | None = None
    memory: str | None = None
    gpus: int = 0
    service_account: str = "default"
    timeout_seconds: int = 600  # until it is ready
    owned: bool = True  # whether it goes when the TrainingRun is deleted


class PodAmounts(Config):
    """What a pod asks for, as Kubernetes quantities."""

    cpu: str
    memory: str


class DataJobConfig(Config):
    """The job that prepares the data by an engine other than local: a SparkApplication or a RayJob."""

    engine: Literal["spark", "ray"]
    image: str
    claim: str  # PersistentVolumeClaim that all its pods mount: they hand each other files
    executors: int
    driver: PodAmounts
    executor: PodAmounts


class TrialConfig(Config):
    """A trial of a search, as its job sees it: its number, and the metric of the validation split that judges it."""

    number: int
    metric: str


class ClusterRun(Config):
    """One attempt at one revision, as its steps see it. `name` and `uid` are the TrainingRun's. In a trial's job,
    `storage` is the trial's own place."""

    namespace: str
    name: str
    uid: str
    revision: int
    recipe: str
    storage: StorageConfig
    job: JobConfig
    service: ServiceConfig | None = None  # None: nothing is deployed
    sources_allowed: tuple[str, ...] = ()  # hosts and networks that HTTP sources may reach, though not public
    openlineage_url: str | None = None  # server that steps tell their lineage; its key is in the environment
    trial: TrialConfig | None = None  # None: the training of the revision itself
    data: DataJobConfig | None = None  # None: the prepare step does its work itself
    stage: Literal["prepare", "train"] = "train"  # whose job `job` is

    @property
    def job_name(self) -> str:
        """Name of the job: that of the revision's records, or of one trial, or of what prepares the data."""
        name = record_name(self.name, self.revision)
        if self.stage == "prepare":
            return f"{name}{DATA_JOB}"
        return name if self.trial is None else f"{name}-t{self.trial.number}"

    def preparing(self) -> ClusterRun:
        """The same as the job that prepares the data sees it: its own pods, and a place of its own in storage."""
        assert self.data is not None
        job = JobConfig(
            image=self.data.image,
            nodes=1 + self.data.executors,
            failures=self.job.failures,
            preemptions=self.job.preemptions,
        )
        storage = self.storage.model_copy(update={"uri": f"{self.storage.uri}/data"})
        return self.model_copy(update={"job": job, "storage": storage, "stage": "prepare"})


class StageProgress(Document):
    """How far a stage is."""

    percent: int | None = None
    epoch: int | None = None
    step: int | None = None
    loss: float | None = None
    samples_per_second: float | None = None
    seconds_left: int | None = None


class StageFault(Document):
    """Why a stage failed, or why it waits: `reason` is one of the API's closed list."""

    reason: str
    message: str = ""
    cure: str = ""
    where: str = ""
    pod: str | None = None
    container: str | None = None
    exit_code: int | None = None
    log: tuple[str, ...] = ()


class StageRecord(Document):
    """What a step says of a stage. `run_id` is the KFP run that wrote it: a record of another run is stale.

    `result` by stage - train: cost (as in ModelManifest); evaluate: model_digest, verdict, metrics, slices, checks (as
    in Evaluation); package: digest, model_digest; register: uri, version, digest, model_digest; deploy: url,
    model_digest.
    """

    stage: StageName
    run_id: str
    state: Literal["running", "succeeded", "failed", "skipped"]
    time: str  # RFC 3339
    progress: StageProgress | None = None
    waiting: StageFault | None = None  # Unschedulable, WaitingForQuota, ImagePullBackOff, ...
    fault: StageFault | None = None
    failures: Annotated[int, Field(ge=0)] = 0
    preemptions: Annotated[int, Field(ge=0)] = 0
    gpu_seconds: float | None = None
    result: dict[str, Any] = Field(default={})


def record_name(run: str, revision: int) -> str:
    """Name of the ConfigMap with the records of a revision; the job of its training has the same name."""
    return f"{run}-r{revision}"


def record_key(stage: str) -> str:
    return f"{stage}.json"
