"""What a model says, in the terms of the data: labels with probabilities, or values in the target's own unit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Generation:
    """A generated text of `tokens` tokens; `finish_reason` is `stop` (the model ended it, or a stop string did) or
    `length` (the limit of tokens, or the context's)."""

    text: str
    finish_reason: str
    tokens: int


@dataclass(frozen=True)
class Forecasts:
    """What follows each series: `values`, `lower` and `upper` float64 [N, horizon], the ends of the forecast interval,
    and the stamps, None where the last known one was not told."""

    values: NDArray[np.float64]
    lower: NDArray[np.float64]
    upper: NDArray[np.float64]
    times: list[list[str] | None]


@dataclass(frozen=True)
class Predictions:
    """Classification: `labels` [N] and `probabilities` [N, K], K in the order of the signature's labels, float64.
    Regression: `values` [N], float64, in the unit of the target. Other kinds: `answers`, arrays [N, ...] of numbers or
    truth values by their names. What does not apply is None."""

    labels: list[str] | None = None
    probabilities: NDArray[np.float64] | None = None
    values: NDArray[np.float64] | None = None
    generations: list[Generation] | None = None  # a text for each prompt
    forecasts: Forecasts | None = None  # of time series
    answers: dict[str, NDArray[Any]] | None = None

    def __len__(self) -> int:
        if self.values is not None:
            return len(self.values)
        if self.generations is not None:
            return len(self.generations)
        if self.forecasts is not None:
            return len(self.forecasts.values)
        if self.answers is not None:
            return len(next(iter(self.answers.values())))
        return 0 if self.labels is None else len(self.labels)


def softmax(logits: NDArray[np.float32] | NDArray[np.float64]) -> NDArray[np.float64]:
    """Probabilities [N, K] of logits [N, K], in float64, so that every caller rounds alike."""
    exact = np.asarray(logits, dtype=np.float64)
    powers = np.exp(exact - exact.max(axis=1, keepdims=True))
    normalized: NDArray[np.float64] = powers / powers.sum(axis=1, keepdims=True)
    return normalized
