"""Conditions and the closed list of their reasons.

What automation matches on is here and nowhere else; messages are for people and may change.
"""

from __future__ import annotations

from enum import StrEnum


class ConditionType(StrEnum):
    """The conditions of a TrainingRun, after KEP-1623."""

    READY = "Ready"
    """The newest wanted model serves."""
    ACCEPTED = "Accepted"
    """The spec makes sense and is allowed."""
    COMPILED = "Compiled"
    """The pipeline of the newest revision was compiled."""
    SUBMITTED = "Submitted"
    """The pipeline run exists."""
    TRAINED = "Trained"
    EVALUATION_PASSED = "EvaluationPassed"
    PACKAGED = "Packaged"
    """The package is in the registry."""
    DEPLOYED = "Deployed"
    """The InferenceService serves the newest model."""
    RECONCILING = "Reconciling"
    """Abnormal while true: work is under way."""
    STALLED = "Stalled"
    """Abnormal while true: it cannot go on without a person."""
    DRIFTED = "Drifted"
    """Abnormal while true: live inputs no longer look like the training data."""
    SUSPENDED = "Suspended"


class Reason(StrEnum):
    """Why a condition has its status. Closed: a new one is a change of the API."""

    # the ordinary course
    PENDING = "Pending"
    SUCCEEDED = "Succeeded"
    IN_PROGRESS = "InProgress"
    WAITING_FOR_QUOTA = "WaitingForQuota"
    WAITING_FOR_STAGE = "WaitingForStage"
    SERVING = "Serving"
    SUPERSEDED = "Superseded"
    ROLLED_BACK = "RolledBack"
    DEPLOYMENT_OFF = "DeploymentOff"
    SUSPENDED_BY_USER = "SuspendedByUser"
    NOT_SUSPENDED = "NotSuspended"
    DRIFT_DETECTED = "DriftDetected"
    NO_DRIFT = "NoDrift"
    # the spec
    INVALID_SPEC = "InvalidSpec"
    UNSUPPORTED = "Unsupported"
    SECRET_NOT_FOUND = "SecretNotFound"  # noqa: S105
    NOT_ALLOWED = "NotAllowed"
    COMPILE_FAILED = "CompileFailed"
    SUBMIT_FAILED = "SubmitFailed"
    PIPELINES_UNAVAILABLE = "PipelinesUnavailable"
    # the cluster
    UNSCHEDULABLE = "Unschedulable"
    IMAGE_PULL_BACK_OFF = "ImagePullBackOff"
    CONTAINER_CONFIG_ERROR = "ContainerConfigError"
    QUOTA_EXCEEDED = "QuotaExceeded"
    OOM_KILLED = "OOMKilled"
    PREEMPTED = "Preempted"
    EVICTED = "Evicted"
    NODE_LOST = "NodeLost"
    DEADLINE_EXCEEDED = "DeadlineExceeded"
    COLLECTIVE_TIMEOUT = "CollectiveTimeout"
    RETRIES_EXHAUSTED = "RetriesExhausted"
    SERVICE_NOT_READY = "ServiceNotReady"
    # the stages; the same words as in the components' contract
    INVALID_CONFIG = "InvalidConfig"
    SOURCE_NOT_FOUND = "SourceNotFound"
    SOURCE_DENIED = "SourceDenied"
    SOURCE_UNAVAILABLE = "SourceUnavailable"
    DATA_UNREADABLE = "DataUnreadable"
    DATA_INVALID = "DataInvalid"
    STORAGE_FULL = "StorageFull"
    OUT_OF_MEMORY = "OutOfMemory"
    TRAINING_DIVERGED = "TrainingDiverged"
    WORKER_FAILED = "WorkerFailed"
    CHECKPOINT_INVALID = "CheckpointInvalid"
    PARITY_FAILED = "ParityFailed"
    DIGEST_MISMATCH = "DigestMismatch"
    GATE_REJECTED = "GateRejected"
    USER_CODE_ERROR = "UserCodeError"
    CANCELLED = "Cancelled"
    INTERNAL_ERROR = "InternalError"


class Phase(StrEnum):
    """One word for people, derived from the conditions; nothing decides by it."""

    PENDING = "Pending"
    QUEUED = "Queued"
    RUNNING = "Running"
    DEPLOYING = "Deploying"
    SERVING = "Serving"
    REJECTED = "Rejected"
    FAILED = "Failed"
    SUSPENDED = "Suspended"
    COMPLETED = "Completed"


class Stage(StrEnum):
    """The stages of the pipeline, in order."""

    COLLECT = "collect"
    PREPARE = "prepare"
    TRAIN = "train"
    TUNE = "tune"
    EVALUATE = "evaluate"
    PACKAGE = "package"
    REGISTER = "register"
    DEPLOY = "deploy"


class Trigger(StrEnum):
    """Why a revision was started."""

    RECIPE = "Recipe"
    SCHEDULE = "Schedule"
    DRIFT = "Drift"
    NEW_DATA = "NewData"
    REQUEST = "Request"
