"""What a boosting library does for us, and the two that we have."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runwright_components.contract.artifacts import ModelManifest
from runwright_components.contract.config import TaskKind
from runwright_components.contract.config.trees import TreesConfig
from runwright_components.contract.outcome import Reason, StageError
from runwright_components.train.boosting.forest import Forest
from runwright_components.train.boosting.table import Columns, Matrix, Table, as_matrix

Output = NDArray[Any]
Native = Callable[[Mapping[str, NDArray[Any]]], Output]


@dataclass(frozen=True)
class Growth:
    """What is grown, on what, from the booster `start` of `done` rounds (b"": from none)."""

    task: TaskKind
    classes: int
    columns: Columns
    trees: TreesConfig
    training: Table
    validation: Table
    seed: int
    threads: int
    start: bytes = b""
    done: int = 0


@dataclass(frozen=True)
class Round:
    """A round that has ended. The outputs are the probability of the second class [N], of all classes [N, K], or
    values [N] in standardized units; `content` gives the booster's bytes."""

    training: Output
    validation: Output
    content: Callable[[], bytes]


class Library(ABC):
    """A booster is its bytes: the library's own file format, no pickle."""

    file: str
    """Name of the booster's file in a model's folder."""
    error: type[Exception]
    """What the library raises."""

    @abstractmethod
    def grow(self, growth: Growth, each: Callable[[Round], bool]) -> None:
        """Add rounds up to `growth.trees.rounds`, calling `each` after every one; it tells whether to stop.

        A round depends on the booster before it, the data, the seed and its number alone, so that training from the
        bytes of any round gives bit by bit what training without the pause gives.
        """

    @abstractmethod
    def first(self, content: bytes, rounds: int) -> bytes:
        """The booster of the first `rounds` rounds."""

    @abstractmethod
    def forest(self, content: bytes) -> Forest:
        """The booster's trees."""

    @abstractmethod
    def margins(self, content: bytes) -> Callable[[Matrix], Output]:
        """The library's own prediction before sigmoid or softmax: [N], or [N, K] for more than two classes."""


def library(name: str) -> Library:
    """The library of a model's name."""
    if name == "xgboost":
        from runwright_components.train.boosting.xgboost_library import XGBoost

        return XGBoost()
    from runwright_components.train.boosting.lightgbm_library import LightGbm

    return LightGbm()


BOOSTERS = {"xgboost": "booster.ubj", "lightgbm": "booster.txt"}
"""The file that holds the booster of each model."""


def native(folder: Path) -> Native:
    """The outputs of the booster in a model's folder, by its own library: `logits` [N, K] or `value` [N].

    Raises StageError (DataUnreadable) when the file is missing or altered.
    """
    manifest = ModelManifest.read(folder)
    path = folder / BOOSTERS[manifest.model.name]
    reader = library(manifest.model.name)
    try:
        margins = reader.margins(path.read_bytes())
    except (OSError, UnicodeDecodeError, reader.error) as error:
        raise StageError(
            Reason.DATA_UNREADABLE,
            f"the booster cannot be read: {str(error).strip().splitlines()[0]}",
            where=str(path),
            cure="the folder was altered or made by another version; train again",
        ) from error

    def outputs(inputs: Mapping[str, NDArray[Any]]) -> Output:
        found = margins(as_matrix(inputs))
        if manifest.task == "regression" or found.ndim == 2:
            return found
        return np.stack([np.zeros_like(found), found], axis=1)

    return outputs


def threads() -> int:
    """Threads that a training may use: OMP_NUM_THREADS, else the processors of this process."""
    given = os.environ.get("OMP_NUM_THREADS", "")
    return int(given) if given.isdigit() and int(given) else len(os.sched_getaffinity(0))


def seeds(seed: int, number: int, count: int) -> list[int]:
    """Seeds of round `number`, each below 2**31, unrelated to those of other rounds."""
    return [int(word) >> 1 for word in np.random.SeedSequence([seed, number]).generate_state(count)]
