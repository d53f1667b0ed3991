"""Clusterings: the distance of each row to each cluster; the nearest is its cluster."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from runwright_components.contract.config import ModelConfig
from runwright_components.models.shape import Shape
from runwright_components.models.unsupervised import Dense, Unsupervised

FARTHEST = 100.0  # -ln of a probability; beyond, the probability is no number that matters


class Clustering(Unsupervised):
    """`train.fitted` fills in what a clustering knows of its clusters."""

    def __init__(self, config: ModelConfig, shape: Shape) -> None:
        super().__init__()
        assert config.unsupervised is not None
        assert config.unsupervised.clusters is not None
        self.dense = Dense(shape)
        self.centre = nn.Parameter(torch.zeros(config.unsupervised.clusters, self.dense.features), requires_grad=False)

    def loss(self, **inputs: Tensor) -> Tensor:
        return self.answer(**inputs).amin(dim=1)


class KMeans(Clustering):
    """Lloyd 1982: distances [N, K] are Euclidean, to the clusters' centres, in the units of the scaled columns."""

    def answer(self, **inputs: Tensor) -> Tensor:
        apart = self.dense(**inputs).unsqueeze(1) - self.centre
        distances: Tensor = apart.square().sum(dim=2).sqrt()
        return distances


class GaussianMixture(Clustering):
    """A normal distribution a cluster (Dempster, Laird and Rubin 1977): distances [N, K] are -ln of the probability
    that the row is of the cluster.

    `whitening` [K, F, F] makes a cluster's covariance the identity; `weight` [K] is the logarithm of its share.
    """

    def __init__(self, config: ModelConfig, shape: Shape) -> None:
        super().__init__(config, shape)
        clusters, features = self.centre.shape
        self.whitening = nn.Parameter(torch.zeros(clusters, features, features), requires_grad=False)
        self.weight = nn.Parameter(torch.zeros(clusters), requires_grad=False)

    def loss(self, **inputs: Tensor) -> Tensor:
        """-ln of the density of each row."""
        return -torch.logsumexp(self._densities(**inputs), dim=1).float()

    def answer(self, **inputs: Tensor) -> Tensor:
        densities = self._densities(**inputs)
        surprise = torch.logsumexp(densities, dim=1, keepdim=True) - densities
        return surprise.clamp(0.0, FARTHEST).float()

    def _densities(self, **inputs: Tensor) -> Tensor:
        """ln of each cluster's share times its density, [N, K]."""
        # In float64: far from every cluster the exponents are large and their differences small.
        whitening = self.whitening.double()
        apart = (self.dense(**inputs).unsqueeze(1) - self.centre).double()
        white = torch.einsum("nkf,kfg->nkg", apart, whitening)
        volume = torch.diagonal(whitening, dim1=1, dim2=2).log().sum(dim=1)
        constant = 0.5 * self.centre.shape[1] * math.log(2 * math.pi)
        return self.weight.double() + volume - constant - 0.5 * white.square().sum(dim=2)
