"""A number in a string of a request, read by the very expressions that read the training data."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import polars as pl

from runwright_components.features.values import Notation, Words, number

Rules = Callable[[str], tuple[Notation, Words]]


def reader(rules: Rules) -> Callable[[str, str], float | None]:
    """A function of a field's name and a string; None where the string is a missing word, ValueError where it does not
    read as a number. `rules` gives a field's notation and words. What was read is remembered."""

    @lru_cache(maxsize=4096)
    def read(field: str, text: str) -> float | None:
        notation, words = rules(field)
        if text.strip().lower() in words.missing:
            return None
        frame = pl.DataFrame({"text": [text]}, schema={"text": pl.String})
        value = frame.select(number(pl.col("text"), pl.String(), notation, words)).item()
        if value is None:
            raise ValueError(text)
        return float(value)

    return read
