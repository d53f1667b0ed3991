"""A TrainingRun spec compiled to a Kubeflow pipeline, and the runner for one machine."""
