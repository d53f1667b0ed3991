"""A search whose trials are jobs: the train step keeps the study, and makes and follows a PyTorchJob for each trial.

`step` is the whole; `trials` makes the jobs, `view` and `follower` watch them, `store` keeps the study. `reports` is
the other end: what a trial's pod leaves in storage for the step to read.
"""
