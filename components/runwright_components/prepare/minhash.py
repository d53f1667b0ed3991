"""Near duplicates of texts: shingles, MinHash sketches in bands (Broder 1997; Leskovec et al., Mining of Massive
Datasets, chapter 3), and the exact Jaccard similarity of every candidate.

Texts are read in batches, and only sketches' bands stay in memory: a few hundred bytes a text.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from runwright_components.prepare.clusters import Keys, Rows, candidates, mixed, scrambled

HASHES = 128  # of a sketch
_SEED = 1
_BATCH = 20_000  # texts
_PAIRS = 100_000  # compared at once
_BYTES = 32 * 2**20  # of text at once
_CERTAIN = 0.99  # chance that a pair at the threshold becomes a candidate

Told = Callable[[int, int], None]


@dataclass(frozen=True)
class Shingling:
    """A shingle is `size` words or characters in a row, in lower case."""

    unit: Literal["words", "characters"] = "words"
    size: int = 3

    def of(self, texts: pl.Series) -> Ragged:
        """The hashes of each text's shingles; a shorter text is one shingle, one without words has none."""
        lower = texts.str.to_lowercase()
        tokens = _words(lower) if self.unit == "words" else _characters(lower)
        return _joined_tokens(tokens, self.size)


@dataclass(frozen=True)
class Ragged:
    """Lists of numbers one after the other: `values[offsets[i]:offsets[i + 1]]` is the list i."""

    values: Keys
    offsets: Rows

    @property
    def sizes(self) -> Rows:
        return np.diff(self.offsets)


def pairs(texts: pl.Series, similarity: float, shingling: Shingling, told: Told | None = None) -> Rows:
    """Pairs [P, 2] of rows whose sets of shingles have at least this Jaccard similarity.

    What is told is exact, but for hashes of 44 bits; a pair at the threshold is found with probability `_CERTAIN` or
    more. `told` hears how many texts are done.
    """
    keys = _bands(texts, similarity, shingling, told)
    there = np.flatnonzero(keys.any(axis=1))
    found = there[candidates(keys[there])]
    found = found[np.lexsort((found[:, 1], found[:, 0]))]
    sizes = _sizes(texts)[found].sum(axis=1)
    chunks = (found[start:end] for start, end in _batches(sizes, _PAIRS))
    kept = [chunk[_jaccard(texts, chunk, shingling) >= similarity] for chunk in chunks]
    return np.concatenate(kept) if kept else np.zeros((0, 2), dtype=np.int64)


def shape(similarity: float) -> tuple[int, int]:
    """How many bands of how many hashes: the longest bands that still find a pair at the threshold for certain."""
    for length in range(HASHES, 1, -1):
        bands = HASHES // length
        if 1 - (1 - similarity**length) ** bands >= _CERTAIN:
            return bands, length
    return HASHES, 1


def _bands(texts: pl.Series, similarity: float, shingling: Shingling, told: Told | None) -> Keys:
    """A key for each band of each text's sketch, uint64 [N, bands]; all 0 for a text without shingles."""
    from rensa import RMinHash

    bands, length = shape(similarity)
    keys = np.zeros((len(texts), bands), dtype=np.uint64)
    for start, end in _batches(_sizes(texts), _BATCH):
        shingles = shingling.of(texts[start:end])
        sketches = RMinHash.digest_matrix_from_flat_token_hashes(
            shingles.values, shingles.offsets.astype(np.uint64), HASHES, _SEED
        )
        rows = np.array(sketches.to_rows(), dtype=np.uint32)
        block = keys[start:end]
        for band in range(bands):
            block[:, band] = mixed(rows[:, band * length : (band + 1) * length]) | np.uint64(1)
        block[shingles.sizes == 0] = 0
        if told is not None:
            told(end, len(texts))
    return keys


