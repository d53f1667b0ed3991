"""Fitting the inputs of a column of free text on the training rows: vocabulary, inverse document frequencies, and the
leading right singular vectors of the weights (latent semantic analysis, Deerwester et al. 1990)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from runwright_components.contract.config import TfidfRules
from runwright_components.features.tfidf import TextEncoder, TextInput, terms

Matrix = NDArray[np.float64]

_TEXTS = 20_000  # an even sample of as many tells the singular vectors
_BLOCK = 512  # texts that are weights at one time
_SPARE = 10  # directions beyond those asked for, and rounds of subspace iteration (Halko et al. 2011)
_ROUNDS = 12


def fit(name: str, texts: Sequence[str], rows: Sequence[int], rules: TfidfRules) -> TextInput | None:
    """The input of the column `name`, of its distinct `texts` and the training rows of each; None without terms.

    idf = ln((1 + n) / (1 + rows with the term)) + 1, of n training rows.
    """
    frequency: Counter[str] = Counter()
    for text, count in zip(texts, rows, strict=True):
        for term in set(terms(text, rules.words)) if count else ():
            frequency[term] += count
    ranked = sorted((-count, term) for term, count in frequency.items() if count >= rules.min_count)
    kept = sorted((term, -count) for count, term in ranked[: rules.vocabulary])
    if not kept:
        return None
    total = sum(rows)
    idf = np.log((1 + total) / (1 + np.array([count for _, count in kept]))) + 1
    item = TextInput(
        name=name, column=name, terms=tuple(term for term, _ in kept), idf=tuple(idf.tolist()), words=rules.words
    )
    if not rules.dimensions or rules.dimensions >= len(kept):
        return item
    trained = [(text, count) for text, count in zip(texts, rows, strict=True) if count]
    found = _components(TextEncoder(item), trained[:: -(-len(trained) // _TEXTS)], len(kept), rules.dimensions)
    return item.model_copy(update={"components": tuple(map(tuple, found.tolist()))})


def _components(encoder: TextEncoder, texts: Sequence[tuple[str, int]], size: int, dimensions: int) -> Matrix:
    """[V, K], scaled together so that the projections' mean square over the rows is 1."""
    gram = np.zeros((size, size))
    for start in range(0, len(texts), _BLOCK):
        block = np.zeros((len(texts[start : start + _BLOCK]), size))
        for row, (text, count) in enumerate(texts[start : start + _BLOCK]):
            places, weights = encoder.weights(text)
            block[row, places] = weights * np.sqrt(count)
        gram += block.T @ block
    values, vectors = _leading(gram, dimensions)
    rows = sum(count for _, count in texts)
    spread = float(np.sqrt(values.sum() / (rows * dimensions)))
    return vectors / (spread if spread > 0 else 1.0)


def _leading(symmetric: Matrix, count: int) -> tuple[Matrix, Matrix]:
    """The largest eigenvalues [K] and their vectors [V, K], each with its largest entry positive."""
    size = len(symmetric)
    basis = np.random.default_rng(0).normal(size=(size, min(size, count + _SPARE)))
    for _ in range(_ROUNDS):
        basis = np.linalg.qr(symmetric @ basis)[0]
    values, turned = np.linalg.eigh(basis.T @ symmetric @ basis)
    order = np.argsort(-values)[:count]
    vectors = basis @ turned[:, order]
    largest = vectors[np.abs(vectors).argmax(axis=0), np.arange(vectors.shape[1])]
    return np.maximum(values[order], 0.0), vectors * np.where(largest < 0, -1.0, 1.0)
