"""How a boosting goes: its curves, its best round, and when it ends. Pure."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, Self, cast

from runwright_components.contract.artifacts import Epoch
from runwright_components.contract.config import EarlyStopping

Stopped = Literal["epochs", "early"]


@dataclass
class Course:
    """Rounds count from 1. The best round has the lowest validation loss; early stopping counts from `reference`."""

    best_loss: float = math.inf
    best_round: int = 0
    reference: float = math.inf
    stale: int = 0
    stopped: Stopped | None = None
    history: list[Epoch] = field(default_factory=list)

    @property
    def rounds(self) -> int:
        return len(self.history)

    @property
    def seconds(self) -> float:
        return sum(epoch.seconds for epoch in self.history)

    def add(self, epoch: Epoch, stopping: EarlyStopping | None, rounds: int) -> None:
        """Take a round in; `rounds` is how many there may be."""
        self.history.append(epoch)
        loss = epoch.validation_loss
        if loss < self.best_loss:
            self.best_loss, self.best_round = loss, epoch.epoch
        if stopping is None or loss < self.reference - stopping.min_delta:
            self.reference, self.stale = loss, 0
        else:
            self.stale += 1
        if stopping is not None and self.stale >= stopping.patience:
            self.stopped = "early"
        elif self.rounds >= rounds:
            self.stopped = "epochs"

    def as_json(self) -> dict[str, Any]:
        """For a checkpoint, which is not written before the first round."""
        return {**asdict(self), "history": [epoch.model_dump() for epoch in self.history]}

    @classmethod
    def of_json(cls, state: dict[str, Any]) -> Self:
        history = [Epoch.model_validate(epoch) for epoch in state["history"]]
        return cls(**{**state, "stopped": cast("Stopped | None", state["stopped"]), "history": history})
