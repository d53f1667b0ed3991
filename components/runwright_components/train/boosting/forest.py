"""The trees of a booster in one form, whichever library grew them; read from the libraries' own files, pure."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]


@dataclass
class Node:
    """A test: `yes` and `no` are the places of its children. A number passes below `threshold` (with `Forest.strict`)
    or up to it; a category passes when it is one of `members`."""

    feature: int
    yes: int
    no: int
    threshold: float = 0.0
    members: tuple[int, ...] | None = None
    gain: float = 0.0


@dataclass
class Leaf:
    value: float


@dataclass
class Forest:
    """Trees of nodes, the root first. Tree i adds the value of a row's leaf to output i modulo `outputs`."""

    trees: list[list[Node | Leaf]]
    outputs: int
    strict: bool
    base: tuple[float, ...] = field(default=())

    @property
    def parameters(self) -> int:
        """Learned numbers: a threshold or set a test, a value a leaf."""
        return sum(len(tree) for tree in self.trees)

    def gains(self, features: int) -> list[float]:
        """Each input's share of what all splits gained, summing to 1; zeros where there is no split."""
        total = [0.0] * features
        for tree in self.trees:
            for node in tree:
                if isinstance(node, Node):
                    total[node.feature] += node.gain
        whole = sum(total)
        return [gain / whole for gain in total] if whole > 0 else total


def from_xgboost(document: dict[str, Any]) -> Forest:
    """The forest of XGBoost's JSON model (`save_raw("json")`), margins in float32."""
    learner = document["learner"]
    settings, model = learner["learner_model_param"], learner["gradient_booster"]["model"]
    outputs = max(1, int(settings["num_class"]))
    given = json.loads(settings["base_score"])
    base = [float(value) for value in (given if isinstance(given, list) else [given])]
    if learner["objective"]["name"] == "binary:logistic":  # kept as a probability
        base = [math.log(value / (1 - value)) for value in base]
    base = base * outputs if len(base) == 1 else base
    return Forest([_xgboost_tree(tree) for tree in model["trees"]], outputs, strict=True, base=tuple(base))


def _xgboost_tree(tree: dict[str, Any]) -> list[Node | Leaf]:
    sets = {
        node: tuple(tree["categories"][start : start + size])
        for node, start, size in zip(
            tree["categories_nodes"], tree["categories_segments"], tree["categories_sizes"], strict=True
        )
    }
    nodes: list[Node | Leaf] = []
    for place, (left, right) in enumerate(zip(tree["left_children"], tree["right_children"], strict=True)):
        condition, feature, gain = (tree[key][place] for key in ("split_conditions", "split_indices", "loss_changes"))
        if left == -1:
            nodes.append(Leaf(condition))
        elif place in sets:  # members go to the right
            nodes.append(Node(feature, yes=right, no=left, members=sets[place], gain=gain))
        else:
            nodes.append(Node(feature, yes=left, no=right, threshold=condition, gain=gain))
    return nodes


_CATEGORICAL = 1  # bit of decision_type


def from_lightgbm(text: str) -> Forest:
    """The forest of LightGBM's text model.

    A threshold is rounded down to float32: for float32 inputs, up to it and up to the float64 are the same rows.
    """
    head, *trees = text.partition("\nend of trees")[0].split("\nTree=")
    outputs = int(next(line for line in head.splitlines() if line.startswith("num_tree_per_iteration=")).split("=")[1])
    return Forest([_lightgbm_tree(tree) for tree in trees], outputs, strict=False, base=(0.0,) * outputs)


def _lightgbm_tree(text: str) -> list[Node | Leaf]:
    fields = dict(line.split("=", 1) for line in text.splitlines()[1:] if "=" in line)

    def numbers(name: str, kind: type[Any]) -> list[Any]:
        return [kind(item) for item in fields.get(name, "").split()]

    leaves = [Leaf(value) for value in numbers("leaf_value", float)]
    if int(fields["num_leaves"]) < 2:
        return [leaves[0]]
    thresholds, bounds, words = (numbers(name, float) for name in ("threshold", "cat_boundaries", "cat_threshold"))
    features = numbers("split_feature", int)

    def place(child: int) -> int:  # leaves are numbered -1, -2, ... and stand behind the tests
        return child if child >= 0 else len(features) - 1 - child

    nodes: list[Node | Leaf] = []
    for index, (feature, kind, left, right, gain) in enumerate(
        zip(
            features,
            numbers("decision_type", int),
            numbers("left_child", int),
            numbers("right_child", int),
            numbers("split_gain", float),
            strict=True,
        )
    ):
        node = Node(feature, yes=place(left), no=place(right), gain=gain)
        if kind & _CATEGORICAL:
            number = int(thresholds[index])
            node.members = tuple(_bits(words[int(bounds[number]) : int(bounds[number + 1])]))
        else:
            node.threshold = _rounded_down(thresholds[index])
        nodes.append(node)
    return nodes + leaves


def _bits(words: list[float]) -> Iterator[int]:
    """The members of a set written as 32-bit words."""
    for index, word in enumerate(words):
        yield from (32 * index + bit for bit in range(32) if int(word) >> bit & 1)


def _rounded_down(value: float) -> float:
    """The largest float32 that is not above `value`."""
    rounded = np.float32(value)
    if float(rounded) > value:
        rounded = np.nextafter(rounded, np.float32(-np.inf))
    return float(rounded)
