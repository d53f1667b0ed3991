"""Agents: their policies are what Stable-Baselines3 would do, checkpoints continue them, and errors say the cure."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium import spaces

from runwright_components.contract.artifacts import HISTORY, History, ModelManifest
from runwright_components.contract.config import EnvironmentConfig, ReinforcementConfig
from runwright_components.contract.environment import Actions, EnvironmentDocument
from runwright_components.contract.outcome import Reason, StageError
from runwright_components.contract.progress import Event, Progress, silent
from runwright_components.environments.guard import Guarded
from runwright_components.environments.spaces import describe_actions, describe_observation
from runwright_components.train import train
from runwright_components.train.reinforcement.agent import acting_layers, build, choose, environments_of, settings_of
from runwright_components.train.reinforcement.policy import Policy, encode
from runwright_components.train.reinforcement.state import capture, restore
from tests.unit.reinforcement.conftest import Prepared, config, environment

NUMBERS = spaces.Box(np.array([-2.0, 0.0]), np.array([2.0, 1.0]), dtype=np.float64)
VECTOR = spaces.Box(-1, 1, (3,))


class _Still(gymnasium.Env[Any, Any]):
    """Any spaces, a reward by the action's sum, ten steps."""

    def __init__(self, observation: Any, action: Any) -> None:
        self.observation_space, self.action_space = observation, action

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        self.observation_space.seed(seed)
        self.steps = 0
        return self.observation_space.sample(), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        assert self.action_space.contains(np.asarray(action, self.action_space.dtype)), action
        self.steps += 1
        return self.observation_space.sample(), float(np.sum(action)), False, self.steps == 10, {}


def _agent(observation: Any, action: Any, algorithm: str, **fields: Any) -> tuple[Any, Any, Policy]:
    document = EnvironmentDocument(
        config=EnvironmentConfig(id="still"),
        observation=describe_observation(observation, {}, where=""),
        actions=describe_actions(action, where=""),
        max_steps=10,
    )
    small: dict[str, Any] = {"hidden": (8, 4), "batch_size": 16, "learning_starts": 20, "buffer_size": 200}
    on_policy = {"environments": 2, "rollout_steps": 20} if algorithm in ("ppo", "a2c") else {}
    asked = ReinforcementConfig(**(small | on_policy | fields))
    learned = asked.resolved(choose(algorithm, document.actions))
    settings = settings_of(learned, document)
    together = environments_of(learned, settings, lambda: Guarded(_Still(observation, action), document))
    return build(learned, settings, together, 0), together, Policy(settings).eval()


@pytest.mark.parametrize(
    ("observation", "action", "algorithm"),
    [
        (VECTOR, spaces.Discrete(3, start=1), "ppo"),
        (VECTOR, spaces.MultiDiscrete([2, 3]), "a2c"),
        (VECTOR, spaces.MultiBinary(3), "ppo"),
        (VECTOR, NUMBERS, "ppo"),
        (spaces.MultiDiscrete([3, 4]), spaces.Discrete(2), "dqn"),
        (VECTOR, NUMBERS, "sac"),
        (VECTOR, NUMBERS, "td3"),
    ],
)
def test_a_policy_acts_as_its_agent_would(observation: Any, action: Any, algorithm: str) -> None:
    agent, together, policy = _agent(observation, action, algorithm)
    agent.learn(60)
    normalizer = getattr(together, "obs_rms", None)
    policy.take(acting_layers(agent), normalizer and (normalizer.mean, normalizer.var))
    seen = np.stack([np.asarray(observation.sample(), np.float32) for _ in range(40)])
    inputs = encode(torch.from_numpy(seen), policy.settings.observation).numpy()
    if normalizer is not None:
        inputs = together.normalize_obs(inputs)
    theirs, _ = agent.predict(inputs, deterministic=True)
    np.testing.assert_allclose(policy.act(seen), theirs, atol=1e-5)


@pytest.mark.parametrize(
    ("action", "algorithm"),
    [(spaces.Discrete(2), "ppo"), (spaces.Discrete(2), "a2c"), (spaces.Discrete(2), "dqn"), (NUMBERS, "sac"),
     (NUMBERS, "td3")],
)  # fmt: skip
def test_a_state_is_json_and_tensors_and_comes_back(action: Any, algorithm: str) -> None:
    agent, together, _ = _agent(VECTOR, action, algorithm)
    agent.learn(60)
    state, tensors = capture(agent, together)
    state = json.loads(json.dumps(state))
    other, others, _ = _agent(VECTOR, action, algorithm)
    restore(other, others, state, tensors)
    again, same = capture(other, others)
    assert json.loads(json.dumps(again)) == state
    assert same.keys() == tensors.keys()
    assert all(torch.equal(same[name], tensors[name]) for name in tensors)
    assert other.num_timesteps == agent.num_timesteps
    other.learn(20, reset_num_timesteps=False)


