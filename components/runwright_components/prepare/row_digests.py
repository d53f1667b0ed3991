"""A number for each row of a table that stays the same in later revisions, however the rows around it change.

Every cell gets 64 bits of its own: a number those of its value, a word those of BLAKE2b of the text under which
categories are compared. They are mixed with the column's name and added up, so neither the order of the columns nor
that of the rows counts; and a column that is a number in one revision and a category in the next gives 3, 3.0 and "3"
the same. The mixing is the finalizer of SplitMix64 (Steele, Lea and Flood 2014).
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray

from runwright_components.features.values import Words, key
from runwright_components.prepare.clean import Cleaned
from runwright_components.prepare.infer import Plan
from runwright_components.prepare.memory import Digests
from runwright_components.prepare.raw import RawData

_BLOCK = 65_536  # rows mixed at once: what a processor's cache holds
_MISSING = np.uint64(0x9E3779B97F4A7C15)
_WORDS = Words(fold_case=True)


def digested(dtype: pl.DataType) -> bool:
    """Whether cells of this type have a digest: lists, structures and bytes have none."""
    return not (dtype.is_nested() or dtype in (pl.Binary, pl.Object, pl.Null))


def row_digests(data: RawData, cleaned: Cleaned, plans: Sequence[Plan], columns: Sequence[str]) -> Digests:
    """uint64 [rows], of the cells in `columns`, each as it was read."""
    by_name = {plan.name: plan for plan in plans}
    total = np.zeros(data.rows, dtype=np.uint64)
    for name in columns:
        _add(total, _cells(data, cleaned, by_name[name]), salt=_of_word(name))
    return total


def text_digests(texts: pl.Series) -> Digests:
    """uint64 [rows], of texts or bytes alone."""
    numbers = np.full(len(texts), _MISSING, dtype=np.uint64)
    present = texts.is_not_null().to_numpy()
    numbers[present] = [_of_word(cell) for cell in texts.drop_nulls().to_list()]
    return numbers


def _cells(data: RawData, cleaned: Cleaned, plan: Plan) -> NDArray[np.uint64]:
    if plan.reader is not None and not plan.spelled:
        return _of_numbers(cleaned.numbers(plan.name))
    if plan.spelled:
        of_key = np.append(_of_texts(cleaned.spellings[plan.name].keys), _MISSING)
        places = cleaned.column(plan.name)
        cells: NDArray[np.uint64] = of_key[places.fill_null(len(of_key) - 1).to_numpy()]
        return cells
    column = data.source.select(plan.name).collect(engine="streaming").to_series()
    if plan.dtype.is_float() or (plan.dtype.is_integer() and _fits(column)):
        return _of_numbers(column.cast(pl.Float64).to_numpy())
    return _of_texts(column.to_frame().select(key(pl.col(plan.name), plan.dtype, _WORDS)).to_series())


def _fits(column: pl.Series) -> bool:
    """Whether float64 holds every one of these integers."""
    return bool(column.drop_nulls().is_between(-(2**53), 2**53).all())


def _of_numbers(values: NDArray[np.float64]) -> NDArray[np.uint64]:
    plain = values + 0.0  # one zero
    bits: NDArray[np.uint64] = plain.view(np.uint64).copy()
    bits[~np.isfinite(plain)] = _MISSING
    return bits


def _of_texts(texts: pl.Series) -> NDArray[np.uint64]:
    values = texts.cast(pl.Float64, strict=False)
    plain = values.is_finite().fill_null(value=False).to_numpy()
    numbers = _of_numbers(values.fill_null(0.0).to_numpy())
    words = text_digests(texts.filter(~pl.Series(plain)))
    numbers[~plain] = words
    return numbers


def _of_word(word: str | bytes) -> np.uint64:
    plain = word if isinstance(word, bytes) else word.encode()
    return np.uint64(int.from_bytes(hashlib.blake2b(plain, digest_size=8).digest(), "big"))


def _add(total: Digests, cells: NDArray[np.uint64], *, salt: np.uint64) -> None:
    """Mix the cells of a column into the rows' numbers, in place."""
    for start in range(0, len(total), _BLOCK):
        mixed = cells[start : start + _BLOCK] + salt
        mixed ^= mixed >> np.uint64(30)
        mixed *= np.uint64(0xBF58476D1CE4E5B9)
        mixed ^= mixed >> np.uint64(27)
        mixed *= np.uint64(0x94D049BB133111EB)
        mixed ^= mixed >> np.uint64(31)
        total[start : start + _BLOCK] += mixed
