"""Metrics of clusterings. Pure."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from runwright_components.evaluate.unsupervised.rows import Labels, Matrix

MOST_ROWS = 5000  # the silhouette takes all pairs of rows
_SEED = 0


def metrics(rows: Matrix, clusters: Labels) -> dict[str, float]:
    """Of the `clusters` [N] of `rows` [N, F]: silhouette (Rousseeuw 1987), Davies-Bouldin (1979) and Calinski-Harabasz
    (1974) indexes, left out where they are not defined, the number of clusters that have rows, and the smallest one's
    share of the rows."""
    _, sizes = np.unique(clusters, return_counts=True)
    found = {"clusters": float(len(sizes)), "smallestCluster": float(sizes.min() / len(clusters))}
    return found | separation(rows, clusters)


def agreement(clusters: Labels, labels: Labels) -> dict[str, float]:
    """How well the partition agrees with that by the labels: adjusted Rand index (Hubert and Arabie 1985) and
    normalized mutual information; empty without rows."""
    from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score

    if not len(labels):
        return {}
    return {
        "adjustedRand": float(adjusted_rand_score(labels, clusters)),
        "normalizedMutualInformation": float(normalized_mutual_info_score(labels, clusters)),
    }


def separation(rows: Matrix, clusters: Labels) -> dict[str, float]:
    """How far apart clusters are in the space of the inputs; empty unless 2 to N - 1 clusters have rows."""
    from sklearn.metrics import calinski_harabasz_score, davies_bouldin_score, silhouette_score

    if not 1 < len(np.unique(clusters)) < len(clusters):
        return {}
    size = MOST_ROWS if len(rows) > MOST_ROWS else None
    return {
        "silhouette": float(silhouette_score(rows, clusters, sample_size=size, random_state=_SEED)),
        "daviesBouldin": float(davies_bouldin_score(rows, clusters)),
        "calinskiHarabasz": float(calinski_harabasz_score(rows, clusters)),
    }


def sliced(training: Matrix, rows: Matrix, clusters: int) -> Labels:
    """The baseline's clusters [N]: the first principal component of the training rows, cut into equal shares."""
    from sklearn.decomposition import PCA

    component = PCA(n_components=1, random_state=_SEED).fit(training)
    cuts = np.quantile(component.transform(training)[:, 0], np.arange(1, clusters) / clusters)
    found: NDArray[np.int64] = np.digitize(component.transform(rows)[:, 0], cuts).astype(np.int64)
    return found
