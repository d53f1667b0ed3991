"""Everything that decides how training goes on, and its way into a checkpoint and back."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from runwright_components.contract.artifacts import Epoch
from runwright_components.train import rng
from runwright_components.train.averaging import Average
from runwright_components.train.checkpoints import Checkpoint, Snapshot
from runwright_components.train.ranks import Ranks
from runwright_components.train.shards import Layout, is_sharded, local


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
    step_rows: int = 0  # rows of a step, over all ranks: the same when their number changes
    history: list[Epoch] = field(default_factory=list)


class TrainingState:
    """The module, the optimizer, the gradient scaler, the averaged weights, the cursor and the best weights so far."""

    def __init__(
        self,
        module: nn.Module,
        optimizer: torch.optim.Optimizer,
        scaler: torch.amp.GradScaler | None,
        ranks: Ranks,
        average: Average | None = None,
    ) -> None:
        self.module = module
        self.optimizer = optimizer
        self.scaler = scaler
        self.ranks = ranks
        self.average = average
        self.cursor = Cursor()
        self.best: dict[str, Tensor] = {}
        self.loss_sum = torch.zeros((), dtype=torch.float64, device=ranks.device)  # of the epoch, over its rows

    def averaged(self) -> contextlib.AbstractContextManager[None]:
        """The module has the weights that count, the average where there is one, for the time of the block."""
        return contextlib.nullcontext() if self.average is None else self.average.applied()

    def keep_best(self) -> None:
        with self.averaged():
            self.best = {name: _copy(tensor) for name, tensor in self.module.state_dict().items()}

    def finite(self) -> bool:
        """Whether all weights are numbers still, wherever they are; every rank calls."""
        weights = [local(tensor) for tensor in self.module.state_dict().values() if tensor.is_floating_point()]
        bad = ~torch.isfinite(torch.stack(torch._foreach_norm(weights))).all()
        return not self.ranks.sum(bad.to("cpu", torch.int32)).item()

    def capture(self, recipe: str) -> Snapshot | None:
        """A copy of the state, on the device, that training no longer changes. Every rank calls; of a state that all
        have whole, rank 0 gets it, of a sharded one each gets its part."""
        random_states = {
            name: self.ranks.gather(state) for name, state in rng.capture(self.ranks.device).items()
        }  # fmt: skip
        loss_sums = self.ranks.gather(self.loss_sum.cpu().clone())
        live = self._live()
        sharded = any(map(is_sharded, live.values()))
        if not (sharded or self.ranks.main):
            return None
        # The best weights are replaced as a whole, never changed in place, so they need no copy.
        tensors = _copies(live) | {f"best/{name}": tensor for name, tensor in self.best.items()}
        if self.ranks.main:
            for name, states in random_states.items():
                tensors |= {f"rng/{rank}/{name}": state for rank, state in enumerate(states)}
            tensors |= {f"loss_sum/{rank}": total for rank, total in enumerate(loss_sums)}
        else:
            tensors = {name: tensor for name, tensor in tensors.items() if is_sharded(tensor)}
        cursor = {**vars(self.cursor), "history": [epoch.model_dump() for epoch in self.cursor.history]}
        scaler = {} if self.scaler is None else self.scaler.state_dict()
        state = {"cursor": cursor, "scaler": scaler, "world": self.ranks.world, "tensor": self.ranks.tensor}
        return Snapshot(self.cursor.step, recipe, state, tensors, sharded)

    def restore(self, found: Checkpoint) -> int:
        """Go back to where `capture` was called, on every rank. Returns how many ranks there were then: with as many
        now, training goes on bit by bit; with others, each rank has a random state derived from that of rank 0."""
        world: int = found.state["world"]
        same = (world, found.state.get("tensor", 1)) == (self.ranks.world, self.ranks.tensor)
        rank = self.ranks.rank if same else 0
        moments = self._moments(found.layout)
        best = {
            name: torch.empty_like(tensor)
            for name, tensor in self.module.state_dict().items()
            if f"best/{name}" in found.layout.tensors
        }
        states = {
            name: found.blank(f"rng/{rank}/{name}") for name in rng.capture(self.ranks.device)
        }  # fmt: skip
        sums = {f"loss_sum/{rank}": found.blank(f"loss_sum/{rank}") for rank in range(world)}
        tensors = self._live() | {f"best/{name}": tensor for name, tensor in best.items()}
        tensors |= {f"rng/{rank}/{name}": tensor for name, tensor in states.items()} | sums
        found.fill(tensors | {f"optimizer/{name}/{key}": tensor for (name, key), tensor in moments.items()})
        self.best = best
        self._load_moments(moments)
        if self.scaler is not None:
            self.scaler.load_state_dict(found.state["scaler"])
        saved: dict[str, Any] = dict(found.state["cursor"])
        self.cursor = Cursor(**{**saved, "history": [Epoch.model_validate(epoch) for epoch in saved["history"]]})
        rng.restore(states, self.ranks.device)
        if same:
            self.loss_sum.copy_(sums[f"loss_sum/{rank}"])
        else:
            self.loss_sum.fill_(sum(total.item() for total in sums.values()) / self.ranks.world)
            rng.derive(self.ranks.replica)
        return world

    def _live(self) -> dict[str, Tensor]:
        """What training changes in place, by its names in a checkpoint."""
        tensors = {f"model/{name}": tensor for name, tensor in self.module.state_dict().items()}
        names: dict[Tensor, str] = {parameter: name for name, parameter in self.module.named_parameters()}
        for parameter, values in self.optimizer.state.items():
            name = names[parameter]
            tensors |= {f"optimizer/{name}/{key}": value for key, value in values.items() if value is not None}
        if self.average is not None:
            tensors |= {f"average/{name}": tensor for name, tensor in self.average.weights.items()}
        return tensors

    def _moments(self, layout: Layout) -> dict[tuple[str, str], Tensor]:
        """Room for the optimizer's state, by parameter and key; shared out as the parameter is."""
        parameters = dict(self.module.named_parameters())
        room = {}
        for path, found in layout.tensors.items():
            if path.startswith("optimizer/"):
                name, key = path.removeprefix("optimizer/").rsplit("/", 1)
                parameter = parameters[name].detach()
                like = found.shape == tuple(parameter.shape)
                room[name, key] = (
                    torch.empty_like(parameter, dtype=found.torch_dtype)
                    if like
                    else torch.empty(found.shape, dtype=found.torch_dtype)
                )
        return room

    def _load_moments(self, moments: dict[tuple[str, str], Tensor]) -> None:
        names = {parameter: name for name, parameter in self.module.named_parameters()}
        order = [names[parameter] for group in self.optimizer.param_groups for parameter in group["params"]]
        state: dict[int, dict[str, Tensor]] = {}
        for (name, key), tensor in moments.items():
            state.setdefault(order.index(name), {})[key] = tensor
        self.optimizer.load_state_dict({**self.optimizer.state_dict(), "state": state})

    def load_best(self) -> None:
        """Give the module the best weights."""
        self.module.load_state_dict(self.best, strict=False)


def _copy(tensor: Tensor) -> Tensor:
    return tensor.detach().clone(memory_format=torch.contiguous_format)


def _copies(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Copies on the device, which take little time; where there is no room, in the machine's memory."""
    try:
        return {name: _copy(tensor) for name, tensor in tensors.items()}
    except torch.OutOfMemoryError:
        return {name: tensor.detach().cpu() for name, tensor in tensors.items()}
