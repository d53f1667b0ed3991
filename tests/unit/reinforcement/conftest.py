"""A small environment of the user's own, and its stages' folders, each made once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from runwright_components.collect import collect
from runwright_components.contract.config import (
    CollectConfig,
    EnvironmentConfig,
    ModelConfig,
    PrepareConfig,
    ReinforcementConfig,
    TrainConfig,
)
from runwright_components.contract.progress import silent
from runwright_components.prepare import prepare
from runwright_components.train import train

# A walk on a line to a place that a file names: `go` 0 or 1 moves it down or up.
WALK = """
from pathlib import Path

import gymnasium
import numpy as np


def straight(observation):
    return int(observation[0] < observation[1])


class Walk(gymnasium.Env):
    metadata = {"observations": ["place", "goal"]}

    def __init__(self, fault=""):
        self.fault = fault
        self.goal = float((Path(__file__).parent / "goal.txt").read_text())
        self.observation_space = gymnasium.spaces.Box(-50, 50, (2,))
        self.action_space = gymnasium.spaces.Discrete(2)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.place, self.steps = float(self.np_random.integers(-3, 4)), 0
        return self.seen(), {}

    def step(self, action):
        self.steps += 1
        if self.fault == "raises" and self.steps == 3:
            return 1 / 0
        self.place += 1 if action == 1 else -1
        reward = -abs(self.place - self.goal)
        if self.fault == "reward":
            reward = float("nan")
        if self.fault == "old":
            return self.seen(), reward, False, {}
        return self.seen(), reward, False, self.steps >= 12, {"is_success": abs(self.place - self.goal) <= 1}

    def seen(self):
        place = float("nan") if self.fault == "nan" and self.steps == 2 else self.place
        shape = (3,) if self.fault == "shape" else (2,)
        return np.resize(np.array([place, self.goal], dtype=np.float32), shape)
"""


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> Iterator[None]:
    """Networks this small are slower on several."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def environment(**fields: Any) -> EnvironmentConfig:
    usual: dict[str, Any] = {
        "file": "walk.py",
        "class_name": "Walk",
        "files": ("goal.txt",),
        "baseline": "straight",
        "reward_threshold": -30.0,
    }
    return EnvironmentConfig(**(usual | fields))


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("walk")
    (folder / "walk.py").write_text(WALK)
    (folder / "goal.txt").write_text("4")
    return folder


Prepared = Callable[[EnvironmentConfig], Path]


@pytest.fixture(scope="session")
def prepared(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    """`prepared(environment)`: the folder of prepared data, made once."""
    made: dict[str, Path] = {}

    def make(config: EnvironmentConfig) -> Path:
        if config.digest() not in made:
            folder = tmp_path_factory.mktemp("prepared")
            collected = CollectConfig(environment=config, base=str(base), episodes=4)
            collect(collected, out=folder / "raw", progress=silent())
            wanted = PrepareConfig(modality="environment", task="control", target="")
            prepare(wanted, raw=folder / "raw", out=folder / "prepared", progress=silent())
            made[config.digest()] = folder / "prepared"
        return made[config.digest()]

    return make


def config(**fields: Any) -> TrainConfig:
    """A training of a few hundred steps."""
    small: dict[str, Any] = {"timesteps": 400, "hidden": (8,), "environments": 2, "rollout_steps": 50, "epochs": 2}
    return TrainConfig(
        task="control",
        modality="environment",
        model=ModelConfig(name="policy"),
        reinforcement=ReinforcementConfig(**(small | fields)),
    )


@pytest.fixture(scope="session")
def walker(prepared: Prepared, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The model's folder of an agent that learned to walk, and its checkpoints beside it."""
    folder = tmp_path_factory.mktemp("walker")
    learned = config(timesteps=2000, learning_rate=0.01, batch_size=100, epochs=4)
    train(
        learned,
        prepared=prepared(environment()),
        out=folder / "model",
        checkpoints=folder / "checkpoints",
        resume=False,
        progress=silent(),
    )
    return folder / "model"
