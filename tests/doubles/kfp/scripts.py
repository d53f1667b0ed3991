"""How simulated steps and the pods of a training behave, as a test wants it.

    POST /double/scripts    {"scripts": [{"run": "penguins", "metrics": {"accuracy": 0.7}}, {"pods": [...]}]}

What is given last comes first. The first script whose conditions all hold is used; one without conditions fits
everything.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from runwright_components.contract.cluster import ClusterRun, StageFault
from runwright_components.contract.config import TrainConfig
from runwright_components.contract.files import write_bytes
from runwright_components.contract.step import StageName

SCRIPTS = "scripts.json"


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Pods(_Part):
    """How the pods of one attempt at a training end; see the Stages of the cluster tier."""

    run_ms: int | None = 500
    """None: they run until someone deletes them."""
    exit_code: int = 0
    reason: str = ""
    """Of the container's end, such as OOMKilled; empty: Completed or Error."""
    message: str = ""
    """The termination message."""
    preempt_after_ms: int | None = None
    """Evict the first pod after so long."""
    annotations: dict[str, str] = {}
    """Further ones that the Stages of the cluster tier know, such as sim/waiting."""


class Failing(_Part):
    """A stage that fails."""

    fault: StageFault
    exit_code: int = 10


class Script(_Part):
    """One behaviour."""

    run: str | None = None
    """Condition: name of the TrainingRun."""
    namespace: str | None = None
    revision: int | None = None
    recipe: str | None = None
    learning_rate: float | None = None

    salt: str = ""
    """Makes other models of the same configurations."""
    metrics: dict[str, float] = {}
    """Added to the default figures."""
    seconds: dict[StageName, float] = {}
    """How long simulated stages take."""
    failing: dict[StageName, Failing] = {}
    """Simulated stages that fail."""
    pods: list[Pods] = Field(default=[Pods()], min_length=1)
    """One entry an attempt at the training; the last one counts for all that follow."""

    def fits(self, run: ClusterRun, config: TrainConfig | None) -> bool:
        pairs = (
            (self.run, run.name),
            (self.namespace, run.namespace),
            (self.revision, run.revision),
            (self.recipe, run.recipe),
            (self.learning_rate, config.learning_rate if config else None),
        )
        return all(condition is None or condition == actual for condition, actual in pairs)

    def pods_of(self, attempt: int) -> Pods:
        """`attempt` counts from 0."""
        return self.pods[min(attempt, len(self.pods) - 1)]


class Scripts(_Part):
    """All of them, in order."""

    scripts: list[Script] = []

    @classmethod
    def read(cls, path: Path) -> Scripts:
        return cls.model_validate_json(path.read_bytes()) if path.exists() else cls()

    def save(self, path: Path) -> None:
        write_bytes(path, self.model_dump_json().encode())

    def of(self, run: ClusterRun, config: TrainConfig | None) -> Script:
        return next((script for script in self.scripts if script.fits(run, config)), Script())


def train_config(parameters: Mapping[str, object]) -> TrainConfig | None:
    """The training's configuration out of the parameters of the task that trains."""
    text = parameters.get("train_config") or parameters.get("config")
    return TrainConfig.model_validate_json(text) if isinstance(text, str) and text else None
