"""The TrainingRun API: pydantic models, names and reasons. A leaf: imports nothing of ours."""

from runwright_api.loading import load, load_file, load_object
from runwright_api.problems import Problem, SpecError
from runwright_api.recipe import recipe, recipe_digest
from runwright_api.spec import TrainingRunSpec
from runwright_api.status import TrainingRunStatus
from runwright_api.trainingrun import TrainingRun
from runwright_api.writing import dump, schema_json

__all__ = [
    "Problem",
    "SpecError",
    "TrainingRun",
    "TrainingRunSpec",
    "TrainingRunStatus",
    "dump",
    "load",
    "load_file",
    "load_object",
    "recipe",
    "recipe_digest",
    "schema_json",
]
