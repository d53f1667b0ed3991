"""The TrainingRun API: pydantic models, names and reasons. A leaf: imports nothing of ours."""
