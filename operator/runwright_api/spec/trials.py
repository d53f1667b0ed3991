"""`spec.tune.backend` and `spec.tune.storage`: what the trials of a search run as in a cluster, and what keeps them."""

from __future__ import annotations

from typing import Literal

from runwright_api.part import Part, Rule, unless
from runwright_api.spec.shared import SecretRef

TrialBackend = Literal["processes", "jobs"]

LONGEST_NAME = 40
"""Of a run whose trials are jobs: a Service is named after each pod, of 63 characters at most; revision, trial and pod
add up to 23."""


class StudyStorage(Part):
    """A database that keeps the study of a search."""

    secret_ref: SecretRef
    """Secret whose key `url` is the address of a PostgreSQL database: postgresql://USER:PASSWORD@HOST/NAME."""


TUNE_RULES = (
    Rule(
        message="a study lies in a database only where trials are jobs",
        broken=lambda tune: unless(tune.storage is None or tune.backend == "jobs", "storage"),
        cel="!has(self.storage) || (has(self.backend) && self.backend == 'jobs')",
        cure="set `backend: jobs`, or remove `storage`; the study is then kept with the checkpoints",
    ),
)
"""Rules of `spec.tune`."""

SPEC_RULES = (
    Rule(
        message="trials that are processes run on one node",
        broken=lambda spec: unless(
            spec.tune is None or spec.tune.backend == "jobs" or spec.train.resources.nodes == 1,
            "train",
            "resources",
            "nodes",
        ),
        cel=(
            "!has(self.tune) || (has(self.tune.backend) && self.tune.backend == 'jobs')"
            " || !has(self.train.resources) || !has(self.train.resources.nodes) || self.train.resources.nodes == 1"
        ),
        cure="set it to 1, tune.parallel trials share the node's cores and GPUs; or set `tune.backend: jobs`",
    ),
    Rule(
        message="trials that are jobs are PyTorchJobs",
        broken=lambda spec: unless(
            spec.tune is None or spec.tune.backend != "jobs" or spec.train.backend == "pytorchjob", "train", "backend"
        ),
        cel=(
            "!has(self.tune) || !has(self.tune.backend) || self.tune.backend != 'jobs'"
            " || !has(self.train.backend) || self.train.backend == 'pytorchjob'"
        ),
        cure="remove `train.backend`, or set `tune.backend: processes`",
    ),
    Rule(
        message="the user's own code has no built-in model whose fields could be searched",
        broken=lambda spec: [
            ("tune", "searchSpace", index, "name")
            for index, one in enumerate(spec.tune.search_space if spec.tune and spec.train.code else ())
            if one.name.startswith("model.")
        ],
        cel=(
            "!has(self.tune) || !has(self.tune.searchSpace) || !has(self.train.code)"
            " || self.tune.searchSpace.all(one, !one.name.startsWith('model.'))"
        ),
        cure="search what the code reads in RUNWRIGHT_CONFIG, learningRate or batchSize say, or remove `train.code`",
    ),
)
"""Rules between `spec.tune` and `spec.train`."""

RUN_RULES = (
    Rule(
        message=f"with `tune.backend: jobs`, the run's name has at most {LONGEST_NAME} characters",
        broken=lambda run: unless(
            run.spec.tune is None or run.spec.tune.backend != "jobs" or len(run.metadata.name) <= LONGEST_NAME,
            "metadata",
            "name",
        ),
        cel=(
            f"size(self.metadata.name) <= {LONGEST_NAME} || !has(self.spec.tune) || !has(self.spec.tune.backend)"
            " || self.spec.tune.backend != 'jobs'"
        ),
        cure="give it a shorter name, or set `tune.backend: processes`",
    ),
)
"""Rules of the whole TrainingRun."""
