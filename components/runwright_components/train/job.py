"""What a worker process is told, as a file: user strings never reach a command line or a shell."""

from __future__ import annotations

from runwright_components.contract.artifacts import Document
from runwright_components.contract.config import TrainConfig

JOB = "job.json"
EVENTS = "events.jsonl"
AGENT_FAILURE = "agent.json"


class Job(Document):
    """One training: paths are absolute; `folder` is where workers leave their events and failures for the stage."""

    config: TrainConfig
    prepared: str
    out: str
    checkpoints: str
    resume: bool
    stage: str = "train"
    folder: str = ""


class Failure(Document):
    """Why a worker ended. `time` is seconds since the epoch: the first failure is the cause of the others."""

    rank: int
    time: float
    reason: str
    message: str
    cure: str = ""
    where: str = ""


class Death(Document):
    """How the elastic agent saw a worker end: `exit_code` is negative for a signal."""

    rank: int
    exit_code: int
    signal: str = ""
    log: str = ""
    time: float = 0.0


class Deaths(Document):
    workers: tuple[Death, ...]
