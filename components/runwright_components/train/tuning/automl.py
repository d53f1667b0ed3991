"""`automl: true`: model families and search space by the data and the time; pure.

Boosted trees and networks win on different tables (Grinsztajn et al. 2022; McElfresh et al. 2023), so both are tried:
the defaults of each family first, the cheapest before the others, then TPE over all of them. Ranges follow Holzmueller
et al. 2024 ("Better by Default") and Gorishniy et al. 2021, narrowed for short budgets.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from runwright_components.contract.artifacts import PreparedManifest
from runwright_components.contract.config import ConditionConfig, ParameterConfig, TrainConfig
from runwright_components.contract.config.trees import TREE_MODELS
from runwright_components.contract.outcome import Reason, StageError
from runwright_components.train.tuning.space import Values

FAMILY = "model.name"
# Cells (rows times inputs, and times inputs again where each looks at each) that one core trains a family on in a
# second, all epochs together, roughly. They only decide what is worth a try.
_CELLS_PER_SECOND = {"mlp": 20_000.0, "transformer": 4_000.0, "resnet": 60_000.0, "vit": 60_000.0}
_TRIALS_WANTED = 3  # of a family, within the time


def choose(data: PreparedManifest, config: TrainConfig) -> tuple[tuple[ParameterConfig, ...], list[Values]]:
    """The search space for these data, and the values to try first. Raises StageError for a task without families."""
    tune = config.tune
    assert tune is not None
    families = _families(data, tune.seconds or 0.0)
    if not families:
        raise StageError(
            Reason.INVALID_CONFIG,
            f"automl knows no models for {data.modality} {data.task}",
            where="tune.automl",
            cure="name a model in train.model, and give a tune.searchSpace",
        )
    space = [_choice(FAMILY, ("model", "name"), families)]
    for family in families:
        space.extend(_SPACES[family](family, data))
    return tuple(space), [_defaults(family, space) for family in families]


def _families(data: PreparedManifest, seconds: float) -> list[str]:
    """Those that the time allows, the cheapest first; the cheapest always stays."""
    if data.task not in ("classification", "regression"):
        return []
    known = {
        "tabular": ("lightgbm", "xgboost", "mlp", "transformer"),
        "image": ("cnn", "resnet", "vit"),
        "text": ("textcnn", "transformer"),
    }[data.modality]
    return [
        family for family in known if family == known[0] or _cost(family, data) * _TRIALS_WANTED <= max(seconds, 1.0)
    ]


def _cost(family: str, data: PreparedManifest) -> float:
    """Seconds of one training of a family, roughly."""
    speed = _CELLS_PER_SECOND.get(family)
    if speed is None:
        return 0.0
    rows, width = data.rows["train"], _width(data)
    looks = width * width / 8 if family == "transformer" and data.modality == "tabular" else width
    return rows * looks / speed


def _width(data: PreparedManifest) -> int:
    """Numbers of one row: inputs of a table, tokens of a text, pixels of an image."""
    width = 0
    for tensor in data.signature.tensors:
        size = 1
        for length in tensor.shape[1:]:
            size *= length or 64
        width += size
    return max(width, 1)


# -------------------------------------------------------- spaces


def _trees(family: str, data: PreparedManifest) -> Iterator[ParameterConfig]:
    yield _number(family, "model.trees.learning_rate", 0.01, 0.3, log=True)
    yield _number(family, "model.trees.row_fraction", 0.5, 1.0)
    yield _number(family, "model.trees.column_fraction", 0.4, 1.0)
    yield _number(family, "model.trees.l2", 1e-3, 10.0, log=True)
    if family == "lightgbm":
        yield _number(family, "model.trees.leaves", 4, 256, log=True, whole=True)
        most = max(4, min(100, data.rows["train"] // 20))
        yield _number(family, "model.trees.min_child_rows", 2, most, log=True, whole=True)
    else:
        yield _number(family, "model.trees.depth", 3, 10, whole=True)
        yield _number(family, "model.trees.min_child_weight", 0.01, 20.0, log=True)


def _network(family: str, data: PreparedManifest) -> Iterator[ParameterConfig]:
    yield _number(family, "learning_rate", 2e-4, 2e-2, log=True)
    yield _number(family, "weight_decay", 1e-5, 0.1, log=True)
    yield _number(family, "model.dropout", 0.0, 0.5)
    yield _choice("batch_size", ("batch_size",), _batches(data), family)


def _mlp(family: str, data: PreparedManifest) -> Iterator[ParameterConfig]:
    yield from _network(family, data)
    sizes = ([128, 128], [64, 64], [256, 256], [256, 256, 256], [512, 512])
    yield _choice("model.hidden", ("model", "hidden"), sizes, family)


def _deep(family: str, data: PreparedManifest) -> Iterator[ParameterConfig]:
    yield from _network(family, data)
    yield _choice("model.width", ("model", "width"), (64, 32, 128), family)
    yield _choice("model.depth", ("model", "depth"), (2, 1, 3), family)


_SPACES = {
    "lightgbm": _trees,
    "xgboost": _trees,
    "mlp": _mlp,
    "transformer": _deep,
    "cnn": _deep,
    "resnet": _deep,
    "vit": _deep,
    "textcnn": _deep,
}


def _batches(data: PreparedManifest) -> Sequence[int]:
    """Sizes that make at least a few dozen steps an epoch where there are so many rows, the default first."""
    rows = data.rows["train"]
    return (64, 32, 128) if rows < 20_000 else (256, 128, 512)


def _number(
    family: str, path: str, low: float, high: float, *, log: bool = False, whole: bool = False
) -> ParameterConfig:
    return ParameterConfig(
        key=f"{family}.{path.rpartition('.')[2]}",
        path=tuple(path.split(".")),
        type="int" if whole else "float",
        min=low,
        max=high,
        log=log,
        when=ConditionConfig(key=FAMILY, values=(family,)),
    )


def _choice(key: str, path: tuple[str, ...], choices: Sequence[Any], family: str | None = None) -> ParameterConfig:
    return ParameterConfig(
        key=f"{family}.{path[-1]}" if family else key,
        path=path,
        type="choice",
        choices=tuple(choices),
        when=ConditionConfig(key=FAMILY, values=(family,)) if family else None,
    )


# -------------------------------------------------------- what is tried first

_NUMBERS: dict[str, float] = {
    "learning_rate": 1e-3,
    "weight_decay": 0.01,
    "dropout": 0.1,
    "row_fraction": 0.75,
    "column_fraction": 1.0,
    "l2": 1.0,
    "leaves": 31,
    "min_child_rows": 20,
    "depth": 6,
    "min_child_weight": 0.1,
}


def _defaults(family: str, space: Sequence[ParameterConfig]) -> Values:
    """A family's usual values, within the space: the first choice, or the number above."""
    values: Values = {FAMILY: family}
    for one in space:
        if one.when is not None and family in one.when.values:
            values[one.key] = one.choices[0] if one.type == "choice" else _usual(family, one)
    return values


def _usual(family: str, one: ParameterConfig) -> float | int:
    name = one.path[-1]
    value = 0.05 if family in TREE_MODELS and name == "learning_rate" else _NUMBERS[name]
    value = min(max(value, one.min), one.max)
    return int(value) if one.type == "int" else value
