"""Names of the API group, labels and annotations, and the rules for names."""

from __future__ import annotations

GROUP = "runwright.dev"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"
KIND = "TrainingRun"
PLURAL = "trainingruns"
SINGULAR = "trainingrun"
SHORT_NAME = "trun"
CATEGORY = "kubeflow"

LABEL_RUN = f"{GROUP}/run"
"""Name of the TrainingRun that an object belongs to."""
LABEL_RUN_UID = f"{GROUP}/run-uid"
"""UID of that TrainingRun, so that a namesake made later is told apart."""
LABEL_REVISION = f"{GROUP}/revision"
"""Number of the revision that an object belongs to."""
LABEL_STAGE = f"{GROUP}/stage"
"""Stage of the pipeline that an object belongs to."""
LABEL_MANAGED_BY = "app.kubernetes.io/managed-by"
MANAGED_BY = "runwright"
"""Value of LABEL_MANAGED_BY, and our field manager."""

ANNOTATION_RECIPE = f"{GROUP}/recipe"
"""Digest of the recipe that made an object."""
ANNOTATION_MODEL_DIGEST = f"{GROUP}/model-digest"
"""Digest of the model that an InferenceService serves."""
ANNOTATION_RETRAIN = f"{GROUP}/retrain"
"""Set to a new value (a time, say) to ask for a retraining with no change of the spec."""
ANNOTATION_CANCEL = f"{GROUP}/cancel"
"""Set to the number of a revision to stop it with no change of the spec."""
ANNOTATION_HISTORY = f"{GROUP}/history"
"""On a TrainingRun: what became of its revisions, so that a backup of the object brings them back. Read only where
there is no status."""
FINALIZER = f"{GROUP}/cleanup"

LONGEST_RUN_NAME = 50
"""Children append up to 13 characters, and a Service's name has 63."""

LONGEST_NAME = 63


DATA_JOB = "-data"
"""What the name of the job that prepares the data of a revision has after that of the one that trains."""


def child_name(run: str, *parts: str | int) -> str:
    """The deterministic name of an object made for a run: `run-part-part`.

    Raises ValueError when it would not be a valid name.
    """
    name = "-".join((run, *(str(part) for part in parts)))
    if len(name) > LONGEST_NAME:
        raise ValueError(f"{name} is longer than {LONGEST_NAME} characters")
    return name


def training_job_name(run: str, revision: int) -> str:
    """Name of the job that trains a revision."""
    return child_name(run, "r" + str(revision))


def is_job_of(job: str, run: str, revision: int) -> bool:
    """Whether a job of the run's trains the revision, or a trial of its search, or prepares its data."""
    rest = job.removeprefix(training_job_name(run, revision))
    return rest in ("", DATA_JOB) or (rest != job and rest.startswith("-t") and rest[2:].isdigit())


def inference_service_name(run: str) -> str:
    """Name of the InferenceService of a run; it stays the same over all revisions."""
    return run
