"""The TrainingRun API: pydantic models, names and reasons. A leaf: imports nothing of ours."""

from runwright_api.loading import load, load_file, load_object
from runwright_api.problems import Problem, SpecError
from runwright_api.spec import TrainingRunSpec
from runwright_api.status import TrainingRunStatus
from runwright_api.trainingrun import TrainingRun

__all__ = [
    "Problem",
    "SpecError",
    "TrainingRun",
    "TrainingRunSpec",
    "TrainingRunStatus",
    "load",
    "load_file",
    "load_object",
]
