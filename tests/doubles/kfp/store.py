"""Runs and experiments on disk, one file each, so that a restarted double goes on where it was."""

from __future__ import annotations

import time
import uuid
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel

from runwright_components.contract.files import write_bytes

State = Literal["", "PENDING", "RUNNING", "CANCELING", "SUCCEEDED", "SKIPPED", "FAILED", "CANCELED", "PAUSED"]
ENDED: tuple[State, ...] = ("SUCCEEDED", "SKIPPED", "FAILED", "CANCELED")


class Moment(BaseModel):
    """An entry of a state's history."""

    state: State
    time: float


class Step(BaseModel):
    """The process of a task's attempt. `started` is the process's start in clock ticks since the machine's: with the
    id it names a process for good."""

    pid: int
    started: int
    folder: str


class PodStep(BaseModel):
    """The pod of a task's attempt."""

    namespace: str
    pod: str


class Task(BaseModel):
    """One task of a run."""

    id: str
    name: str
    state: State = "PENDING"
    created: float
    started: float = 0
    finished: float = 0
    pods: list[str] = []
    attempts: int = 0
    exit_code: int | None = None
    error: str = ""
    step: Step | PodStep | None = None
    outputs: dict[str, Any] = {}
    """Values of output parameters."""
    metadata: dict[str, dict[str, Any]] = {}
    """Of output artifacts."""
    artifacts: dict[str, str] = {}
    """Addresses of output artifacts, of a task that ran in a pod."""


class Run(BaseModel):
    """One run; `state` is empty while the server has not said any."""

    id: str
    experiment_id: str
    namespace: str = ""
    name: str
    description: str = ""
    service_account: str = ""
    spec: dict[str, Any]
    platform: dict[str, Any] = {}
    parameters: dict[str, Any] = {}
    pipeline_root: str = ""
    created: float
    finished: float = 0
    state: State = ""
    archived: bool = False
    error: str = ""
    tasks: list[Task] = []
    history: list[Moment] = []

    def enter(self, state: State) -> None:
        """Change the state, and note when."""
        if state != self.state:
            self.state = state
            self.history.append(Moment(state=state, time=time.time()))
        if state in ENDED:
            self.finished = time.time()


class Experiment(BaseModel):
    """A group of runs; its name is unique in its namespace."""

    id: str
    name: str
    namespace: str = ""
    description: str = ""
    created: float
    last_run: float = 0
    archived: bool = False


class Store:
    """Everything in memory, and each change on disk before it is answered."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.experiments: dict[str, Experiment] = {}
        self.runs: dict[str, Run] = {}
        for path in sorted(folder.glob("experiments/*.json")):
            experiment = Experiment.model_validate_json(path.read_bytes())
            self.experiments[experiment.id] = experiment
        for path in sorted(folder.glob("runs/*/run.json")):
            run = Run.model_validate_json(path.read_bytes())
            self.runs[run.id] = run

    def run_folder(self, run_id: str) -> Path:
        return self.folder / "runs" / run_id

    def save(self, thing: Run | Experiment) -> None:
        if isinstance(thing, Run):
            self.runs[thing.id] = thing
            path = self.run_folder(thing.id) / "run.json"
        else:
            self.experiments[thing.id] = thing
            path = self.folder / "experiments" / f"{thing.id}.json"
        write_bytes(path, thing.model_dump_json().encode())

    def remove(self, thing: Run | Experiment) -> None:
        if isinstance(thing, Run):
            (self.run_folder(thing.id) / "run.json").unlink(missing_ok=True)
            self.runs.pop(thing.id, None)
        else:
            (self.folder / "experiments" / f"{thing.id}.json").unlink(missing_ok=True)
            self.experiments.pop(thing.id, None)


def new_id() -> str:
    return str(uuid.uuid4())
