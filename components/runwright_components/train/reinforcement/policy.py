"""The network that acts: the part of an agent that is served, without what it needed to learn."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from itertools import groupby
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file
from torch import Tensor, nn

from runwright_components.contract.artifacts import WEIGHTS, Document
from runwright_components.contract.environment import Actions, Observation
from runwright_components.features.environment import OBSERVATION

POLICY = "policy.json"
CLIP = 10.0  # of standardized observations
_ACTIVATIONS: dict[str, type[nn.Module]] = {"tanh": nn.Tanh, "relu": nn.ReLU}


class PolicySettings(Document):
    """What builds the network that the weights fit. `squashed`: actions are brought between their bounds by a
    hyperbolic tangent, else cut there; `normalized`: observations are standardized first."""

    observation: Observation
    actions: Actions
    hidden: tuple[int, ...]
    activation: Literal["tanh", "relu"]
    normalized: bool
    squashed: bool


class Policy(nn.Module):
    """From observations float32 [N, F] to the best known actions; nothing is drawn by chance."""

    mean: Tensor
    deviation: Tensor
    low: Tensor
    high: Tensor

    def __init__(self, settings: PolicySettings) -> None:
        super().__init__()
        self.settings = settings
        width, actions = settings.observation.width, settings.actions
        if settings.normalized:
            self.register_buffer("mean", torch.zeros(width))
            self.register_buffer("deviation", torch.ones(width))
        if actions.kind == "numbers":
            self.register_buffer("low", _bounds(actions.low, -torch.inf), persistent=False)
            self.register_buffer("high", _bounds(actions.high, torch.inf), persistent=False)
        layers: list[nn.Module] = []
        for size in settings.hidden:
            layers += [nn.Linear(width, size), _ACTIVATIONS[settings.activation]()]
            width = size
        self.layers = nn.Sequential(*layers, nn.Linear(width, actions.outputs))

    def forward(self, observation: Tensor) -> tuple[Tensor, ...]:
        """The actions and, of choices, what each option got: the latter last, for it says more."""
        inputs = encode(observation, self.settings.observation)
        if self.settings.normalized:
            inputs = ((inputs - self.mean) / self.deviation).clamp(-CLIP, CLIP)
        found = self.layers(inputs)
        actions = self.settings.actions
        match actions.kind:
            case "choice":
                return found.argmax(dim=1), found
            case "choices":
                return torch.stack([part.argmax(dim=1) for part in found.split(actions.sizes, dim=1)], dim=1), found
            case "switches":
                return (found > 0).to(torch.int64), found
        if self.settings.squashed:
            return (self.low + 0.5 * (torch.tanh(found) + 1) * (self.high - self.low),)
        return (torch.maximum(torch.minimum(found, self.high), self.low),)

    def act(self, observations: NDArray[np.float32]) -> NDArray[Any]:
        """Actions of observations float32 [N, F], counted from 0."""
        with torch.inference_mode():
            found: NDArray[Any] = self(torch.from_numpy(observations))[0].numpy()
        return found

    def take(self, layers: Iterable[nn.Module], normalizer: tuple[Any, Any] | None) -> None:
        """Take over the weights of `layers`, and mean and variance of the observations."""
        with torch.no_grad():
            own = (layer for layer in self.layers if isinstance(layer, nn.Linear))
            for mine, theirs in zip(own, (one for one in layers if isinstance(one, nn.Linear)), strict=True):
                mine.weight.copy_(theirs.weight)
                mine.bias.copy_(theirs.bias)
            if normalizer is not None:
                mean, variance = normalizer
                self.mean.copy_(torch.as_tensor(mean))
                self.deviation.copy_(torch.sqrt(torch.as_tensor(variance) + 1e-8))


def encode(observation: Tensor, fields: Observation) -> Tensor:
    """A network's inputs float32 [N, width]: numbers as they are, a code as one of its places set to 1."""
    if not any(fields.sizes):
        return observation
    parts, place = [], 0
    for size, group in groupby(fields.sizes):
        count = len(list(group))
        part = observation[:, place : place + count]
        if size:
            part = (part[:, :, None] == torch.arange(size, dtype=part.dtype)).flatten(1).to(part.dtype)
        parts.append(part)
        place += count
    return torch.cat(parts, dim=1)


def load_policy(folder: Path) -> Policy:
    """The policy of a model's folder or package."""
    policy = Policy(PolicySettings.read(folder, POLICY))
    policy.load_state_dict(load_file(folder / WEIGHTS))
    return policy.eval()


def native(folder: Path) -> Callable[[Mapping[str, NDArray[Any]]], NDArray[Any]]:
    """The policy's last output for the graph's inputs, from its weights."""
    policy = load_policy(folder)

    def answer(inputs: Mapping[str, NDArray[Any]]) -> NDArray[Any]:
        with torch.inference_mode():
            found: NDArray[Any] = policy(torch.from_numpy(inputs[OBSERVATION]))[-1].numpy()
        return found

    return answer


def _bounds(bounds: tuple[float | None, ...], without: float) -> Tensor:
    return torch.tensor([without if bound is None else bound for bound in bounds])
