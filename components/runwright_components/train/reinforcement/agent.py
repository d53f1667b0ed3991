"""Agents of Stable-Baselines3: which algorithm learns such actions, with which settings, in which environments."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import gymnasium
import numpy as np
import torch
from gymnasium import spaces
from stable_baselines3 import A2C, DQN, PPO, SAC, TD3
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.noise import NormalActionNoise
from stable_baselines3.common.vec_env import DummyVecEnv, VecEnv, VecNormalize
from torch import nn

from runwright_components.contract.config import ReinforcementConfig
from runwright_components.contract.config.environment import ON_POLICY, Algorithm
from runwright_components.contract.environment import Actions, EnvironmentDocument
from runwright_components.contract.outcome import Reason, StageError
from runwright_components.environments.guard import Floats, Guarded
from runwright_components.train.reinforcement.policy import CLIP, PolicySettings, encode

Agent = Any  # Stable-Baselines3's BaseAlgorithm, whose subclasses share little that is typed
_CLASSES: dict[str, Any] = {"ppo": PPO, "a2c": A2C, "dqn": DQN, "sac": SAC, "td3": TD3}
_FITTING: dict[str, tuple[Algorithm, ...]] = {
    "choice": ("ppo", "a2c", "dqn"),
    "choices": ("ppo", "a2c"),
    "switches": ("ppo", "a2c"),
    "numbers": ("ppo", "a2c"),
    "bounded numbers": ("sac", "td3", "ppo", "a2c"),
}
"""Algorithms by the kind of actions, the default first."""
_KINDS = {
    "choice": "one of several",
    "choices": "several choices at once",
    "switches": "switches",
    "numbers": "numbers without bounds",
    "bounded numbers": "bounded numbers",
}


def choose(wanted: str, actions: Actions) -> Algorithm:
    """The algorithm: the one that is wanted, or for `auto` the default of such actions. Raises StageError
    (InvalidConfig) for one that cannot learn them."""
    kind = "bounded numbers" if actions.kind == "numbers" and actions.bounded else actions.kind
    fitting = _FITTING[kind]
    found = fitting[0] if wanted == "auto" else next((one for one in fitting if one == wanted), None)
    if found is None:
        raise StageError(
            Reason.INVALID_CONFIG,
            f"{wanted} cannot learn actions that are {_KINDS[kind]}",
            where="train.reinforcement.algorithm",
            cure=f"use {', '.join(fitting)}, or leave it to `auto`",
        )
    return found


def settings_of(config: ReinforcementConfig, environment: EnvironmentDocument) -> PolicySettings:
    """The policy that `config`, resolved, asks for. Codes are never standardized."""
    assert config.hidden is not None
    assert config.activation is not None
    return PolicySettings(
        observation=environment.observation,
        actions=environment.actions,
        hidden=config.hidden,
        activation=config.activation,
        normalized=bool(config.normalize) and not any(environment.observation.sizes),
        squashed=config.algorithm in ("sac", "td3"),
    )


class _Encoded(gymnasium.ObservationWrapper[Floats, Any, Floats]):
    """Observations as the inputs of a network."""

    def __init__(self, environment: Guarded) -> None:
        super().__init__(environment)
        self._fields = environment.observation
        self.observation_space = spaces.Box(-np.inf, np.inf, (self._fields.width,), np.float32)

    def observation(self, observation: Floats) -> Floats:
        found: Floats = encode(torch.from_numpy(observation)[None], self._fields)[0].numpy()
        return found


def environments_of(config: ReinforcementConfig, settings: PolicySettings, make: Callable[[], Guarded]) -> VecEnv:
    """The environments that are stepped side by side, with the standardization of their observations."""

    def one() -> Any:
        guarded = make()
        return Monitor(_Encoded(guarded) if any(settings.observation.sizes) else guarded)

    together = DummyVecEnv([one] * (config.environments or 1))
    return VecNormalize(together, norm_reward=False, clip_obs=CLIP) if settings.normalized else together


def build(config: ReinforcementConfig, settings: PolicySettings, together: VecEnv, seed: int) -> Agent:
    """An agent that has learned nothing yet. Raises StageError for sizes that do not fit together."""
    given: dict[str, Any] = {
        "learning_rate": _rate(config),
        "gamma": config.discount,
        "policy_kwargs": {
            "net_arch": list(settings.hidden),
            "activation_fn": {"tanh": nn.Tanh, "relu": nn.ReLU}[settings.activation],
        },
    }
    if config.algorithm in ON_POLICY:
        given |= {"n_steps": config.rollout_steps, "gae_lambda": config.gae_lambda, "ent_coef": config.entropy}
    else:
        given |= {
            "buffer_size": config.buffer_size,
            "learning_starts": config.learning_starts,
            "train_freq": config.train_every,
            "gradient_steps": config.gradient_steps,
            "batch_size": config.batch_size,
        }
    if config.algorithm == "ppo":
        if together.num_envs * (config.rollout_steps or 1) < 2:
            raise StageError(
                Reason.INVALID_CONFIG,
                "ppo cannot learn from a rollout of one step",
                where="train.reinforcement.rolloutSteps",
                cure="raise rolloutSteps or environments",
            )
        given |= {"n_epochs": config.epochs, "clip_range": config.clip_range, "batch_size": config.batch_size}
    if config.algorithm == "dqn":
        given |= {
            "target_update_interval": config.target_every,
            "exploration_fraction": config.exploration,
            "exploration_final_eps": config.least_exploration,
        }
    if config.algorithm == "td3":  # Stable-Baselines3 scales actions to -1 to 1 before it adds the noise
        count = settings.actions.outputs
        given["action_noise"] = NormalActionNoise(np.zeros(count), np.full(count, config.action_noise))
    return _CLASSES[config.algorithm]("MlpPolicy", together, seed=seed, device="cpu", **given)


def acting_layers(agent: Agent) -> Iterable[nn.Module]:
    """The layers from an observation to an action, in order."""
    policy = agent.policy
    if hasattr(policy, "action_net"):
        return [*policy.mlp_extractor.policy_net, policy.action_net]
    if hasattr(policy, "q_net"):
        return list(policy.q_net.q_net)
    actor = policy.actor
    return [*actor.latent_pi, actor.mu] if hasattr(actor, "latent_pi") else list(actor.mu)


def _rate(config: ReinforcementConfig) -> Any:
    rate = config.learning_rate or 0.0
    return rate if config.schedule == "constant" else lambda left: rate * left
