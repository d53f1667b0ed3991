"""What the train stage is told of boosted trees."""

from __future__ import annotations

from typing import Any, Self

from runwright_components.contract.config.base import Config, TaskKind

TREE_MODELS = ("xgboost", "lightgbm")

# Near the defaults that Holzmueller et al. 2024 (Better by Default, NeurIPS) found best on average over 118 tables, but
# fewer inputs a tree and smaller trees, which twelve tables of 300 to 12,000 rows preferred.
_DEFAULTS: dict[tuple[str, str], dict[str, float]] = {
    ("xgboost", "classification"): {
        "depth": 5, "row_fraction": 0.65, "column_fraction": 0.6, "min_child_weight": 0.3,
    },
    ("xgboost", "regression"): {
        "depth": 6, "row_fraction": 0.7, "column_fraction": 0.8, "min_child_weight": 2.0,
    },
    ("lightgbm", "classification"): {
        "leaves": 20, "row_fraction": 0.75, "column_fraction": 0.6, "min_child_weight": 0.3, "min_child_rows": 15,
    },
    ("lightgbm", "regression"): {
        "leaves": 31, "row_fraction": 0.7, "column_fraction": 0.8, "min_child_rows": 10,
    },
}  # fmt: skip


class TreesConfig(Config):
    """Sizes and rates of xgboost and lightgbm; both have them all but where it says so."""

    rounds: int = 1000  # each grows a tree for each class (one for two classes, or for a number)
    depth: int = 0  # 0: no limit
    leaves: int = 31  # lightgbm
    learning_rate: float = 0.05
    row_fraction: float = 1.0  # of the rows, drawn anew each round
    column_fraction: float = 1.0  # of the inputs, drawn anew for each tree
    l1: float = 0.0
    l2: float = 1.0
    min_child_weight: float = 1e-3  # sum of the second derivatives of the loss over a leaf
    min_child_rows: int = 20  # lightgbm
    min_gain: float = 0.0  # of the loss, by a split
    one_hot: int = 255  # columns of up to so many categories: one against the rest; of more: two sets
    bins: int = 255  # of the histogram of an input

    @classmethod
    def of(cls, name: str, task: TaskKind, **given: Any) -> Self:
        """The defaults of the model `name` for a task, but for what is given (None: not given)."""
        return cls.model_validate(
            {**_DEFAULTS[name, task], **{field: value for field, value in given.items() if value is not None}}
        )
