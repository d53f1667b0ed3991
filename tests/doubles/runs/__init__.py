"""TrainingRuns as the API server would give them, and a cluster that plays a script of their changes."""
