"""`spec.monitor` and `retrain`: their shape is settled, and they are refused until they exist."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from runwright_api.part import Part
from runwright_api.spec.evaluate import Metric
from runwright_api.spec.shared import Columns
from runwright_api.text import Cron, Duration

_NUMBER = Field(ge=-1e15, le=1e15)


class DriftMonitor(Part):
    """Watch whether live inputs still look like the training data."""

    columns: Columns = ()
    """Columns that are watched. Default: all inputs."""
    method: Literal["psi", "ks", "js"] = "psi"
    """Population stability index, Kolmogorov-Smirnov, or Jensen-Shannon. Default: psi."""
    threshold: Annotated[float, Field(gt=0.0, le=100.0)] = 0.2
    """Above it, a column has drifted. Default: 0.2."""
    window: Duration = "1d"
    """The requests that are compared. Default: 1d."""


class QualityMonitor(Part):
    """Watch the metrics, where the truth arrives later."""

    metric: Metric
    """The metric."""
    min: Annotated[float | None, _NUMBER] = None
    """Least value that is good."""
    max: Annotated[float | None, _NUMBER] = None
    """Greatest value that is good."""


class LatencyMonitor(Part):
    """Watch the time of answers."""

    p99_ms: Annotated[float, Field(gt=0.0, le=1e6)]
    """Greatest good 99th percentile in milliseconds."""


class MonitorSpec(Part):
    """What is watched while the model serves."""

    drift: DriftMonitor | None = None
    """Drift of the inputs."""
    quality: QualityMonitor | None = None
    """Quality of the answers."""
    latency: LatencyMonitor | None = None
    """Time of the answers."""
    every: Duration = "1h"
    """How often. Default: 1h."""


class RetrainSpec(Part):
    """When a new revision is trained although the recipe did not change."""

    schedule: Cron | None = None
    """Cron schedule in UTC."""
    on_drift: bool = False
    """When an input has drifted. Default: false."""
    on_new_data: bool = False
    """When the sources have changed. Default: false."""
    cooldown: Duration = "6h"
    """Least time between two. Default: 6h."""
    max_per_day: Annotated[int, Field(ge=1, le=1440)] = 4
    """At most this many a day. Default: 4."""
