"""A trial's values in the configuration of its training; pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import JsonValue, ValidationError

from runwright_components.contract.config import ParameterConfig, TrainConfig
from runwright_components.contract.config.trees import TREE_MODELS, TreesConfig
from runwright_components.contract.outcome import Reason, StageError

TREE_PATIENCE = 50  # rounds


def assign(config: TrainConfig, parameters: Sequence[ParameterConfig], values: Mapping[str, JsonValue]) -> TrainConfig:
    """The configuration with the values in their places, and without the search.

    Raises StageError (InvalidConfig) for values that make no configuration.
    """
    changed: dict[str, Any] = config.model_copy(update={"tune": None}).model_dump(mode="json")
    for one in parameters:
        if one.key in values:
            _put(changed, one.path, values[one.key])
    _choose_family(changed, config, chosen={one.path for one in parameters if one.key in values})
    changed["gradient_clip"] = changed["gradient_clip"] or None  # 0 does not clip, as in spec.train
    try:
        return TrainConfig.model_validate(changed)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise StageError(
            Reason.INVALID_CONFIG,
            f"{place}: {first['msg']}",
            where="tune.searchSpace",
            cure="take the value out of the search space",
        ) from error


def _choose_family(changed: dict[str, Any], config: TrainConfig, chosen: set[tuple[str, ...]]) -> None:
    """What a family of models needs that is not the configuration's own: trees have sizes and a patience of theirs."""
    model = changed["model"]
    if model["name"] not in TREE_MODELS:
        model["trees"] = None
    elif config.model.name != model["name"]:
        model["trees"] = TreesConfig.of(model["name"], config.task, **(model["trees"] or {})).model_dump()
        if changed["early_stopping"] is not None and ("early_stopping", "patience") not in chosen:
            changed["early_stopping"]["patience"] = TREE_PATIENCE


def _put(config: dict[str, Any], path: Sequence[str], value: JsonValue) -> None:
    *parts, last = path
    for part in parts:
        if config.get(part) is None:  # a part that is off, early stopping say, is on with its defaults
            config[part] = {}
        config = config[part]
    config[last] = value
