"""Metrics of embeddings. Pure."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from runwright_components.evaluate.unsupervised.rows import Labels, Matrix

Floats = NDArray[np.float64]

NEIGHBOURS = 5
MOST_TRAINING = 20_000
MOST_ROWS = 1000  # trustworthiness takes all pairs of rows
_SEED = 0


def right(known: Floats, labels: Labels, rows: Floats, truth: Labels) -> NDArray[np.bool_]:
    """For each of `rows` [N, D] whether most of its 5 nearest neighbours among the training rows `known` [M, D] have
    its label."""
    from sklearn.neighbors import KNeighborsClassifier

    chosen = np.random.default_rng(_SEED).permutation(len(known))[:MOST_TRAINING]
    voters = KNeighborsClassifier(n_neighbors=min(NEIGHBOURS, len(chosen))).fit(known[chosen], labels[chosen])
    matches: NDArray[np.bool_] = voters.predict(rows) == truth
    return matches


def trust(rows: Matrix, embedded: Floats) -> dict[str, float]:
    """Trustworthiness (Venna and Kaski 2001): whether neighbours in the embedding [N, D] are neighbours in the inputs
    [N, F], 1 at best; empty for fewer rows than twice the neighbours."""
    from sklearn.manifold import trustworthiness

    if len(rows) <= 2 * NEIGHBOURS:
        return {}
    found = trustworthiness(rows[:MOST_ROWS], embedded[:MOST_ROWS], n_neighbors=NEIGHBOURS)
    return {"trustworthiness": float(found)}


def principal(training: Matrix, dimension: int, *others: Matrix) -> tuple[Floats, ...]:
    """The baseline's embeddings: the first principal components of the training rows, at most `dimension` of them."""
    from sklearn.decomposition import PCA

    size = min(dimension, *training.shape)
    components = PCA(n_components=size, random_state=_SEED).fit(training)
    return tuple(components.transform(rows).astype(np.float64) for rows in (training, *others))
