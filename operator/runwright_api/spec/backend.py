"""`spec.train.backend`: the kind of job that trains in a cluster, and what it asks of the rest."""

from __future__ import annotations

from typing import Literal

from runwright_api.part import Rule, unless

Backend = Literal["pytorchjob", "trainjob", "rayjob"]

LONGEST_NAME = 40
"""Of a run whose job is no PyTorchJob. JobSet and KubeRay name pods and Services after it, of 63 characters at most:
they add 15 to 18 and we the revision."""

TRAIN_RULES = (
    Rule(
        message="`backend: rayjob` runs the user's own code",
        broken=lambda train: unless(train.backend != "rayjob" or train.code is not None, "backend"),
        cel="!has(self.backend) || self.backend != 'rayjob' || has(self.code)",
        cure="give train.code, written for Ray Train, or use `backend: pytorchjob`",
    ),
)
"""Rules of `spec.train` about `backend`."""

RUN_RULES = (
    Rule(
        message=f"with `backend: trainjob` or `rayjob`, the run's name has at most {LONGEST_NAME} characters",
        broken=lambda run: unless(
            run.spec.train.backend == "pytorchjob" or len(run.metadata.name) <= LONGEST_NAME, "metadata", "name"
        ),
        cel=(
            f"size(self.metadata.name) <= {LONGEST_NAME} || !has(self.spec.train.backend)"
            " || self.spec.train.backend == 'pytorchjob'"
        ),
        cure="give it a shorter name, or use `backend: pytorchjob`",
    ),
)
"""Rules of the whole TrainingRun about it."""
