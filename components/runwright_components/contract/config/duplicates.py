"""What the prepare stage is told of the same thing twice."""

from __future__ import annotations

from typing import Literal

from runwright_components.contract.config.base import Config


class DuplicatesBy(Config):
    columns: tuple[str, ...]
    keep: Literal["first", "last"] = "first"


class DuplicatesFuzzy(Config):
    columns: tuple[str, ...]
    same: tuple[str, ...] = ()
    similarity: float = 0.6  # Jaccard, of shingles of characters
    shingle: int = 3
    action: Literal["drop", "warn"] = "drop"


class NearDuplicates(Config):
    action: Literal["drop", "warn"] = "drop"
    similarity: float | None = None  # None: 0.8 for texts (Jaccard), 0.95 for images (equal bits)
    unit: Literal["words", "characters"] = "words"
    shingle: int = 3
