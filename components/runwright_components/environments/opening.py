"""Environments by their id in Gymnasium's registry, or from the user's file."""

from __future__ import annotations

import difflib
import importlib.util
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from types import ModuleType
from typing import Any

import gymnasium

from runwright_components.contract.config.environment import STEP_LIMIT, EnvironmentConfig
from runwright_components.contract.environment import ENVIRONMENT, FILES, EnvironmentDocument
from runwright_components.contract.files import file_digest
from runwright_components.contract.outcome import Reason, StageError
from runwright_components.environments.guard import WHERE, Guarded
from runwright_components.environments.spaces import describe_actions, describe_observation

Rule = Callable[[Any], Any]
"""From an observation, as the environment gives it, to an action, as the environment takes it."""


def survey(config: EnvironmentConfig, folder: Path) -> EnvironmentDocument:
    """Open the environment, whose files lie in `folder`, and tell what it is. Raises StageError."""
    environment = _make(config, folder)
    try:
        limit = config.max_steps or getattr(environment.spec, "max_episode_steps", None) or STEP_LIMIT
        threshold = config.reward_threshold
        if threshold is None:
            threshold = getattr(environment.spec, "reward_threshold", None)
        metadata = environment.metadata or {}
        return EnvironmentDocument(
            config=config,
            observation=describe_observation(environment.observation_space, metadata, where=WHERE),
            actions=describe_actions(environment.action_space, where=WHERE),
            max_steps=int(limit),
            reward_threshold=threshold,
            gymnasium=version("gymnasium"),
        )
    finally:
        environment.close()


def read_environment(folder: Path) -> tuple[EnvironmentDocument, Callable[[], Guarded]]:
    """What lies in an artifact's folder, and what makes the environment of it. Raises StageError."""
    document = EnvironmentDocument.read(folder, ENVIRONMENT)
    return document, lambda: open_guarded(document, folder / FILES)


def open_guarded(document: EnvironmentDocument, folder: Path) -> Guarded:
    """The environment, its episodes cut at `max_steps`. Raises StageError."""
    return Guarded(_make(document.config, folder), document)


def rule_of_thumb(config: EnvironmentConfig, folder: Path) -> Rule | None:
    """The function that `baseline` names. Raises StageError when the file has none of that name."""
    if config.baseline is None or config.file is None:
        return None
    found: Rule = _member(_module(config.file, folder), config.file, config.baseline, "baseline", callable)
    return found


def _make(config: EnvironmentConfig, folder: Path) -> Any:
    if config.file is None:
        return _registered(config)
    assert config.class_name is not None
    module = _module(config.file, folder)
    made = _member(module, config.file, config.class_name, "class", lambda value: isinstance(value, type))
    environment = _started(lambda: made(**config.arguments), config)
    if not isinstance(environment, gymnasium.Env):
        raise _invalid(f"{config.class_name} is not a gymnasium.Env", "class", "derive it: class NAME(gymnasium.Env)")
    for space in ("observation_space", "action_space"):
        if not isinstance(getattr(environment, space, None), gymnasium.Space):
            raise _invalid(f"{config.class_name} sets no {space}", "class", "set it in __init__")
    return environment


def _registered(config: EnvironmentConfig) -> Any:
    assert config.id is not None
    try:
        gymnasium.spec(config.id)
    except (gymnasium.error.Error, ModuleNotFoundError) as error:
        known = sorted(gymnasium.registry)
        near = difflib.get_close_matches(config.id, known, 3, cutoff=0.6)
        cure = f"did you mean {', '.join(near)}?" if near else f"Gymnasium knows {', '.join(known[:12])}, ..."
        raise _invalid(f"Gymnasium has no environment {config.id!r}", "id", cure) from error
    settings: dict[str, Any] = {"disable_env_checker": True, "max_episode_steps": config.max_steps, **config.arguments}
    return _started(lambda: gymnasium.make(str(config.id), **settings), config)


def _started(make: Callable[[], Any], config: EnvironmentConfig) -> Any:
    """What `make` gives; its errors say what to look at."""
    try:
        return make()
    except gymnasium.error.DependencyNotInstalled as error:
        raise StageError(
            Reason.UNSUPPORTED,
            f"{config.name} needs a package that is not installed: {error}",
            where=WHERE,
            cure="install it where training runs, or choose another environment",
        ) from error
    except Exception as error:
        raise _invalid(
            f"{config.name} cannot be made: {type(error).__name__}: {error}", "arguments", "look at its arguments"
        ) from error


def _module(file: str, folder: Path) -> ModuleType:
    """The user's file as a module, once a content."""
    path = folder / Path(file).name
    name = f"runwright_environment_{file_digest(path).removeprefix('sha256:')[:16]}_{abs(hash(str(path)))}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None  # noqa: PT018 - a .py file has both
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses and typing look their module up
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        del sys.modules[name]
        raise StageError(
            Reason.USER_CODE,
            f"{Path(file).name} cannot be imported: {type(error).__name__}: {error}",
            where=f"{WHERE}.file",
            cure="mend the file; a module that it imports must be installed where training runs",
        ) from error
    return module


def _member(module: ModuleType, file: str, name: str, field: str, fits: Callable[[Any], bool]) -> Any:
    found = getattr(module, name, None)
    if not fits(found):
        own = [key for key, value in vars(module).items() if not key.startswith("_") and fits(value)]
        near = difflib.get_close_matches(name, own, 1)
        cure = f"did you mean {near[0]}?" if near else f"it has {', '.join(own[:12]) or 'none'}"
        raise _invalid(f"{Path(file).name} has no {name}", field, cure)
    return found


def _invalid(message: str, field: str, cure: str) -> StageError:
    return StageError(Reason.INVALID_CONFIG, message, where=f"{WHERE}.{field}", cure=cure)
