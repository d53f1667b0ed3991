"""An environment that is held to what Gymnasium promises: what it raises or gives wrongly ends with a clear error."""

from __future__ import annotations

import math
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from runwright_components.contract.environment import EnvironmentDocument
from runwright_components.contract.outcome import Reason, StageError
from runwright_components.environments.spaces import flat_actions, own_action

WHERE = "train.environment"
Floats = NDArray[np.float32]


class Guarded(gymnasium.Env[Floats, Any]):
    """`environment` with flat observations, float32 [F], a code as its number, and flat actions counted from 0.

    `reset` and `step` raise StageError (UserCodeError) that says what the environment did wrong, and when.
    An episode is cut at the document's `max_steps`. `own_observation` is the latest one as the environment gave it.
    """

    metadata = {}  # noqa: RUF012 - Gymnasium's own

    def __init__(self, environment: Any, document: EnvironmentDocument) -> None:
        self.environment = environment
        self.observation, self.actions = document.observation, document.actions
        self.own_observation: Any = None
        self.observation_space = spaces.Box(-math.inf, math.inf, (len(self.observation.names),), np.float32)
        self.action_space = flat_actions(self.actions)
        self._name, self._most = document.config.name, document.max_steps
        self._steps = 0

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Floats, dict[str, Any]]:
        self._steps = 0
        if seed is not None:
            self.action_space.seed(seed)
        answer = self._call(lambda: self.environment.reset(seed=seed, options=options))
        if not isinstance(answer, tuple) or len(answer) != 2:
            raise self._fault("reset() does not return (observation, info)", "return both, as Gymnasium's Env does")
        return self._flat(answer[0]), dict(answer[1])

    def step(self, action: Any) -> tuple[Floats, float, bool, bool, dict[str, Any]]:
        self._steps += 1
        answer = self._call(lambda: self.environment.step(own_action(self.actions, action)))
        if not isinstance(answer, tuple) or len(answer) != 5:
            raise self._fault(
                "step() does not return (observation, reward, terminated, truncated, info)",
                "return all five, as Gymnasium's Env does; a single `done` is the old interface",
            )
        observation, reward, terminated, truncated, info = answer
        try:
            number = float(reward)
        except (TypeError, ValueError) as error:
            raise self._fault(f"the reward is no number but {reward!r}", "give a float") from error
        if not math.isfinite(number):
            raise self._fault(f"the reward is {number}", "give finite rewards")
        return (
            self._flat(observation),
            number,
            bool(terminated),
            bool(truncated) or self._steps >= self._most,
            dict(info),
        )

    def chance(self) -> Any:
        """An action by chance, from the seed of the latest reset on."""
        return self.action_space.sample()

    def close(self) -> None:
        self.environment.close()

    def _call(self, what: Callable[[], Any]) -> Any:
        try:
            return what()
        except StageError:  # a signal that asks to stop
            raise
        except Exception as error:
            raise self._fault(f"it raised {_told(error)}", "mend the environment") from error

    def _flat(self, observation: Any) -> Floats:
        self.own_observation = observation
        try:
            found = np.asarray(observation, dtype=np.float64)
        except (TypeError, ValueError) as error:
            raise self._fault("an observation is not made of numbers", "give what observation_space says") from error
        if found.shape != self.observation.shape:
            raise self._fault(
                f"an observation has the shape {found.shape}, its observation_space says {self.observation.shape}",
                "give observations of the space",
            )
        flat = found.reshape(-1)
        if not np.isfinite(flat).all() or any(self.observation.sizes):
            self._check(flat)
        return flat.astype(np.float32)

    def _check(self, flat: NDArray[np.float64]) -> None:
        for name, value, size in zip(self.observation.names, flat.tolist(), self.observation.sizes, strict=True):
            if not math.isfinite(value):
                raise self._fault(f"{name} of the observation is {value}", "give finite observations")
            if size and (value != int(value) or not 0 <= value < size):
                raise self._fault(f"{name} of the observation is {value:g}, not 0 to {size - 1}", "stay in the space")

    def _fault(self, message: str, cure: str) -> StageError:
        when = f"in step {self._steps} of an episode" if self._steps else "at the start of an episode"
        return StageError(Reason.USER_CODE, f"{self._name}, {when}: {message}", where=WHERE, cure=cure)


def _told(error: Exception) -> str:
    """The error with the place in the code where it was raised."""
    frames = traceback.extract_tb(error.__traceback__)
    place = f" ({Path(frames[-1].filename).name}, line {frames[-1].lineno})" if frames else ""
    return f"{type(error).__name__}: {str(error).strip() or 'no message'}{place}"
