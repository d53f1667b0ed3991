"""What came of a search for hyperparameters: `tuning.json` in the folder of the best trial's model."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import Field, JsonValue

from runwright_components.contract.artifacts import Document
from runwright_components.contract.config.tune import Direction

TUNING = "tuning.json"
SEARCH = "tuning"  # folder of a search, in the checkpoints'
JOURNAL = "study.journal"  # in SEARCH: the study
STUDY_URL_ENV = "RUNWRIGHT_STUDY_URL"  # in a cluster: the address of the database that keeps the study; a secret


def trial_name(number: int) -> str:
    """Name of a trial's folder."""
    return f"trial-{number:05d}"


TrialState = Literal["complete", "pruned", "failed", "stopped"]


class Trial(Document):
    """One trial. `value` is the metric of a complete one; `seconds` is its time on its workers."""

    number: int
    state: TrialState
    values: dict[str, JsonValue]
    value: float | None = None
    epochs: int = 0
    seconds: float = 0.0
    message: str = ""  # why it failed


class Axis(Document):
    """One parameter of the search space, as it is drawn: a range, or labels."""

    key: str
    log: bool = False
    min: float | None = None
    max: float | None = None
    choices: tuple[JsonValue, ...] = ()


class Tuning(Document):
    metric: str
    direction: Direction
    algorithm: str
    pruning: str
    automl: bool = False
    best: int  # number of the trial whose model went on
    trials: tuple[Trial, ...]
    axes: tuple[Axis, ...]
    importance: dict[str, float] = Field(default={})  # shares by parameter; empty for too few trials
    ended: str = ""  # which limit ended the search
    seconds: float = 0.0

    @property
    def winner(self) -> Trial:
        return next(trial for trial in self.trials if trial.number == self.best)

    def brief(self) -> dict[str, Any]:
        """What a record keeps of the search."""
        best = self.winner
        return {"metric": self.metric, "value": best.value, "trials": len(self.trials), "values": best.values}


def tuning_of(model: Path) -> Tuning | None:
    """The search that the model in `model` came from; None for a training by itself. Raises StageError."""
    return Tuning.read(model, TUNING) if (model / TUNING).exists() else None
