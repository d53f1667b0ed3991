"""LightGBM (Ke et al. 2017) by its native interface."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import lightgbm
import numpy as np

from runwright_components.train.boosting.forest import Forest, from_lightgbm
from runwright_components.train.boosting.library import BOOSTERS, Growth, Library, Output, Round, seeds
from runwright_components.train.boosting.table import Matrix

_NUDGE = 1e-9  # of the share of rows; far less than one row


class LightGbm(Library):
    """Leaf-wise histogram trees; categories are split by one against the rest, many into two sets."""

    file = BOOSTERS["lightgbm"]
    error = lightgbm.basic.LightGBMError

    def grow(self, growth: Growth, each: Callable[[Round], bool]) -> None:
        settings, categorical = _settings(growth), list(growth.columns.categorical)
        table = growth.training
        training = lightgbm.Dataset(
            table.matrix,
            label=table.target,
            weight=table.weight,
            categorical_feature=categorical,
            params=settings,
            free_raw_data=False,
        )
        validation = lightgbm.Dataset(
            growth.validation.matrix, label=growth.validation.target, reference=training, free_raw_data=False
        )
        outputs: dict[bool, Output] = {}

        def look(output: Output, data: lightgbm.Dataset) -> tuple[str, float, bool]:
            outputs[data is training] = output
            return "looked", 0.0, False

        numbers = iter(range(growth.done, growth.trees.rounds))

        def before(env: lightgbm.callback.CallbackEnv) -> None:
            booster: Any = env.model  # its type is also that of a cross validation's boosters
            booster.reset_parameter(_random(growth, next(numbers)))

        def after(env: lightgbm.callback.CallbackEnv) -> None:
            if each(Round(outputs[True], outputs[False], lambda: _text(env.model))):
                raise lightgbm.callback.EarlyStopException(env.iteration, [])

        before.before_iteration = True  # type: ignore[attr-defined]
        lightgbm.train(
            settings,
            training,
            growth.trees.rounds - growth.done,
            valid_sets=[training, validation],
            feval=look,
            init_model=_load(growth.start) if growth.start else None,
            callbacks=[before, after],
        )

    def first(self, content: bytes, rounds: int) -> bytes:
        text: str = _load(content).model_to_string(num_iteration=rounds)
        return text.partition("\nparameters:")[0].encode()  # those of the last round and of this machine

    def forest(self, content: bytes) -> Forest:
        return from_lightgbm(content.decode())

    def margins(self, content: bytes) -> Callable[[Matrix], Output]:
        booster = _load(content)

        def predict(matrix: Matrix) -> Output:
            return np.asarray(booster.predict(matrix, raw_score=True))

        return predict


def _load(content: bytes) -> lightgbm.Booster:
    return lightgbm.Booster(model_str=content.decode())


def _text(booster: Any) -> bytes:
    text: str = booster.model_to_string()
    return text.encode()


def _settings(growth: Growth) -> dict[str, Any]:
    trees = growth.trees
    if growth.task == "regression":
        objective: dict[str, Any] = {"objective": "regression"}
    elif growth.classes == 2:
        objective = {"objective": "binary"}
    else:
        objective = {"objective": "multiclass", "num_class": growth.classes}
    return {
        **objective,
        "metric": "None",
        "num_leaves": trees.leaves,
        "max_depth": trees.depth or -1,
        "learning_rate": trees.learning_rate,
        "bagging_fraction": trees.row_fraction,
        "bagging_freq": 1,
        "feature_fraction": trees.column_fraction,
        "lambda_l1": trees.l1,
        "lambda_l2": trees.l2,
        "min_sum_hessian_in_leaf": trees.min_child_weight,
        "min_data_in_leaf": trees.min_child_rows,
        "max_cat_to_onehot": trees.one_hot,
        "min_gain_to_split": trees.min_gain,
        "max_bin": trees.bins,
        "num_threads": growth.threads,
        "data_random_seed": growth.seed,
        "deterministic": True,
        "force_row_wise": True,
        "verbosity": -1,
    }


def _random(growth: Growth, number: int) -> dict[str, Any]:
    """Random states of a round that depend on its number alone.

    A new seed of the rows counts only together with a new share of them; so the share changes by less than a row.
    """
    rows, columns = seeds(growth.seed, number, 2)
    share = growth.trees.row_fraction
    nudged = share if share == 1 else share - _NUDGE * (1 + number % 2)
    return {"bagging_fraction": nudged, "bagging_seed": rows, "feature_fraction_seed": columns}
