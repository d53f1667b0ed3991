"""What models answer that learned without a target."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

SCORE, ANOMALY = "score", "anomaly"
CLUSTER, DISTANCES = "cluster", "distances"
EMBEDDING = "embedding"

LIMIT = 0.5  # scores above it are anomalies


def answers(raw: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """From the graph's output by name: `score` float [N] gives `score` float64 [N] in [0, 1) and `anomaly` bool [N];
    `distances` [N, K] gives `cluster` int64 [N], the nearest, and `distances`; `embedding` [N, D] gives itself."""
    ((name, output),) = raw.items()
    found: NDArray[np.float64] = np.asarray(output, dtype=np.float64)
    if name == SCORE:
        return {SCORE: found, ANOMALY: found > LIMIT}
    if name == DISTANCES:
        return {CLUSTER: found.argmin(axis=1), DISTANCES: found}
    return {name: found}
