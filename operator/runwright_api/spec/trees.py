"""`spec.train.model.trees`: gradient-boosted trees, and what of a network's training they do not have."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BaseModel, Field
from pydantic.alias_generators import to_camel

from runwright_api.part import Part, Rule, fill, given, none_given_cel

TREE_MODELS = ("xgboost", "lightgbm")
PATIENCE = 50
"""Rounds without improvement that end a boosting, unless earlyStopping.patience says otherwise."""


class Trees(Part):
    """Sizes and rates of xgboost and lightgbm."""

    rounds: Annotated[int, Field(ge=1, le=100_000)] = 1000
    """At most this many rounds of boosting; a round grows a tree for each class. Default: 1000."""
    depth: Annotated[int | None, Field(ge=0, le=64)] = None
    """Most splits from root to leaf; 0: no limit. Default: xgboost 5, for regression 6; lightgbm 0."""
    leaves: Annotated[int | None, Field(ge=2, le=65_536)] = None
    """lightgbm: most leaves of a tree. Default: 20, for regression 31."""
    learning_rate: Annotated[float, Field(gt=0.0, le=1.0)] = 0.05
    """Share of each tree that counts. Default: 0.05."""
    row_fraction: Annotated[float | None, Field(gt=0.0, le=1.0)] = None
    """Share of the rows that a round sees. Default: xgboost 0.65, lightgbm 0.75, for regression 0.7."""
    column_fraction: Annotated[float | None, Field(gt=0.0, le=1.0)] = None
    """Share of the inputs that a tree sees. Default: 0.6, for regression 0.8."""
    l1: Annotated[float, Field(ge=0.0, le=1e6)] = 0.0
    """L1 penalty of the leaves' values. Default: 0."""
    l2: Annotated[float, Field(ge=0.0, le=1e6)] = 1.0
    """L2 penalty of the leaves' values. Default: 1."""
    min_child_weight: Annotated[float | None, Field(ge=0.0, le=1e6)] = None
    """Least sum of second derivatives in a leaf. Default: 0.3, for regression xgboost 2, lightgbm 0.001."""
    min_child_rows: Annotated[int | None, Field(ge=1, le=1_000_000)] = None
    """lightgbm: fewest rows of a leaf. Default: 15, for regression 10."""
    min_gain: Annotated[float, Field(ge=0.0, le=1e6)] = 0.0
    """Least gain of a split. Default: 0."""
    one_hot: Annotated[int, Field(ge=1, le=1_000_000)] = 255
    """Columns of up to so many categories are split by one against the rest, of more into two sets. Default: 255."""
    bins: Annotated[int, Field(ge=2, le=65_535)] = 255
    """Bins of the histogram of each input. Default: 255."""


def patient(stopping: Any, model: Any) -> Any:
    """`earlyStopping` with the patience of trees where the model is one and none was given."""
    name = model.get("name") if isinstance(model, Mapping) else getattr(model, "name", None)
    if name not in TREE_MODELS or not isinstance(stopping, (Mapping, BaseModel, type(None))):
        return stopping
    return fill({} if stopping is None else stopping, "patience", PATIENCE)


_IS_TREE = f"(has(self.name) && self.name in {list(TREE_MODELS)})"
_NETWORK_SIZES = ("hidden", "width", "depth", "heads", "embedding", "dropout", "activation", "normalization")
_LIGHTGBM_SIZES = ("leaves", "min_child_rows")

MODEL_RULES = (
    Rule(
        message="`trees` is for xgboost and lightgbm",
        broken=lambda self: [("trees",)] if self.trees is not None and self.name not in TREE_MODELS else [],
        cel=f"!has(self.trees) || {_IS_TREE}",
        cure="set `name: xgboost` or `name: lightgbm`, or remove `trees`",
    ),
    Rule(
        message="xgboost and lightgbm have the sizes under `trees`, not those of a network",
        broken=lambda self: [(name,) for name in given(self, _NETWORK_SIZES) if self.name in TREE_MODELS],
        cel=f"!{_IS_TREE} || ({none_given_cel('self', _NETWORK_SIZES)})",
        cure="remove it; how deep trees grow is trees.depth",
    ),
    Rule(
        message="leaves and minChildRows are sizes of lightgbm",
        broken=lambda self: [
            ("trees", name)
            for name in (given(self.trees, _LIGHTGBM_SIZES) if self.trees is not None else [])
            if self.name == "xgboost"
        ],
        cel=(
            "!has(self.name) || self.name != 'xgboost' || !has(self.trees)"
            f" || ({none_given_cel('self.trees', _LIGHTGBM_SIZES)})"
        ),
        cure="bound the trees of xgboost with depth and minChildWeight, or set `name: lightgbm`",
    ),
)
"""Rules of ModelSpec."""

_NETWORK_TRAINING = (
    "epochs", "max_steps", "batch_size", "learning_rate", "optimizer", "weight_decay", "momentum", "schedule",
    "warmup_steps", "label_smoothing", "gradient_clip", "accumulate", "layer_decay", "ema", "precision",
)  # fmt: skip
_TRAINS_TREES = f"(has(self.model) && has(self.model.name) && self.model.name in {list(TREE_MODELS)})"

TRAIN_RULES = (
    Rule(
        message="xgboost and lightgbm learn by rounds, without what a network's optimizer needs",
        broken=lambda self: [(name,) for name in given(self, _NETWORK_TRAINING) if self.model.name in TREE_MODELS],
        cel=f"!{_TRAINS_TREES} || ({none_given_cel('self', _NETWORK_TRAINING)})",
        cure="remove it; rounds and rates of trees are model.trees.rounds and model.trees.learningRate",
    ),
    Rule(
        message="xgboost and lightgbm train in one process on the CPU",
        broken=lambda self: [
            ("resources", to_camel(field))
            for field, least in (("nodes", 1), ("gpus_per_node", 0), ("processes_per_node", 1))
            if self.model.name in TREE_MODELS and getattr(self.resources, field) > least
        ],
        cel=(
            f"!{_TRAINS_TREES} || !has(self.resources) || ((!has(self.resources.nodes) || self.resources.nodes == 1)"
            " && (!has(self.resources.gpusPerNode) || self.resources.gpusPerNode == 0)"
            " && (!has(self.resources.processesPerNode) || self.resources.processesPerNode == 1))"
        ),
        cure="remove it; what else there is to train faster are fewer rounds, shallower trees and a rowFraction",
    ),
)
"""Rules of TrainSpec."""
