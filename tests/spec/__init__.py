"""Every field of the TrainingRun's spec, and documents that use it: for campaigns over the whole API."""
