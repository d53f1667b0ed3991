"""Which row goes to which split: random, stratified by class, by group, by time, by digest, by name. Deterministic.

Rows whose split is known from a former revision stay there; the new ones are dealt so that the whole comes as near to
its shares as they allow.

The sizes are exact for random, stratified (a class at a time) and, but for ties, time; groups stay whole, so their
splits come as near as the groups allow, and a digest gives the shares by chance.
"""

from __future__ import annotations

import numpy as np
import polars as pl
from numpy.typing import NDArray

from runwright_components.contract.config import SPLITS, SplitRules
from runwright_components.contract.config.prepare import Strategy
from runwright_components.contract.outcome import Reason, StageError

Codes = NDArray[np.uint8]  # position in SPLITS: 0 train, 1 validation, 2 test
UNKNOWN = 255  # no former revision says


def assign(rows: int, rules: SplitRules, by: pl.Series | None = None, known: Codes | None = None) -> Codes:
    """The split of each of `rows` rows, uint8 [rows] (position in `config.SPLITS`).

    `by` [rows] is the class (stratified), the group (group; missing values are one group), the time (time; any type
    that sorts; missing values count as the earliest), the digest (hash; UInt64) or the split (predefined; UInt8).
    Random needs none. `known` [rows] is the split that a row had before, or UNKNOWN; time and predefined take none.
    Raises StageError when the shares are not shares or a split would be empty.
    """
    shares = _shares(rules)
    random = np.random.default_rng(rules.seed)
    before = np.full(rows, UNKNOWN, dtype=np.uint8) if known is None else known
    codes = deal(before, rules.strategy, shares, by, random)
    counts = np.bincount(codes, minlength=len(SPLITS))
    for name, count in zip(SPLITS, counts.tolist(), strict=True):
        if not count:
            raise StageError(
                Reason.DATA_INVALID,
                f"the {name} split would be empty: there are {_things(rows, rules, by)}",
                where="prepare.split",
                cure=f"let column {rules.by} say {name} in some rows"
                if rules.strategy == "predefined"
                else f"give more data, or a larger share to {name}"
                if (before == UNKNOWN).all()
                else "give new rows; or deal all of them anew, with prepare.split: {remember: false}",
            )
    return codes


def deal(
    known: Codes, strategy: Strategy, shares: NDArray[np.float64], by: pl.Series | None, random: np.random.Generator
) -> Codes:
    """The part, 0 to P - 1, of each row, uint8 [rows], for the `shares` [P] of all rows; `by` as in `assign`."""
    if strategy == "random":
        return _dealt(known, shares, random)
    if by is None or len(by) != len(known):
        raise ValueError(f"strategy {strategy} needs a value for each of the {len(known)} rows")
    if strategy == "stratified":
        return _stratified(by, known, shares, random)
    if strategy == "group":
        return _grouped(by, known, shares, random)
    if strategy == "hash":
        return np.where(known == UNKNOWN, _by_digest(by, shares), known)
    return by.to_numpy() if strategy == "predefined" else _by_time(by, shares)


def _shares(rules: SplitRules) -> NDArray[np.float64]:
    shares = np.array([getattr(rules, name) for name in SPLITS], dtype=np.float64)
    if (shares <= 0).any() or abs(shares.sum() - 1) > 1e-6:
        given = ", ".join(f"{name} {share:g}" for name, share in zip(SPLITS, shares.tolist(), strict=True))
        raise StageError(
            Reason.INVALID_CONFIG,
            f"the shares of the splits must be above 0 and add up to 1, they are {given}",
            where="prepare.split",
            cure="for example train: 0.7, validation: 0.15, test: 0.15",
        )
    return shares


def _sizes(rows: int, shares: NDArray[np.float64]) -> NDArray[np.int64]:
    """Whole sizes that add up to `rows`, by the largest remainder; where the rows allow, no split is left empty."""
    exact = rows * shares
    sizes = np.floor(exact + 1e-9).astype(np.int64)
    order = np.argsort(sizes - exact, kind="stable")
    sizes[order[: rows - int(sizes.sum())]] += 1
    for short in np.flatnonzero((sizes == 0) & (shares > 0)):
        largest = int(sizes.argmax())
        if sizes[largest] > 1:
            sizes[largest] -= 1
            sizes[short] = 1
    return sizes


