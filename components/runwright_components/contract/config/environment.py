"""What the stages are told of an environment, and how an agent learns in it."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from runwright_components.contract.config.base import Config

Algorithm = Literal["ppo", "a2c", "dqn", "sac", "td3"]
ON_POLICY: tuple[Algorithm, ...] = ("ppo", "a2c")
STEP_LIMIT = 10_000  # of an episode, where neither the user nor the environment has one


class EnvironmentConfig(Config):
    """Either `id`, registered with Gymnasium, or `file` and `class_name`."""

    id: str | None = None
    file: str | None = None  # a path relative to the TrainingRun's, or s3://
    class_name: str | None = None
    files: tuple[str, ...] = ()  # what the file reads, found by name in its own folder
    arguments: dict[str, str | int | float | bool] = Field(default={})
    baseline: str | None = None  # a function of the file: observation -> action
    max_steps: int | None = None  # None: the environment's own, or STEP_LIMIT
    reward_threshold: float | None = None  # None: the environment's own

    @property
    def name(self) -> str:
        """What messages call it."""
        return self.id or f"{self.class_name} of {self.file}"


class ReinforcementConfig(Config):
    """How an agent learns. None stands for the algorithm's own default; `resolved` fills it in."""

    algorithm: Literal["auto", "ppo", "a2c", "dqn", "sac", "td3"] = "auto"
    timesteps: int = 100_000
    environments: int | None = None
    stop_at: float | None = None
    hidden: tuple[int, ...] | None = None
    activation: Literal["tanh", "relu"] | None = None
    normalize: bool | None = None
    learning_rate: float | None = None
    schedule: Literal["constant", "linear"] = "constant"
    discount: float = 0.99
    batch_size: int | None = None
    rollout_steps: int | None = None
    epochs: int = 10
    clip_range: float = 0.2
    gae_lambda: float | None = None
    entropy: float = 0.0
    buffer_size: int = 100_000
    learning_starts: int = 100
    train_every: int | None = None
    gradient_steps: int = 1
    target_every: int = 10_000
    exploration: float = 0.1
    least_exploration: float = 0.05
    action_noise: float = 0.1

    def resolved(self, algorithm: Algorithm) -> ReinforcementConfig:
        """The same with `algorithm`, and its defaults where nothing was given."""
        usual = DEFAULTS[algorithm]
        open_fields = {name: value for name, value in usual.items() if getattr(self, name) is None}
        return self.model_copy(update={"algorithm": algorithm, **open_fields})


_ON_POLICY: dict[str, Any] = {"environments": 8, "hidden": (64, 64), "activation": "tanh", "normalize": True}
_OFF_POLICY: dict[str, Any] = {"environments": 1, "activation": "relu", "normalize": False}
DEFAULTS: dict[Algorithm, dict[str, Any]] = {
    "ppo": {**_ON_POLICY, "learning_rate": 3e-4, "batch_size": 64, "rollout_steps": 256, "gae_lambda": 0.95},
    "a2c": {**_ON_POLICY, "learning_rate": 7e-4, "rollout_steps": 5, "gae_lambda": 1.0},
    "dqn": {**_OFF_POLICY, "hidden": (64, 64), "learning_rate": 1e-4, "batch_size": 32, "train_every": 4},
    "sac": {**_OFF_POLICY, "hidden": (256, 256), "learning_rate": 3e-4, "batch_size": 256, "train_every": 1},
    "td3": {**_OFF_POLICY, "hidden": (400, 300), "learning_rate": 1e-3, "batch_size": 256, "train_every": 1},
}
"""Defaults of Stable-Baselines3 (Raffin et al. 2021), but for the environments side by side of ppo and a2c, whose
rollouts together have as many steps."""
