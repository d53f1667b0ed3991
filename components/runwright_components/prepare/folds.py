"""Cross-validation: prepared data for each fold, fitted on the fold's own training rows alone.

The rows that are not the test are cut into K folds by the split's strategy. Of fold k the k-th part is the test, and
the rest is training and validation in the proportion of their shares. With time, K + 1 blocks follow one another: fold
k trains on the first k + 1 and is judged by the one after them (rolling origin, Tashman 2000). The test split itself
is in no fold.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from runwright_components.contract.artifacts import MANIFEST, PreparedManifest, fold_folder
from runwright_components.contract.config import SPLITS, PrepareConfig, SplitRules
from runwright_components.contract.files import files_digest, folder_files
from runwright_components.contract.outcome import Reason, StageError
from runwright_components.contract.progress import Progress, silent
from runwright_components.prepare.split import UNKNOWN, Codes, deal

LEFT_OUT = 255
_TRAIN, _VALIDATION, _TEST = range(len(SPLITS))


@dataclass(frozen=True)
class Fold:
    """The fold `number`, from 0, of `count`."""

    number: int
    count: int

    def codes(self, codes: Codes, rules: SplitRules, by: pl.Series | None) -> Codes:
        """The splits of this fold, uint8 [rows], from those of the whole; LEFT_OUT for rows that it does not have.

        Raises StageError when there are too few rows, or groups, for so many folds.
        """
        pool = np.flatnonzero(codes != _TEST)
        of_pool = None if by is None else by.gather(pool)
        parts = self.count + 1 if rules.strategy == "time" else self.count
        # One and the same generator for every fold: they are parts of one whole.
        folds = _deal(rules, np.full(parts, 1 / parts), of_pool, len(pool), rules.seed)
        if len(np.unique(folds)) < parts:
            raise StageError(
                Reason.DATA_INVALID,
                f"{len(pool)} rows that are not the test are too few for {self.count} folds",
                where="prepare.split.folds",
                cure="choose fewer folds, or give more rows" + (" or groups" if rules.strategy == "group" else ""),
            )
        held = self.number + 1 if rules.strategy == "time" else self.number
        rest = folds < held if rules.strategy == "time" else folds != held
        shares = np.array([rules.train, rules.validation]) / (rules.train + rules.validation)
        of_rest = None if of_pool is None else of_pool.filter(pl.Series(rest))
        found = np.full(len(codes), LEFT_OUT, dtype=np.uint8)
        found[pool[rest]] = _deal(rules, shares, of_rest, int(rest.sum()), rules.seed + 1 + self.number)
        found[pool[folds == held]] = _TEST
        return found


def _deal(rules: SplitRules, shares: NDArray[np.float64], by: pl.Series | None, rows: int, seed: int) -> Codes:
    new = np.full(rows, UNKNOWN, dtype=np.uint8)
    return deal(new, rules.strategy, shares, by, np.random.default_rng(seed))


Write = Callable[[Fold, PrepareConfig, Path, Progress], PreparedManifest]


def write_folds(
    config: PrepareConfig, folder: Path, manifest: PreparedManifest, write: Write, progress: Progress
) -> PreparedManifest:
    """Prepare each fold into a folder of its own under the prepared data in `folder`. Raises StageError."""
    count = config.split.folds
    assert count is not None
    plain = config.model_copy(update={"label_errors": "ignore"})  # told of the whole already
    for number in range(count):
        progress.note(f"preparing fold {number + 1} of {count}")
        place = fold_folder(folder, number)
        place.mkdir(parents=True)
        try:
            write(Fold(number, count), plain, place, silent("prepare"))
        except StageError as error:
            where = f"fold {number + 1} of {count}, {error.where}".removesuffix(", ")
            raise StageError(error.reason, error.message, where=where, cure=error.cure) from error
    digest = files_digest(folder_files(folder, without=[MANIFEST]))
    found = manifest.model_copy(update={"folds": count, "digest": digest})
    found.write(folder)
    return found
