"""From a matrix of training rows to a filled module."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.cluster import KMeans as LloydKMeans
from sklearn.ensemble import IsolationForest as RandomForest
from sklearn.metrics import silhouette_score
from sklearn.mixture import GaussianMixture as ExpectationMaximization
from torch import nn

from runwright_components.contract.config import ModelConfig, UnsupervisedConfig
from runwright_components.contract.outcome import Reason, StageError
from runwright_components.models import Shape, build
from runwright_components.models.clusters import GaussianMixture, KMeans
from runwright_components.models.isolation_forest import IsolationForest, mean_depth

Matrix = NDArray[np.float32]
Found = TypeVar("Found")
Tick = Callable[[int, int, str], None]  # done, in all, what

SILHOUETTE_ROWS = 2000  # it takes all pairs of rows
KMEANS_STARTS = 10
MIXTURE_STARTS = 3
LEAST_VARIANCE = 1e-4  # added to a mixture's variances, of scaled columns: a constant column has none


class Fit(Protocol):
    """Fits the model of a configuration to rows [N, F]; returns it with the configuration that builds it again.

    Raises StageError for rows that do not fit the configuration.
    """

    def __call__(
        self, config: ModelConfig, shape: Shape, rows: Matrix, seed: int, tick: Tick
    ) -> tuple[nn.Module, ModelConfig]: ...


def fit_forest(config: ModelConfig, shape: Shape, rows: Matrix, seed: int, tick: Tick) -> tuple[nn.Module, ModelConfig]:
    """Liu, Ting and Zhou 2008, on at most `unsupervised.rows` rows a tree."""
    settings = _settings(config)
    if len(rows) < 2:
        raise _few(f"{len(rows)} training row cannot be told from others", "give more data")
    settings = settings.model_copy(update={"rows": min(settings.rows, len(rows))})
    tick(0, 1, f"growing {settings.trees} trees")
    forest = RandomForest(n_estimators=settings.trees, max_samples=settings.rows, random_state=seed).fit(rows)
    resolved = config.model_copy(update={"unsupervised": settings})
    module = build(resolved, shape)
    assert isinstance(module, IsolationForest)
    for index, tree in enumerate(forest.estimators_):
        _fill_tree(module, index, tree.tree_)
    return module, resolved


def _fill_tree(module: IsolationForest, index: int, tree: Any) -> None:
    """Copy a tree of scikit-learn into row `index` of the module's tables."""
    count = tree.node_count
    nodes = np.arange(count)
    leaf = tree.children_left < 0
    depth = np.zeros(count)
    for node in nodes[~leaf]:  # a child stands behind its parent
        depth[[tree.children_left[node], tree.children_right[node]]] = depth[node] + 1
    beyond = np.array([mean_depth(int(held)) for held in tree.n_node_samples])
    columns = {
        "feature": np.where(leaf, 0, tree.feature),
        "left": np.where(leaf, nodes, tree.children_left),
        "right": np.where(leaf, nodes, tree.children_right),
        "limit": np.where(leaf, 0.0, _rounded_down(tree.threshold)),
        "length": depth + beyond,
    }
    with torch.no_grad():
        for name, values in columns.items():
            getattr(module, name)[index, :count] = torch.from_numpy(values)


def _rounded_down(limits: NDArray[np.float64]) -> Matrix:
    """The largest float32 that is not above each limit: a float32 input is on the same side of both."""
    single = limits.astype(np.float32)
    lowered: Matrix = np.where(single > limits, np.nextafter(single, np.float32(-np.inf)), single)
    return lowered


