"""The bodies of the KFP steps, found by name by `runwright_components.contract.step.execute`.

A body reads its configuration from JSON, looks into the local result cache, calls the stage and fills the metadata of
KFP's artifacts, which it takes as anything with `path`, `uri` and `metadata`. Stages are imported when they run, so
that a step pays for what it uses alone.
"""

from runwright_components.steps.bodies import deploy, evaluate, model, package, register, train
from runwright_components.steps.preparing import collect, data, prepare
from runwright_components.steps.running import prepare_process
from runwright_components.steps.surroundings import surroundings

__all__ = [
    "collect",
    "data",
    "deploy",
    "evaluate",
    "model",
    "package",
    "prepare",
    "prepare_process",
    "register",
    "surroundings",
    "train",
]
