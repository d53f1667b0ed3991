"""Which rows had which split, kept from revision to revision: a row that once was a test row trains no later model.

A row is known by a number of 62 bits, its digest. The file `splits.parquet` holds one sorted column of them, each with
its split in the two lowest bits; sorted numbers are told by their differences, so ten million rows take about 50 MB.
Among n rows two share a digest with probability n^2 / 2^63.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from runwright_components.contract.config import SPLITS, SplitRules
from runwright_components.prepare.quality import KeptSplits
from runwright_components.prepare.split import UNKNOWN, Codes

FILE = "splits.parquet"
REMEMBERING = ("random", "stratified", "group", "hash")
Digests = NDArray[np.uint64]

_CODE = np.uint64(3)
_DIGESTS, _BY, _COLUMNS = "digests", b"by", b"columns"
_TEST = SPLITS.index("test")
_TRAIN = SPLITS.index("train")


def remembers(rules: SplitRules) -> bool:
    """Whether splits by these rules last: a time split moves on, and a predefined one is its owner's."""
    return rules.remember is not False and rules.strategy in REMEMBERING


@dataclass(frozen=True)
class Memory:
    """The digests of rows by `columns`, with their splits: uint64 [N], ascending. `by` says that the columns are the
    one that tells entities apart (a group's), else they are the content of a row."""

    columns: tuple[str, ...]
    by: bool
    packed: Digests

    def codes(self, digests: Digests) -> Codes:
        """The split that each digest had, UNKNOWN where it is new, uint8 [rows]."""
        bare = self.packed & ~_CODE
        wanted = digests & ~_CODE
        places = np.searchsorted(bare, wanted)
        found = places < len(bare)
        found[found] = bare[places[found]] == wanted[found]
        codes = np.full(len(digests), UNKNOWN, dtype=np.uint8)
        codes[found] = (self.packed[places[found]] & _CODE).astype(np.uint8)
        return codes

    def continued(self, former: Memory | None) -> Memory:
        """With what a former memory of the same columns has of rows that are not here now, those that trained apart."""
        if former is None or (former.columns, former.by) != (self.columns, self.by):
            return self
        gone = former.packed[(self.codes(former.packed) == UNKNOWN) & ((former.packed & _CODE) != _TRAIN)]
        return Memory(self.columns, self.by, np.sort(np.concatenate((self.packed, gone))))

    def write(self, folder: Path) -> None:
        import pyarrow as pa
        from pyarrow import parquet

        told = {_BY: json.dumps(self.by), _COLUMNS: json.dumps(self.columns)}
        schema = pa.schema([(_DIGESTS, pa.uint64())], metadata=told)
        table = pa.table({_DIGESTS: self.packed}, schema=schema)
        encoding = {_DIGESTS: "DELTA_BINARY_PACKED"}
        parquet.write_table(table, folder / FILE, use_dictionary=False, column_encoding=encoding, compression="none")

    @classmethod
    def read(cls, folder: Path | None) -> Memory | None:
        """What a former revision kept; None where it kept nothing, or another version did."""
        if folder is None or not (folder / FILE).is_file():
            return None
        import pyarrow as pa
        from pyarrow import parquet

        try:
            table = parquet.read_table(folder / FILE)
            told = table.schema.metadata
            packed = table.column(_DIGESTS).to_numpy()
            return cls(tuple(json.loads(told[_COLUMNS])), bool(json.loads(told[_BY])), packed.astype(np.uint64))
        except (pa.ArrowException, OSError, KeyError, TypeError, ValueError):
            return None


@dataclass(frozen=True)
class Recall:
    """What is known of rows before they are split: by which columns they are recognized, their `digests` by these, and
    the splits that they had, uint64 and uint8 [rows]."""

    columns: tuple[str, ...]
    by: bool
    digests: Digests
    former: Memory | None
    known: Codes

    @classmethod
    def of(
        cls,
        former: Memory | None,
        digests: Callable[[tuple[str, ...]], Digests],
        *,
        columns: Sequence[str],
        target: str,
        by: str | None,
    ) -> Recall:
        """`columns` are those that have digests; `by` the one that tells entities apart, if any.

        A row is its columns but the target, for a label may be mended. Those of the former memory are kept to for as
        long as they are there: another column does not make all rows new.
        """
        there = former is not None and set(former.columns) <= set(columns)
        own = tuple(sorted(name for name in columns if name != target))
        chosen = (by,) if by else former.columns if former and there and not former.by else own
        found = digests(chosen)
        known = np.full(len(found), UNKNOWN, dtype=np.uint8)
        if former is not None and there:
            known = former.codes(found if former.columns == chosen else digests(former.columns))
        return cls(chosen, by is not None, found, former, known)

    def record(self, codes: Codes) -> tuple[Memory, KeptSplits]:
        """The memory for the next revision, of rows with these splits, and what is told of it."""
        memory, unlike = _memorized(self.columns, self.digests, codes, by=self.by)
        again = int((self.known != UNKNOWN).sum())
        told = KeptSplits(
            columns=self.columns,
            known=again,
            new=len(codes) - again,
            unrecognizable=unlike,
            lost=self.former is not None and len(self.former.packed) > 0 and again == 0,
        )
        return memory.continued(self.former), told


def lost(kept: KeptSplits) -> Iterator[str]:
    """What is worth a warning."""
    if kept.lost:
        yield (
            "no row of the former revision was recognized, so its test rows may train this time; where rows change "
            "or columns go, name the one that tells rows apart: prepare.split: {strategy: hash, by: COLUMN}"
        )


def _memorized(columns: tuple[str, ...], digests: Digests, codes: Codes, *, by: bool) -> tuple[Memory, int]:
    """The memory, and the number of rows that it lacks: those whose digest is in two splits, for nothing tells them
    apart."""
    packed = np.sort((digests & ~_CODE) | codes.astype(np.uint64))
    first = np.ones(len(packed), dtype=np.bool_)
    first[1:] = packed[1:] != packed[:-1]
    bare = packed & ~_CODE
    same = bare[1:] == bare[:-1]
    torn = same & (packed[1:] != packed[:-1])
    if not torn.any():
        return Memory(columns, by, packed[first]), 0
    doubtful = np.isin(bare, bare[1:][torn], kind="sort")
    return Memory(columns, by, packed[first & ~doubtful]), int(doubtful.sum())
