"""The control plane: watches TrainingRuns and brings the world to what they say."""
