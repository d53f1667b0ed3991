"""Leaving out texts and images that nearly repeat an earlier one, before the rows are split."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from runwright_components.contract.artifacts import ROW_ID
from runwright_components.contract.config.duplicates import DuplicatesFuzzy, NearDuplicates
from runwright_components.prepare import minhash
from runwright_components.prepare.clusters import Rows, joined
from runwright_components.prepare.quality import SAMPLES, Dropped

_TEXTS, _IMAGES = 0.8, 0.95


def of_texts(texts: pl.Series, rules: NearDuplicates) -> Rows:
    """The first row of the cluster of each text, int64 [N]; texts are not null."""
    shingling = minhash.Shingling(rules.unit, rules.shingle)
    return joined(len(texts), minhash.pairs(texts, rules.similarity or _TEXTS, shingling))


def of_images(hashes: pl.Series, rules: NearDuplicates) -> Rows:
    """The same of images, by their difference hashes (Binary)."""
    from runwright_components.prepare import perceptual  # opens images, which texts have none of

    return joined(len(hashes), perceptual.pairs(hashes.to_list(), rules.similarity or _IMAGES))


@dataclass(frozen=True)
class Told:
    """What is told of the rows that nearly repeat another: left out, or kept with a warning."""

    dropped: tuple[Dropped, ...] = ()
    warnings: tuple[str, ...] = ()


def without(
    rows: pl.DataFrame, first: Rows, rules: NearDuplicates | DuplicatesFuzzy, what: str
) -> tuple[pl.DataFrame, Told]:
    """The rows that nearly repeat none before them, and what is told of the others; all rows where they are kept."""
    repeats = first != np.arange(len(rows))
    if not repeats.any():
        return rows, Told()
    reason = f"nearly the same {what} as an earlier row ({shown(rows, first)})"
    if rules.action == "warn":
        return rows, Told(warnings=(f"{repeats.sum()} rows: {reason}; they may lie in two splits at once",))
    samples = tuple(rows[ROW_ID].filter(pl.Series(repeats)).head(SAMPLES).to_list())
    dropped = Dropped(reason=reason, rows=int(repeats.sum()), samples=samples)
    return rows.filter(pl.Series(~repeats)), Told(dropped=(dropped,))


def shown(rows: pl.DataFrame, first: Rows) -> str:
    """Which rows are like which, of the first few."""
    numbers = rows[ROW_ID].to_numpy()
    places = np.flatnonzero(first != np.arange(len(rows)))[:SAMPLES]
    return ", ".join(f"row {numbers[place]} like row {numbers[first[place]]}" for place in places.tolist())
