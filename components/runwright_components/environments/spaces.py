"""From the spaces of Gymnasium to the fields of an observation and the kinds of actions. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any

import numpy as np
from gymnasium import spaces

from runwright_components.contract.environment import Actions, Observation
from runwright_components.contract.outcome import Reason, StageError

MOST_FIELDS = 1024
RESERVED = frozenset(["episode", "step", "action", "reward", "row_id"])  # columns of what collect writes


def describe_observation(space: Any, metadata: Mapping[str, Any], *, where: str) -> Observation:
    """The fields of an observation; `metadata["observations"]` may name them. Raises StageError (Unsupported)."""
    match space:
        case spaces.Box() if _count(space):
            shape, sizes = space.shape, (0,) * _count(space)
        case spaces.Discrete():
            shape, sizes = (), (int(space.n),)
        case spaces.MultiDiscrete():
            shape, sizes = space.shape, tuple(int(size) for size in np.ravel(space.nvec))
        case spaces.MultiBinary():
            shape, sizes = space.shape, (2,) * _count(space)
        case _:
            raise _unsupported(
                f"observations of the space {type(space).__name__} cannot be learned from",
                where,
                "give Box, Discrete, MultiDiscrete or MultiBinary; gymnasium.wrappers.FlattenObservation makes a Box"
                " of a Dict or Tuple",
            )
    if len(sizes) > MOST_FIELDS:
        raise _unsupported(
            f"an observation has {len(sizes):,} numbers, more than the {MOST_FIELDS:,} that a policy takes as fields",
            where,
            "have the environment compute fewer numbers from them; pictures as observations are not learned from",
        )
    return Observation(shape=tuple(shape), names=_names(tuple(shape), len(sizes), metadata, where), sizes=sizes)


def describe_actions(space: Any, *, where: str) -> Actions:
    """The kind of actions. Raises StageError (Unsupported)."""
    match space:
        case spaces.Discrete():
            return Actions(kind="choice", shape=(), sizes=(int(space.n),), starts=(int(space.start),))
        case spaces.MultiDiscrete():
            sizes, starts = (tuple(int(one) for one in np.ravel(part)) for part in (space.nvec, space.start))
            return Actions(kind="choices", shape=space.shape, sizes=sizes, starts=starts)
        case spaces.MultiBinary():
            return Actions(kind="switches", shape=space.shape, sizes=(1,) * _count(space))
        case spaces.Box() if np.issubdtype(space.dtype, np.floating) and _count(space):
            return Actions(kind="numbers", shape=space.shape, low=_bounds(space.low), high=_bounds(space.high))
    raise _unsupported(
        f"actions of the space {type(space).__name__}{_dtype(space)} cannot be learned",
        where,
        "give Discrete, MultiDiscrete, MultiBinary, or a Box of floats",
    )


def flat_actions(actions: Actions) -> Any:
    """The space of the same actions without a shape, counted from 0: what an algorithm learns in."""
    match actions.kind:
        case "choice":
            return spaces.Discrete(actions.sizes[0])
        case "choices":
            return spaces.MultiDiscrete(np.array(actions.sizes))
        case "switches":
            return spaces.MultiBinary(len(actions.sizes))
    low, high = (
        np.array([open_end if bound is None else bound for bound in bounds], dtype=np.float32)
        for bounds, open_end in ((actions.low, -math.inf), (actions.high, math.inf))
    )
    return spaces.Box(low, high, dtype=np.float32)


def own_action(actions: Actions, action: Any) -> Any:
    """A flat action, counted from 0, as the environment takes it."""
    match actions.kind:
        case "choice":
            return int(action) + actions.starts[0]
        case "choices":
            return (np.asarray(action, dtype=np.int64) + np.array(actions.starts)).reshape(actions.shape)
        case "switches":
            return np.asarray(action, dtype=np.int8).reshape(actions.shape)
    return np.asarray(action, dtype=np.float32).reshape(actions.shape)


def flat_action(actions: Actions, action: Any) -> Any:
    """An action as the environment takes it, flat and counted from 0. Raises ValueError for one of another shape."""
    found = np.asarray(action)
    if found.size != math.prod(actions.shape):
        raise ValueError(f"an action has {math.prod(actions.shape)} numbers, not {found.size}")
    if actions.kind == "choice":
        return int(found.reshape(-1)[0]) - actions.starts[0]
    return found.reshape(-1) - np.array(actions.starts) if actions.kind == "choices" else found.reshape(-1)


def _count(space: Any) -> int:
    """Numbers of an observation or action."""
    found: int = math.prod(space.shape)
    return found


def _names(shape: tuple[int, ...], count: int, metadata: Mapping[str, Any], where: str) -> tuple[str, ...]:
    given = _given(metadata, count, where)
    if clash := sorted(RESERVED & set(given)):
        raise _unsupported(f"an observation's number cannot be called {clash[0]!r}", where, "give it another name")
    if given:
        return given
    places = product(*(range(size) for size in shape)) if shape else ((),)
    return tuple("_".join(["observation", *map(str, place)]) for place in places)


def _given(metadata: Mapping[str, Any], count: int, where: str) -> tuple[str, ...]:
    names = metadata.get("observations")
    if names is None:
        return ()
    listed = isinstance(names, Sequence) and not isinstance(names, str)
    if not listed or len({str(name) for name in names}) != len(names) or len(names) != count:
        raise _unsupported(
            f'metadata["observations"] does not give {count} different names', where, "give a list of names, or none"
        )
    return tuple(str(name) for name in names)


def _bounds(values: Any) -> tuple[float | None, ...]:
    return tuple(float(value) if math.isfinite(value) else None for value in np.ravel(values))


def _dtype(space: Any) -> str:
    return f" ({space.dtype})" if isinstance(space, spaces.Box) else ""


def _unsupported(message: str, where: str, cure: str) -> StageError:
    return StageError(Reason.UNSUPPORTED, message, where=where, cure=cure)