def _jaccard(texts: pl.Series, chunk: Rows, shingling: Shingling) -> NDArray[np.float64]:
    """The Jaccard similarity [P] of the pairs [P, 2]."""
    rows, places = np.unique(chunk, return_inverse=True)
    sets = _distinct(shingling.of(texts.gather(rows)))
    places = places.reshape(chunk.shape)
    numbers = np.arange(len(chunk), dtype=np.uint64) << np.uint64(44)
    both = np.concatenate([_tagged(sets, places[:, side], numbers) for side in (0, 1)])
    both.sort()
    shared = np.bincount((both[1:][both[1:] == both[:-1]] >> np.uint64(44)).astype(np.int64), minlength=len(chunk))
    sizes = sets.sizes
    similarity: NDArray[np.float64] = shared / (sizes[places].sum(axis=1) - shared)
    return similarity


def _tagged(sets: Ragged, places: Rows, numbers: Keys) -> Keys:
    """The shingles of the chosen sets, cut to 44 bits, with the number of the pair above them."""
    sizes = sets.sizes[places]
    within = np.arange(int(sizes.sum())) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    values = sets.values[np.repeat(sets.offsets[:-1][places], sizes) + within]
    tagged: Keys = (values >> np.uint64(20)) | np.repeat(numbers, sizes)
    return tagged


def _distinct(lists: Ragged) -> Ragged:
    """Each list as a set."""
    owner = np.repeat(np.arange(len(lists.sizes)), lists.sizes)
    order = np.lexsort((lists.values, owner))
    values, owner = lists.values[order], owner[order]
    new = np.ones(len(values), dtype=np.bool_)
    new[1:] = (values[1:] != values[:-1]) | (owner[1:] != owner[:-1])
    return Ragged(values[new], _offsets(np.bincount(owner[new], minlength=len(lists.sizes))))


def _words(texts: pl.Series) -> Ragged:
    words = texts.str.extract_all(r"\w+")
    return Ragged(words.explode().drop_nulls().hash().to_numpy(), _offsets(words.list.len().to_numpy()))


def _characters(texts: pl.Series) -> Ragged:
    spaced = texts.str.replace_all(r"\s+", " ")
    points = np.frombuffer("".join(spaced.to_list()).encode("utf-32-le"), dtype=np.uint32)
    return Ragged(scrambled(points.astype(np.uint64)), _offsets(spaced.str.len_chars().to_numpy()))


def _joined_tokens(tokens: Ragged, size: int) -> Ragged:
    sizes = tokens.sizes
    padded = np.where(sizes > 0, np.maximum(sizes, size), 0)
    values = tokens.values
    if (padded != sizes).any():
        values = np.zeros(int(padded.sum()), dtype=np.uint64)
        within = np.arange(len(tokens.values)) - np.repeat(tokens.offsets[:-1], sizes)
        values[np.repeat(np.cumsum(padded) - padded, sizes) + within] = tokens.values
    ends = np.cumsum(padded)
    count = max(len(values) - size + 1, 0)
    whole = np.ones(len(values), dtype=np.bool_)
    for step in range(1, size):
        whole[ends[padded > 0] - step] = False
    mix = np.zeros(count, dtype=np.uint64)
    for step in range(size):
        mix = scrambled(mix ^ values[step : step + count])
    return Ragged(mix[whole[:count]], _offsets(np.maximum(padded - size + 1, 0) * (padded > 0)))


def _offsets(sizes: NDArray[np.integer]) -> Rows:
    return np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)


def _sizes(texts: pl.Series) -> Rows:
    return texts.str.len_bytes().to_numpy().astype(np.int64)


def _batches(sizes: Rows, most: int) -> Iterator[tuple[int, int]]:
    """Slices of at most `most` items and, but for a single large one, `_BYTES` bytes."""
    ends = np.cumsum(sizes)
    start = 0
    while start < len(sizes):
        before = int(ends[start - 1]) if start else 0
        fitting = int(np.searchsorted(ends, before + _BYTES, side="right"))
        end = min(max(fitting, start + 1), start + most, len(sizes))
        yield start, end
        start = end
