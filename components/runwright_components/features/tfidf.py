"""Free text in a table: the weight of each word in a row (TF-IDF), or what singular vectors make of the weights.

Weights are sums over a row's own words in the order of the vocabulary, so a row gives the same bits alone and among
others.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from runwright_components.contract.artifacts import Document

_WORD = re.compile(r"\w+")


class TextInput(Document):
    """The inputs of one column of text. `idf[i]` weighs `terms[i]`, a run of up to `words` words; where there are
    `components` [V][K], the weights are projected onto them, else each term is an input."""

    name: str
    column: str
    terms: tuple[str, ...]
    idf: tuple[float, ...]
    words: int = 1
    components: tuple[tuple[float, ...], ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        if not self.components:
            return tuple(f"{self.name}~{term}" for term in self.terms)
        return tuple(f"{self.name}~{place}" for place in range(len(self.components[0])))


class TextEncoder:
    """Applies a `TextInput`. Safe to share between threads."""

    def __init__(self, item: TextInput) -> None:
        self._words = item.words
        self._places = {term: place for place, term in enumerate(item.terms)}
        self._idf = np.array(item.idf)
        self._components = np.array(item.components) if item.components else None
        self._size = len(item.names)

    def encode(self, texts: Sequence[str | None]) -> NDArray[np.float32]:
        """float32 [K or V, N]; a text that is missing, or has no known term, is 0 throughout."""
        encoded = np.zeros((self._size, len(texts)), dtype=np.float32)
        for row, text in enumerate(texts):
            places, weights = self.weights(text)
            if not len(places):
                continue
            if self._components is None:
                encoded[places, row] = weights
            else:
                encoded[:, row] = np.add.reduce(weights[:, None] * self._components[places], axis=0)
        return encoded

    def weights(self, text: str | None) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """The places of a text's terms in the vocabulary, ascending, and their weights, whose squares sum to 1."""
        counts = Counter(self._places[term] for term in terms(text or "", self._words) if term in self._places)
        places = np.array(sorted(counts), dtype=np.int64)
        weights = np.array([counts[place] for place in places.tolist()], dtype=np.float64) * self._idf[places]
        return places, weights / np.sqrt(np.square(weights).sum()) if len(places) else weights


def terms(text: str, words: int) -> Iterator[str]:
    """The words of a text, case folded, and its runs of up to `words` of them."""
    found = _WORD.findall(text.casefold())
    yield from found
    for length in range(2, words + 1):
        yield from (" ".join(found[at : at + length]) for at in range(len(found) - length + 1))
