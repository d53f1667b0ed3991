"""Isolation forest (Liu, Ting and Zhou 2008): rows that few random cuts set apart are unlike the others."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from runwright_components.contract.config import ModelConfig
from runwright_components.models.shape import Shape
from runwright_components.models.unsupervised import Dense, Scoring


class IsolationForest(Scoring):
    """Trees as tables of nodes [trees, nodes]; `train.fitted` fills them in.

    A leaf is its own child, so that every row may take as many steps as the deepest tree has levels. `length` is a
    leaf's depth plus the mean depth of a tree over the rows that it holds. The error is 2 ** (-mean length / expected),
    in (0, 1].
    """

    feature: Tensor
    left: Tensor
    right: Tensor

    def __init__(self, config: ModelConfig, shape: Shape) -> None:
        super().__init__()
        assert config.unsupervised is not None
        rows = config.unsupervised.rows
        size = (config.unsupervised.trees, 2 * rows - 1)
        self.dense = Dense(shape)
        self.depth = max(1, math.ceil(math.log2(rows)))
        self.expected = mean_depth(rows)
        for name in ("feature", "left", "right"):
            self.register_buffer(name, torch.zeros(size, dtype=torch.int64))
        self.limit = nn.Parameter(torch.zeros(size), requires_grad=False)
        self.length = nn.Parameter(torch.zeros(size), requires_grad=False)

    def error(self, **inputs: Tensor) -> Tensor:
        features = self.dense(**inputs)
        trees, nodes = self.feature.shape
        root = torch.arange(trees, device=features.device) * nodes
        place = torch.zeros_like(features[:, :1], dtype=torch.int64) + root
        feature, limit = self.feature.reshape(-1), self.limit.reshape(-1)
        left, right = (self.left + root[:, None]).reshape(-1), (self.right + root[:, None]).reshape(-1)
        for _ in range(self.depth):
            goes_left = features.gather(1, feature[place]) <= limit[place]
            place = torch.where(goes_left, left[place], right[place])
        mean: Tensor = self.length.reshape(-1)[place].mean(dim=1)
        return torch.exp2(-mean / self.expected)


def mean_depth(rows: int) -> float:
    """c(n) of the paper: the mean depth of an unsuccessful search in a binary search tree of `rows` rows."""
    if rows <= 2:
        return float(max(rows - 1, 0))
    return 2.0 * (math.log(rows - 1.0) + 0.5772156649015329) - 2.0 * (rows - 1.0) / rows
