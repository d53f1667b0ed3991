"""Inputs that are made of others: intervals of a number, numbers that stand for categories, products of numbers.

Every operation works element by element, so a row gives the same bits alone and within a batch.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from runwright_components.contract.artifacts import Document

Numbers = NDArray[np.float64]
Codes = NDArray[np.int32]

_LARGEST = float(np.finfo(np.float32).max)


class BinnedInput(Document):
    """A number as a category: code i + 1 is the interval from edges[i - 1] up to below edges[i], the outermost ones are
    open. What is missing, or outside [low, high] where these are given, has the code `missing`. With `onehot` the codes
    from 1 become 0/1 inputs."""

    name: str
    column: str
    edges: tuple[float, ...]
    missing: int
    low: float | None = None
    high: float | None = None
    onehot: bool = False

    @property
    def size(self) -> int:
        """Codes are 1 <= code < size."""
        return max(len(self.edges) + 2, self.missing + 1)

    @property
    def onehot_names(self) -> tuple[str, ...]:
        bounds = [f"{edge:.12g}" for edge in self.edges]
        names = (f"<{bounds[0]}", *(f"{low}..{high}" for low, high in pairwise(bounds)))
        extra = (f"{self.name}=?",) if self.missing > len(self.edges) + 1 else ()
        return (*(f"{self.name}={name}" for name in (*names, f">={bounds[-1]}")), *extra)

    def codes(self, numbers: Numbers) -> Codes:
        """int32 [N] of numbers [N] (not finite: missing)."""
        low = -math.inf if self.low is None else self.low
        high = math.inf if self.high is None else self.high
        with np.errstate(invalid="ignore"):
            known = np.isfinite(numbers) & (numbers >= low) & (numbers <= high)
        places = np.searchsorted(np.array(self.edges), np.where(known, numbers, 0.0), side="right")
        return np.where(known, places + 1, self.missing).astype(np.int32)


class LookupInput(Document):
    """One float32 input: `values[code]` of a column's category."""

    name: str
    column: str
    values: tuple[float, ...]


class Product(Document):
    """One float32 input: the product of the numeric inputs `factors`."""

    name: str
    factors: tuple[str, ...]


class Lookups:
    """Applies `LookupInput`s."""

    def __init__(self, inputs: Sequence[LookupInput]) -> None:
        self._tables = [(item.column, np.array(item.values, dtype=np.float32)) for item in inputs]

    def encode(self, codes: Mapping[str, Codes]) -> NDArray[np.float32]:
        """float32 [F, N] of each column's codes."""
        return np.array([table[codes[column]] for column, table in self._tables])


class Products:
    """Applies `Product`s to inputs of these names."""

    def __init__(self, inputs: Sequence[Product], names: Sequence[str]) -> None:
        place = {name: row for row, name in enumerate(names)}
        self._factors = [[place[name] for name in item.factors] for item in inputs]

    def encode(self, encoded: NDArray[np.float32]) -> NDArray[np.float32]:
        """float32 [F, N] of the numeric inputs [M, N]."""
        made = np.empty((len(self._factors), encoded.shape[1]), dtype=np.float32)
        for product, (first, *others) in zip(made, self._factors, strict=True):
            product[:] = encoded[first]
            for other in others:
                with np.errstate(over="ignore"):
                    product *= encoded[other]
                np.clip(product, -_LARGEST, _LARGEST, out=product)
        return made