def fit_kmeans(config: ModelConfig, shape: Shape, rows: Matrix, seed: int, tick: Tick) -> tuple[nn.Module, ModelConfig]:
    """The best of several starts (Arthur and Vassilvitskii 2007); of several numbers of clusters the one with the
    highest silhouette (Rousseeuw 1987)."""
    sample = _sample(rows, seed)

    def candidate(clusters: int) -> tuple[float, LloydKMeans]:
        found = LloydKMeans(n_clusters=clusters, n_init=KMEANS_STARTS, random_state=seed).fit(rows)
        assigned = found.predict(sample)
        worth = silhouette_score(sample, assigned) if 1 < len(np.unique(assigned)) < len(sample) else -1.0
        return float(worth), found

    clusters, found = _best(candidate, config, rows, tick)
    resolved = _with_clusters(config, clusters)
    module = build(resolved, shape)
    assert isinstance(module, KMeans)
    with torch.no_grad():
        module.centre.copy_(torch.from_numpy(found.cluster_centers_))
    return module, resolved


def fit_mixture(
    config: ModelConfig, shape: Shape, rows: Matrix, seed: int, tick: Tick
) -> tuple[nn.Module, ModelConfig]:
    """Expectation maximization with full covariances; of several numbers of clusters the one with the lowest Bayesian
    information criterion (Schwarz 1978)."""
    exact = rows.astype(np.float64)

    def candidate(clusters: int) -> tuple[float, ExpectationMaximization]:
        found = ExpectationMaximization(
            n_components=clusters, n_init=MIXTURE_STARTS, reg_covar=LEAST_VARIANCE, random_state=seed
        ).fit(exact)
        return -float(found.bic(exact)), found

    clusters, found = _best(candidate, config, rows, tick)
    resolved = _with_clusters(config, clusters)
    module = build(resolved, shape)
    assert isinstance(module, GaussianMixture)
    with torch.no_grad():
        module.centre.copy_(torch.from_numpy(found.means_))
        module.whitening.copy_(torch.from_numpy(found.precisions_cholesky_))
        module.weight.copy_(torch.from_numpy(np.log(found.weights_)))
    return module, resolved


FITS: dict[str, Fit] = {"isolationforest": fit_forest, "kmeans": fit_kmeans, "gaussianmixture": fit_mixture}


def _best(
    candidate: Callable[[int], tuple[float, Found]], config: ModelConfig, rows: Matrix, tick: Tick
) -> tuple[int, Found]:
    """The number of clusters of the greatest worth, and what was found with it."""
    settings = _settings(config)
    different = len(np.unique(rows, axis=0))
    if settings.clusters is not None:
        numbers: Sequence[int] = (settings.clusters,)
    else:
        numbers = range(2, min(settings.most_clusters, different - 1) + 1)
    if not numbers or different < max(numbers):
        asked = settings.clusters or 2
        raise _few(f"{different} different training rows do not make {asked} clusters", "ask for fewer clusters")
    best: tuple[float, int, Found] | None = None
    for done, clusters in enumerate(numbers):
        tick(done, len(numbers), f"{clusters} clusters")
        worth, found = _quietly(candidate, clusters)
        if best is None or worth > best[0]:
            best = (worth, clusters, found)
    assert best is not None
    return best[1:]


def _quietly(candidate: Callable[[int], tuple[float, Found]], clusters: int) -> tuple[float, Found]:
    """Without scikit-learn's remark that the limit of iterations was reached: what was found then is judged."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return candidate(clusters)


def _sample(rows: Matrix, seed: int) -> Matrix:
    if len(rows) <= SILHOUETTE_ROWS:
        return rows
    chosen: Matrix = rows[np.random.default_rng(seed).choice(len(rows), SILHOUETTE_ROWS, replace=False)]
    return chosen


def _with_clusters(config: ModelConfig, clusters: int) -> ModelConfig:
    return config.model_copy(update={"unsupervised": _settings(config).model_copy(update={"clusters": clusters})})


def _few(message: str, cure: str) -> StageError:
    return StageError(Reason.DATA_INVALID, message, where="train.model.unsupervised", cure=cure)


def _settings(config: ModelConfig) -> UnsupervisedConfig:
    assert config.unsupervised is not None  # lowering gives it to every model of these kinds
    return config.unsupervised
