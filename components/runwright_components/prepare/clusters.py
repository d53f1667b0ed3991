"""Which rows stand for the same thing: candidates from equal keys, joined into clusters. Pure numpy."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Keys = NDArray[np.uint64]
Rows = NDArray[np.int64]

_REACH = 8  # rows of one bucket that a row is compared with, besides the bucket's first


def candidates(keys: Keys) -> Rows:
    """Pairs [P, 2] of rows that share a key in any column of `keys` [N, bands]; the smaller row first, each pair once.

    Within a bucket a row is paired with the first and with the `_REACH` rows before it, so that a bucket of a million
    costs no more than a million small ones. Rows that share every key are paired with their first alone.
    """
    rows = len(keys)
    first = _first_alike(keys)
    alike = np.flatnonzero(first != np.arange(rows))
    codes = [first[alike] * rows + alike]
    places = np.flatnonzero(first == np.arange(rows))
    found = np.zeros(0, dtype=np.int64)
    for band in range(keys.shape[1]):
        found = np.union1d(found, _in_buckets(keys[places, band], places, rows))
    found = np.concatenate([*codes, found])
    return np.column_stack([found // rows, found % rows]) if len(found) else np.zeros((0, 2), dtype=np.int64)


def _first_alike(keys: Keys) -> Rows:
    """The first row with all the same keys, of each row."""
    whole = mixed(keys)
    order = np.argsort(whole, kind="stable")
    starts = _starts(whole[order])
    first = np.empty(len(keys), dtype=np.int64)
    first[order] = order[starts]
    return first


def _in_buckets(keys: Keys, places: Rows, rows: int) -> Rows:
    """The pairs of one band, as smaller row * rows + larger row."""
    order = np.argsort(keys, kind="stable")
    sorted_keys, at = keys[order], places[order]
    starts = _starts(sorted_keys)
    inside = np.flatnonzero(starts != np.arange(len(starts)))
    found = [at[starts[inside]] * rows + at[inside]]
    for step in range(1, _REACH + 1):
        near = inside[inside - step > starts[inside]]
        found.append(at[near - step] * rows + at[near])
    return np.concatenate(found)


def _starts(ordered: Keys) -> NDArray[np.intp]:
    """Where the run of equal values begins that each place is in."""
    new = np.ones(len(ordered), dtype=np.bool_)
    new[1:] = ordered[1:] != ordered[:-1]
    return np.maximum.accumulate(np.where(new, np.arange(len(ordered)), 0))


def joined(rows: int, pairs: Rows) -> Rows:
    """The first row of each row's cluster, int64 [rows]: rows that a chain of pairs connects are one cluster."""
    first = np.arange(rows, dtype=np.int64)

    def root(row: int) -> int:
        while first[row] != row:
            first[row] = first[first[row]]
            row = int(first[row])
        return row

    for one, other in pairs.tolist():
        low, high = sorted((root(one), root(other)))
        first[high] = low
    while True:
        above = first[first]
        if (above == first).all():
            return first
        first = above


def mixed(values: NDArray[np.unsignedinteger]) -> Keys:
    """One number for each row of `values` [N, K]."""
    total = np.zeros(len(values), dtype=np.uint64)
    for column in range(values.shape[1]):
        total = scrambled(total ^ values[:, column].astype(np.uint64))
    return total


def scrambled(values: Keys) -> Keys:
    """Bits spread over the whole word (Steele et al. 2014, SplitMix64)."""
    values = values + np.uint64(0x9E3779B97F4A7C15)
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))
