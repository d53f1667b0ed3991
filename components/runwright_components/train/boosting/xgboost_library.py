"""XGBoost (Chen and Guestrin 2016) by its native interface."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import xgboost

from runwright_components.train.boosting.forest import Forest, from_xgboost
from runwright_components.train.boosting.library import BOOSTERS, Growth, Library, Output, Round, seeds
from runwright_components.train.boosting.table import Columns, Matrix, Table


class XGBoost(Library):
    """Histogram trees; categories are split by one against the rest, many into two sets (Fisher 1958)."""

    file = BOOSTERS["xgboost"]
    error = xgboost.core.XGBoostError

    def grow(self, growth: Growth, each: Callable[[Round], bool]) -> None:
        types = _types(growth.columns)
        training = _matrix(xgboost.QuantileDMatrix, growth.training, types, max_bin=growth.trees.bins)
        validation = _matrix(xgboost.DMatrix, growth.validation, types)
        settings = _settings(growth)
        booster = xgboost.Booster(settings, [training, validation])
        if growth.start:
            booster.load_model(bytearray(growth.start))
            booster.set_param(settings)
        random = growth.trees.row_fraction < 1 or growth.trees.column_fraction < 1
        for number in range(growth.done, growth.trees.rounds):
            if random:
                _seed(booster, seeds(growth.seed, number, 1)[0])
            booster.update(training, number)
            ended = Round(
                booster.predict(training), booster.predict(validation), lambda: bytes(booster.save_raw("ubj"))
            )
            if each(ended):
                return

    def first(self, content: bytes, rounds: int) -> bytes:
        return bytes(_load(content)[:rounds].save_raw("ubj"))

    def forest(self, content: bytes) -> Forest:
        return from_xgboost(json.loads(_load(content).save_raw("json")))

    def margins(self, content: bytes) -> Callable[[Matrix], Output]:
        booster = _load(content)

        def predict(matrix: Matrix) -> Output:
            data = xgboost.DMatrix(matrix, feature_types=booster.feature_types, enable_categorical=True)
            return booster.predict(data, output_margin=True)

        return predict


def _load(content: bytes) -> xgboost.Booster:
    booster = xgboost.Booster()
    booster.load_model(bytearray(content))
    return booster


def _types(columns: Columns) -> list[str]:
    return ["q"] * columns.numeric + ["c"] * len(columns.sizes)


def _matrix(kind: Any, table: Table, types: list[str], **settings: Any) -> Any:
    return kind(
        table.matrix,
        label=table.target,
        weight=table.weight,
        feature_types=types,
        enable_categorical=True,
        **settings,
    )


def _settings(growth: Growth) -> dict[str, Any]:
    trees = growth.trees
    if growth.task == "regression":
        objective: dict[str, Any] = {"objective": "reg:squarederror"}
    elif growth.classes == 2:
        objective = {"objective": "binary:logistic"}
    else:
        objective = {"objective": "multi:softprob", "num_class": growth.classes}
    return {
        **objective,
        "tree_method": "hist",
        "max_depth": trees.depth,
        "learning_rate": trees.learning_rate,
        "subsample": trees.row_fraction,
        "colsample_bytree": trees.column_fraction,
        "reg_alpha": trees.l1,
        "reg_lambda": trees.l2,
        "min_child_weight": trees.min_child_weight,
        "max_cat_to_onehot": trees.one_hot + 1,  # below it, and code 0 is the unseen category
        "gamma": trees.min_gain,
        "max_bin": trees.bins,
        "nthread": growth.threads,
        "seed_per_iteration": True,
        "verbosity": 0,
    }


def _seed(booster: xgboost.Booster, seed: int) -> None:
    """Give the round random states that depend on `seed` alone.

    The sampler of columns draws its seed when its updater is made and goes on from there; naming another tree method
    and then this one makes a new updater. (Asking for the rounds applies the settings.)
    """
    booster.set_param({"tree_method": "approx", "seed": seed})
    booster.num_boosted_rounds()
    booster.set_param({"tree_method": "hist"})
