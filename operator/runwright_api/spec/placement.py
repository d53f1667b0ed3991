"""Where training runs: `spec.train.resources`, `scheduling` and `retries`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from runwright_api.part import Lax, Part, Rule, unless
from runwright_api.spec.shared import Compute
from runwright_api.text import LabelKey, LabelValue, ObjectName


class TrainResources(Compute):
    """Where training runs. Only processesPerNode matters on one machine."""

    nodes: Annotated[int, Field(ge=1, le=1024)] = 1
    """Nodes. Used in a cluster only. Default: 1."""
    gpus_per_node: Annotated[int, Field(ge=0, le=16)] = 0
    """GPUs of each node. Used in a cluster only. Default: 0."""
    processes_per_node: Annotated[int, Field(ge=1, le=64)] = 1
    """Training processes on each node; with GPUs, one a GPU. Default: 1."""


class Toleration(Part):
    """A taint that the training pods tolerate."""

    key: LabelKey | None = None
    """Key of the taint; none with `operator: Exists` means every taint."""
    operator: Literal["Exists", "Equal"] = "Equal"
    """Default: Equal."""
    value: LabelValue | None = None
    """Value of the taint, for Equal."""
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = None
    """Effect of the taint. Default: every effect."""
    toleration_seconds: Annotated[int | None, Field(ge=0, le=2**31 - 1)] = None
    """How long NoExecute is tolerated. Default: for ever."""

    rules = (
        Rule(
            message="`value` belongs to `operator: Equal`",
            broken=lambda self: unless(self.operator == "Equal" or self.value is None, "value"),
            cel="!has(self.value) || !has(self.operator) || self.operator == 'Equal'",
            cure="remove `value`, or use `operator: Equal`",
        ),
        Rule(
            message="`operator: Equal` needs a key",
            broken=lambda self: unless(self.operator == "Exists" or self.key is not None, "key"),
            cel="has(self.key) || (has(self.operator) && self.operator == 'Exists')",
            cure="add `key`, or use `operator: Exists`",
        ),
    )


class Scheduling(Part):
    """Where in the cluster training runs, and when. Used in a cluster only."""

    queue: ObjectName | None = None
    """Kueue LocalQueue of the same namespace. Default: none."""
    priority_class_name: ObjectName | None = None
    """PriorityClass of the pods."""
    node_selector: Annotated[dict[LabelKey, LabelValue], Field(max_length=32)] = Field(default={})
    """Labels that a node must have."""
    tolerations: Annotated[tuple[Toleration, ...], Field(max_length=32), Lax] = ()
    """Taints that the pods tolerate."""


class Retries(Part):
    """How often training starts again, from its newest checkpoint."""

    failures: Annotated[int, Field(ge=0, le=100)] = 2
    """After failures of its own; on one machine, those of one of several processes. Default: 2."""
    preemptions: Annotated[int, Field(ge=0, le=10_000)] = 10
    """After its pods were taken away. Used in a cluster only. Default: 10."""
