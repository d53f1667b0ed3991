"""An agent's state as JSON and tensors, without pickle: networks, optimizers, replay buffer, running statistics."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from stable_baselines3.common.save_util import recursive_getattr
from stable_baselines3.common.vec_env import VecEnv, VecNormalize
from torch import Tensor

Tensors = dict[str, Tensor]
_COUNTERS = ("num_timesteps", "_n_updates", "_episode_num", "_n_calls")
_REPLAY = ("observations", "next_observations", "actions", "rewards", "dones", "timeouts")


def capture(agent: Any, together: VecEnv) -> tuple[dict[str, Any], Tensors]:
    """What continues the training elsewhere. Tensors are copies. Environments are not in it: they begin anew."""
    tensors: Tensors = {}
    state = {
        "parameters": _encode(agent.get_parameters(), "parameters", tensors),
        "counters": {name: getattr(agent, name) for name in _COUNTERS if hasattr(agent, name)},
        "episodes": [{key: float(value) for key, value in info.items()} for info in agent.ep_info_buffer or ()],
        "replay": None,
    }
    for name in agent._get_torch_save_params()[1]:
        tensors[f"variables.{name}"] = recursive_getattr(agent, name).detach().clone()
    if isinstance(together, VecNormalize):
        statistics: Any = together.obs_rms  # observations are no Dict
        tensors["normalizer.mean"] = torch.tensor(statistics.mean)
        tensors["normalizer.variance"] = torch.tensor(statistics.var)
        state["normalizer"] = float(statistics.count)
    if (replay := getattr(agent, "replay_buffer", None)) is not None:
        state["replay"] = {"place": replay.pos, "full": replay.full}
        for name in _REPLAY:
            tensors[f"replay.{name}"] = torch.tensor(getattr(replay, name)[: replay.size()])
    return state, tensors


def restore(agent: Any, together: VecEnv, state: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
    """Bring what `capture` gave into an agent of the same settings."""
    agent.set_parameters(_decode(state["parameters"], tensors), exact_match=True, device="cpu")
    for name, value in state["counters"].items():
        setattr(agent, name, value)
    agent.ep_info_buffer = deque(state["episodes"], maxlen=100)
    agent.ep_success_buffer = deque(maxlen=100)
    for name in agent._get_torch_save_params()[1]:
        with torch.no_grad():
            recursive_getattr(agent, name).copy_(tensors[f"variables.{name}"])
    if isinstance(together, VecNormalize):
        statistics: Any = together.obs_rms
        statistics.mean = tensors["normalizer.mean"].numpy()
        statistics.var = tensors["normalizer.variance"].numpy()
        statistics.count = state["normalizer"]
    if (replay := getattr(agent, "replay_buffer", None)) is not None and state["replay"] is not None:
        replay.pos, replay.full = state["replay"]["place"], state["replay"]["full"]
        for name in _REPLAY:
            saved = tensors[f"replay.{name}"].numpy()
            getattr(replay, name)[: len(saved)] = saved


def _encode(value: Any, name: str, tensors: Tensors) -> Any:
    """JSON in which each tensor is `{"tensor": NAME}`, and a mapping a list of pairs, for optimizers' keys are
    numbers."""
    if isinstance(value, Tensor | np.ndarray):
        tensors[name] = torch.as_tensor(value).detach().clone().contiguous()
        return {"tensor": name}
    if isinstance(value, Mapping):
        return {"pairs": [[key, _encode(item, f"{name}.{key}", tensors)] for key, item in value.items()]}
    if isinstance(value, list | tuple):
        return {"items": [_encode(item, f"{name}.{place}", tensors) for place, item in enumerate(value)]}
    return value


def _decode(value: Any, tensors: Mapping[str, Tensor]) -> Any:
    if not isinstance(value, Mapping):
        return value
    if "tensor" in value:
        return tensors[value["tensor"]]
    if "pairs" in value:
        return {key: _decode(item, tensors) for key, item in value["pairs"]}
    return [_decode(item, tensors) for item in value["items"]]