@pytest.mark.parametrize(
    ("space", "auto", "refused"),
    [
        (spaces.Discrete(2), "ppo", "sac"),
        (spaces.MultiBinary(2), "ppo", "dqn"),
        (NUMBERS, "sac", "dqn"),
        (spaces.Box(-np.inf, np.inf, (1,)), "ppo", "td3"),
    ],
)
def test_the_algorithm_fits_the_actions(space: Any, auto: str, refused: str) -> None:
    actions: Actions = describe_actions(space, where="")
    assert choose("auto", actions) == auto
    with pytest.raises(StageError, match=f"{refused} cannot learn actions that are") as caught:
        choose(refused, actions)
    assert caught.value.where == "train.reinforcement.algorithm"
    assert auto in caught.value.cure


def test_a_rollout_of_one_step_is_refused() -> None:
    with pytest.raises(StageError, match="a rollout of one step"):
        _agent(VECTOR, spaces.Discrete(2), "ppo", environments=1, rollout_steps=1)


def test_an_agent_learns_to_walk(walker: Path) -> None:
    manifest, history = ModelManifest.read(walker), History.read(walker, HISTORY)
    assert manifest.model.algorithm == "ppo"
    assert manifest.model.hidden == (8,)
    assert manifest.steps >= 2000
    assert history.stopped == "steps"
    best = max(epoch.validation_metric for epoch in history.epochs)
    assert history.epochs[history.best_epoch - 1].validation_metric == best
    assert best > history.returns[0][1]
    assert not [path for path in walker.rglob("*") if path.suffix in (".zip", ".pkl", ".pth")]


def test_it_stops_as_soon_as_it_is_good_enough(prepared: Prepared, tmp_path: Path) -> None:
    easy = config(timesteps=100_000, stop_at=-1e9, algorithm="a2c")
    train(
        easy,
        prepared=prepared(environment()),
        out=tmp_path / "model",
        checkpoints=tmp_path / "checkpoints",
        resume=False,
        progress=silent(),
    )
    history = History.read(tmp_path / "model", HISTORY)
    assert history.stopped == "early"
    assert history.epochs[-1].step < 3000


class _StoppedError(Exception):
    pass


@pytest.mark.parametrize("algorithm", ["ppo", "dqn"])
def test_a_killed_training_continues(algorithm: str, prepared: Prepared, tmp_path: Path) -> None:
    learned = config(algorithm=algorithm, timesteps=600, buffer_size=500, batch_size=20)

    def run(*, resume: bool, progress: Progress) -> ModelManifest:
        return train(
            learned,
            prepared=prepared(environment()),
            out=tmp_path / "model",
            checkpoints=tmp_path / "checkpoints",
            resume=resume,
            progress=progress,
        )

    def killed(event: Event) -> None:
        if event.kind == "epoch" and event.done == 2:
            if algorithm == "dqn":
                raise _StoppedError
            os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises((_StoppedError, StageError)) as caught:
        run(resume=False, progress=Progress("train", sink=killed))
    if isinstance(caught.value, StageError):
        assert caught.value.reason is Reason.CANCELLED
        assert "is kept" in caught.value.message
    notes: list[str] = []
    run(resume=True, progress=Progress("train", sink=lambda event: notes.append(event.message)))
    history = History.read(tmp_path / "model", HISTORY)
    assert 0 < history.resumed_from_step < 600
    assert f"continuing after step {history.resumed_from_step}, in new episodes" in notes
    steps = [epoch.step for epoch in history.epochs]
    assert steps == sorted(steps)
    assert steps[0] < history.resumed_from_step < steps[-1]


def test_a_checkpoint_of_other_settings_is_refused(walker: Path, prepared: Prepared, tmp_path: Path) -> None:
    with pytest.raises(StageError) as caught:
        train(
            config(timesteps=2001),
            prepared=prepared(environment()),
            out=tmp_path / "model",
            checkpoints=walker.parent / "checkpoints",
            resume=True,
            progress=silent(),
        )
    assert caught.value.reason is Reason.CHECKPOINT_INVALID


def test_a_rate_far_too_high_is_told(prepared: Prepared, tmp_path: Path) -> None:
    with pytest.raises(StageError) as caught:
        train(
            config(timesteps=2000, learning_rate=99.0, activation="relu", algorithm="a2c", hidden=(64, 64, 64)),
            prepared=prepared(EnvironmentConfig(id="Pendulum-v1")),
            out=tmp_path / "model",
            checkpoints=tmp_path / "checkpoints",
            resume=False,
            progress=silent(),
        )
    assert caught.value.reason is Reason.TRAINING_DIVERGED
    assert "lower it (now 99)" in caught.value.cure
