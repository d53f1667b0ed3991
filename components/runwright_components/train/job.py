"""What a worker process is told, as a file: user strings never reach a command line or a shell."""

from __future__ import annotations

from pathlib import Path

from runwright_components.contract.artifacts import Document
from runwright_components.contract.config import TrainConfig

JOB = "job.json"
EVENTS = "events.jsonl"
AGENT_FAILURE = "agent.json"


class Nodes(Document):
    """This machine among those of a training that takes several: `rendezvous` is HOST:PORT of the first."""

    count: int
    rank: int
    rendezvous: str
    job: str  # the same name on all nodes


class Job(Document):
    """One training: paths are absolute; `folder` is where workers leave their events and failures for the stage."""

    config: TrainConfig
    prepared: str
    out: str
    checkpoints: str
    resume: bool
    stage: str = "train"
    folder: str = ""
    nodes: Nodes | None = None  # None: this machine alone


class Failure(Document):
    """Why a worker ended. `time` is seconds since the epoch: an attempt's first failure is the cause of its others."""

    rank: int
    attempt: int  # 0; restarts of the agent count up
    time: float
    reason: str
    message: str
    cure: str = ""
    where: str = ""


def read_failures(folder: Path) -> list[Failure]:
    """What workers left in `folder`: the latest attempt's first failure first."""
    found = [Failure.read(folder, path.name) for path in folder.glob("failure-*.json")]
    return sorted(found, key=lambda failure: (-failure.attempt, failure.time))


def leave_failure(folder: Path, failure: Failure) -> None:
    failure.write(folder, f"failure-{failure.attempt}-{failure.rank}.json")


class Death(Document):
    """How the elastic agent saw a worker end: `exit_code` is negative for a signal."""

    rank: int
    exit_code: int
    signal: str = ""
    log: str = ""
    time: float = 0.0


class Deaths(Document):
    workers: tuple[Death, ...]
