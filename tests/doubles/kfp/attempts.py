"""How an attempt at a task runs: the seam between the executor, which walks a run's tasks, and what carries them out.

`process_runner` runs attempts as processes of this machine, `pod_runner` as pods of a cluster.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from runwright_components.contract.cluster import ClusterRun
from tests.doubles.kfp import graph
from tests.doubles.kfp.store import Run, Task


@dataclass(frozen=True)
class Ending:
    """How an attempt ended; `error` is empty when it ended well."""

    code: int | None
    error: str = ""
    outputs: Mapping[str, Any] = field(default_factory=dict)
    """Values of output parameters."""
    metadata: Mapping[str, dict[str, Any]] = field(default_factory=dict)
    """Of output artifacts."""


class Runner(Protocol):
    """Carries out attempts. What is going on is in `task.step`, so that it is found again after a restart."""

    async def begin(self, run: Run) -> None:
        """What comes before the first task. Raises AttemptError."""

    async def start(self, run: Run, node: graph.Node, task: Task) -> None:
        """Start the attempt `task.attempts`: sets `task.step` and names its pod in `task.pods`. Raises AttemptError."""

    async def ended(self, run: Run, node: graph.Node, task: Task) -> Ending:
        """Wait for the end of the attempt in `task.step`."""

    async def stop(self, run: Run, task: Task) -> int | None:
        """Let what runs of a task put its things in order, and end it; its exit code."""

    async def kill(self, run: Run) -> None:
        """End everything of a run at once."""

    async def close(self) -> None:
        """The double ends."""


class AttemptError(Exception):
    """An attempt could not be made, nor would another be."""


def job(run: Run, task: Task) -> dict[str, str]:
    """What the placeholders of the job stand for."""
    return {
        "pipeline_job_uuid": run.id,
        "pipeline_job_name": run.name,
        "pipeline_job_resource_name": run.name,
        "pipeline_task_uuid": task.id,
        "pipeline_task_name": task.name,
    }


def inputs(run: Run, node: graph.Node, task: Task) -> dict[str, Any]:
    """Values of a task's parameters. Raises KeyError."""
    given = graph.arguments(run.spec, run.parameters)
    outputs = {one.name: one.outputs for one in run.tasks}
    return graph.values(node, arguments=given, outputs=outputs, job=job(run, task))


def namespace(run: Run, fixed: str | None) -> str:
    """Where the run's pods are: in a fixed one, in the run's own, or in that of the TrainingRun that it is about."""
    return fixed or run.namespace or _trainingruns(graph.arguments(run.spec, run.parameters))


def account(run: Run) -> str:
    return run.service_account or "pipeline-runner"


def _trainingruns(arguments: Mapping[str, Any]) -> str:
    text = arguments.get("cluster")
    return ClusterRun.model_validate_json(text).namespace if isinstance(text, str) and text else "default"
