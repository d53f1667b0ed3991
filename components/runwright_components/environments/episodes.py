"""Whole episodes, side by side, whatever decides: a policy, chance, or a rule of thumb."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runwright_components.contract.outcome import Reason, StageError
from runwright_components.environments.guard import WHERE, Floats, Guarded
from runwright_components.environments.opening import Rule
from runwright_components.environments.spaces import flat_action

MOST_SIDE_BY_SIDE = 64
Decide = Callable[[Floats, Sequence[Guarded]], Sequence[Any] | NDArray[Any]]
"""From observations float32 [N, F] of N environments to an action each."""


@dataclass
class Episodes:
    """Sums of rewards, steps and successes of N episodes; success is None where the environment tells none
    (`info["is_success"]`). `steps` holds (episode, step, observation, action, reward) of the first steps recorded."""

    returns: NDArray[np.float64]
    lengths: NDArray[np.int64]
    successes: list[bool | None]
    steps: list[tuple[int, int, Floats, Any, float]] = field(default_factory=list)


def play(
    make: Callable[[], Guarded],
    decide: Decide,
    seeds: Sequence[int],
    *,
    recorded: int = 0,
    told: Callable[[int], None] = lambda _done: None,
) -> Episodes:
    """Play an episode from each of `seeds` to its end. The same seeds give the same episodes where the environment and
    `decide` draw nothing else. `recorded` first steps of each are kept; `told` hears how many episodes are over."""
    count = len(seeds)
    found = Episodes(np.zeros(count), np.zeros(count, dtype=np.int64), [None] * count)
    for start in range(0, count, MOST_SIDE_BY_SIDE):
        _play_some(make, decide, range(start, min(start + MOST_SIDE_BY_SIDE, count)), seeds, found, recorded)
        told(min(start + MOST_SIDE_BY_SIDE, count))
    found.steps.sort(key=lambda step: step[:2])
    return found


def _play_some(
    make: Callable[[], Guarded],
    decide: Decide,
    numbers: range,
    seeds: Sequence[int],
    found: Episodes,
    recorded: int,
) -> None:
    playing = [(number, make()) for number in numbers]
    everyone = [environment for _, environment in playing]
    try:
        observations = [environment.reset(seed=seeds[number])[0] for number, environment in playing]
        while playing:
            actions = decide(np.stack(observations), [environment for _, environment in playing])
            going, seen = [], []
            for (number, environment), before, action in zip(playing, observations, actions, strict=True):
                after, reward, terminated, truncated, info = environment.step(action)
                if found.lengths[number] < recorded:
                    found.steps.append((number, int(found.lengths[number]), before, action, reward))
                found.returns[number] += reward
                found.lengths[number] += 1
                if terminated or truncated:
                    success = info.get("is_success")
                    found.successes[number] = None if success is None else bool(success)
                else:
                    going.append((number, environment))
                    seen.append(after)
            playing, observations = going, seen
    finally:
        for environment in everyone:
            environment.close()


def by_chance(_observations: Floats, environments: Sequence[Guarded]) -> list[Any]:
    """Each environment's own draw, which its seed decides."""
    return [environment.chance() for environment in environments]


def by_rule(rule: Rule, name: str) -> Decide:
    """What the user's function says. It raises StageError (UserCodeError) when the function does, or gives no
    action."""

    def decide(_observations: Floats, environments: Sequence[Guarded]) -> list[Any]:
        try:
            return [flat_action(each.actions, rule(each.own_observation)) for each in environments]
        except Exception as error:
            raise StageError(
                Reason.USER_CODE,
                f"the baseline {name} raised {type(error).__name__}: {error}",
                where=f"{WHERE}.baseline",
                cure="have it take an observation and return an action of the environment's action_space",
            ) from error

    return decide
