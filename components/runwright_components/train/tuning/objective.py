"""What a search looks for: one number of a whole training, and one of each of its epochs; pure."""

from __future__ import annotations

import math
from collections.abc import Mapping

from runwright_components.contract.config import TuneConfig
from runwright_components.contract.config.tune import Direction

LOSS = "validation_loss"


def curve_value(config: TuneConfig, figures: Mapping[str, float | str]) -> float | None:
    """The figure of an epoch that pruning goes by, in the objective's direction.

    It is the metric itself where training reports it, else the loss, turned round for a metric that is maximized.
    """
    name = "accuracy" if config.metric == "errorRate" else config.metric
    if name in figures:
        value = float(figures[name])
        value = 1.0 - value if config.metric == "errorRate" else value
    elif LOSS in figures:
        value = float(figures[LOSS]) if config.direction == "minimize" else -float(figures[LOSS])
    else:
        return None
    return value if math.isfinite(value) else None


def is_asked(epoch: int) -> bool:
    """Whether pruning looks at an epoch: each of the first 32, then 16 of a doubling, for boosting has many."""
    return epoch % (1 << max(0, epoch.bit_length() - 5)) == 0


def is_better(direction: Direction, value: float, than: float | None) -> bool:
    return than is None or (value < than if direction == "minimize" else value > than)
