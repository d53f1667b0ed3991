"""Everything that decides how training goes on, and its way into a checkpoint and back."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from runwright_components.contract.artifacts import Epoch
from runwright_components.train import rng
from runwright_components.train.checkpoints import Checkpoint
from runwright_components.train.ranks import Ranks


@dataclass
class Cursor:
    """Where training stands. `batch` is the next step of `epoch`; both count from 0."""

    step: int = 0
    epoch: int = 0
    batch: int = 0
    epoch_seconds: float = 0.0
    total_seconds: float = 0.0
    best_loss: float | None = None
    best_epoch: int = 0
    stale: int = 0  # epochs since an improvement that early stopping counts
    reference: float | None = None  # the validation loss that the next improvement is measured from
    stopped: str = ""
    history: list[Epoch] = field(default_factory=list)


class TrainingState:
    """The module, the optimizer, the gradient scaler, the cursor and the best weights so far."""

    def __init__(
        self,
        module: nn.Module,
        optimizer: torch.optim.Optimizer,
        scaler: torch.amp.GradScaler | None,
        ranks: Ranks,
    ) -> None:
        self.module = module
        self.optimizer = optimizer
        self.scaler = scaler
        self.ranks = ranks
        self.cursor = Cursor()
        self.best: dict[str, Tensor] = {}
        self.loss_sum = torch.zeros((), dtype=torch.float64, device=ranks.device)  # of the epoch, over its rows

    def keep_best(self) -> None:
        self.best = {name: _copy(tensor) for name, tensor in self.module.state_dict().items()}

    def finite(self) -> bool:
        """Whether all weights are numbers still."""
        weights = [tensor for tensor in self.module.state_dict().values() if tensor.is_floating_point()]
        return bool(torch.isfinite(torch.stack(torch._foreach_norm(weights))).all())

    def capture(self, recipe: str) -> Checkpoint | None:
        """A copy of the state, on the device, that training no longer changes; every rank calls, rank 0 gets it."""
        random_states = {
            name: self.ranks.gather(state) for name, state in rng.capture(self.ranks.device).items()
        }  # fmt: skip
        loss_sums = self.ranks.gather(self.loss_sum.cpu().clone())
        if not self.ranks.main:
            return None
        tensors = {f"model/{name}": tensor for name, tensor in self.module.state_dict().items()}
        for index, values in self.optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer/{index}/{name}": value for name, value in values.items() if value is not None}
        tensors = {name: _copy(tensor) for name, tensor in tensors.items()}
        # The best weights are replaced as a whole, never changed in place, so they need no copy.
        tensors |= {f"best/{name}": tensor for name, tensor in self.best.items()}
        for name, states in random_states.items():
            tensors |= {f"rng/{rank}/{name}": state for rank, state in enumerate(states)}
        tensors |= {f"loss_sum/{rank}": total for rank, total in enumerate(loss_sums)}
        cursor = {**vars(self.cursor), "history": [epoch.model_dump() for epoch in self.cursor.history]}
        scaler = {} if self.scaler is None else self.scaler.state_dict()
        return Checkpoint(self.cursor.step, recipe, {"cursor": cursor, "scaler": scaler}, tensors)

    def restore(self, checkpoint: Checkpoint) -> None:
        """Go back to where `capture` was called, on every rank."""
        groups = _groups(checkpoint.tensors)
        self.module.load_state_dict(groups["model"])
        self.best = {name: tensor.to(self.ranks.device) for name, tensor in groups.get("best", {}).items()}
        state: dict[int, dict[str, Tensor]] = {}
        for path, tensor in groups.get("optimizer", {}).items():
            index, name = path.split("/", 1)
            state.setdefault(int(index), {})[name] = tensor
        self.optimizer.load_state_dict({**self.optimizer.state_dict(), "state": state})
        if self.scaler is not None:
            self.scaler.load_state_dict(checkpoint.state["scaler"])
        self.loss_sum.copy_(groups["loss_sum"][str(self.ranks.rank)])
        saved: dict[str, Any] = dict(checkpoint.state["cursor"])
        self.cursor = Cursor(**{**saved, "history": [Epoch.model_validate(epoch) for epoch in saved["history"]]})
        prefix = f"{self.ranks.rank}/"
        mine = {name.removeprefix(prefix): value for name, value in groups["rng"].items() if name.startswith(prefix)}
        rng.restore(mine, self.ranks.device)

    def load_best(self) -> None:
        """Give the module the best weights."""
        self.module.load_state_dict(self.best, strict=False)


def _copy(tensor: Tensor) -> Tensor:
    return tensor.detach().clone(memory_format=torch.contiguous_format)


def _groups(tensors: dict[str, Tensor]) -> dict[str, dict[str, Tensor]]:
    groups: dict[str, dict[str, Tensor]] = {}
    for path, tensor in tensors.items():
        group, name = path.split("/", 1)
        groups.setdefault(group, {})[name] = tensor
    return groups