def _blocks(rows: int, shares: NDArray[np.float64]) -> Codes:
    return np.repeat(np.arange(len(shares), dtype=np.uint8), _sizes(rows, shares))


def _dealt(known: Codes, shares: NDArray[np.float64], random: np.random.Generator) -> Codes:
    """The known rows where they are, the others by chance in what is left of the shares."""
    codes, new = known.copy(), known == UNKNOWN
    codes[new] = random.permutation(_blocks(int(new.sum()), _left(known, shares)))
    return codes


def _left(known: Codes, shares: NDArray[np.float64]) -> NDArray[np.float64]:
    """The shares of the new rows that bring all rows nearest to `shares`."""
    held = np.bincount(known[known != UNKNOWN], minlength=len(shares))
    wanted: NDArray[np.float64] = np.maximum(len(known) * shares - held, 0.0)
    return wanted / wanted.sum() if held.any() and wanted.any() else shares


def _stratified(classes: pl.Series, known: Codes, shares: NDArray[np.float64], random: np.random.Generator) -> Codes:
    codes = np.empty(len(classes), dtype=np.uint8)
    dense = classes.rank("dense").fill_null(0).cast(pl.UInt32).to_numpy()
    order = np.argsort(dense, kind="stable")
    ends = np.cumsum(np.bincount(dense))
    for start, end in zip(np.concatenate(([0], ends[:-1])), ends, strict=True):
        members = order[start:end]
        codes[members] = _dealt(known[members], shares, random)
    return codes


def _grouped(groups: pl.Series, known: Codes, shares: NDArray[np.float64], random: np.random.Generator) -> Codes:
    """Whole groups, shuffled, each to the split that is furthest below its share. A group with a row that was in the
    test is in the test."""
    dense = groups.rank("dense").fill_null(0).cast(pl.UInt32).to_numpy()
    sizes = np.bincount(dense)
    wanted = shares * len(groups)
    chosen = np.zeros(len(sizes), dtype=np.uint8)
    placed = np.zeros(len(sizes), dtype=np.bool_)
    rows = known != UNKNOWN
    placed[dense[rows]] = True
    np.maximum.at(chosen, dense[rows], known[rows])
    filled = np.bincount(chosen[placed], weights=sizes[placed], minlength=len(shares))
    order = random.permutation(len(sizes))
    # Large groups first: what is small can still level the splits at the end.
    for group in order[np.argsort(-sizes[order], kind="stable")].tolist():
        if placed[group] or not sizes[group]:
            continue
        split = int(np.argmax((wanted - filled) / shares))
        chosen[group] = split
        filled[split] += sizes[group]
    spread: Codes = chosen[dense]
    return spread


def _by_time(times: pl.Series, shares: NDArray[np.float64]) -> Codes:
    """The earliest rows train, the latest test; rows of one moment are not torn apart unless a split would be empty."""
    order = times.arg_sort(nulls_last=False).to_numpy()
    codes = np.empty(len(times), dtype=np.uint8)
    codes[order] = _blocks(len(times), shares)
    moments = times.rank("dense").fill_null(0).cast(pl.UInt32).to_numpy()
    latest = np.zeros(int(moments.max(initial=0)) + 1, dtype=np.uint8)
    np.maximum.at(latest, moments, codes)
    together: Codes = latest[moments]
    return together if len(np.unique(together)) == len(shares) else codes


def _by_digest(digests: pl.Series, shares: NDArray[np.float64]) -> Codes:
    """Each row by its own digest: the test takes the lowest numbers, validation the next, so that a larger test split
    takes rows from validation before it takes any that trained."""
    _, validation, test = shares
    place = digests.to_numpy() / 2.0**64
    codes: Codes = np.where(place < test, 2, np.where(place < test + validation, 1, 0)).astype(np.uint8)
    return codes


def _things(rows: int, rules: SplitRules, by: pl.Series | None) -> str:
    if rules.strategy == "group" and by is not None:
        return f"{by.n_unique()} groups of {rules.by!r} in {rows} rows"
    return f"{rows} usable rows"
