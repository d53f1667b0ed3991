"""The door between a KFP step and the component code: `execute` finds the step's body by name.

Pipelines import this module alone, so that compiling needs no torch and no Polars. It also names the environment
that a step runs in.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any, Literal

BODIES = "runwright_components.steps"

StageName = Literal["collect", "prepare", "train", "evaluate", "package", "register", "deploy"]
STAGES: tuple[StageName, ...] = ("collect", "prepare", "train", "evaluate", "package", "register", "deploy")

WORKSPACE_ENV = "RUNWRIGHT_WORKSPACE"  # folder of the run on one machine; unset in a cluster
RESUME_ENV = "RUNWRIGHT_RESUME"  # 1: train continues from its checkpoints
NO_CACHE_ENV = "RUNWRIGHT_NO_CACHE"  # 1: every stage runs, whatever the result cache holds

# Under the workspace.
LOCK = "lock"  # held by the runner for as long as it lives; steps end when it is let go
LOGS = "logs"
CACHE = "cache"
CHECKPOINTS = "checkpoints"
REGISTRY = "registry"


def execute(name: str, *, cluster: str = "", run_id: str = "", **arguments: Any) -> Any:
    """Run the body of step `name` with KFP's artifact objects and parameters as keyword arguments.

    `cluster` is the JSON of a ClusterRun, empty on one machine; `run_id` is KFP's id of the pipeline run.
    """
    bodies = import_module(BODIES)
    bodies.prepare_process()
    with bodies.surroundings(cluster, run_id):
        return getattr(bodies, name)(**arguments)
