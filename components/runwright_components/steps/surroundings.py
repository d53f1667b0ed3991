"""What a step knows of the cluster that it runs in, for as long as its body runs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from runwright_components.contract.cluster import ClusterRun
from runwright_components.contract.config import parse
from runwright_components.contract.step import StageName

if TYPE_CHECKING:
    from runwright_components.cluster.client import Kubernetes
    from runwright_components.cluster.records import RecordWriter


@dataclass(frozen=True)
class InCluster:
    """One step of the KFP run `run_id`."""

    run: ClusterRun
    run_id: str
    _records: dict[StageName, RecordWriter] = field(default_factory=dict)

    @cached_property
    def kubernetes(self) -> Kubernetes:
        from runwright_components.cluster.client import Kubernetes

        return Kubernetes.connect()

    def record(self, stage: StageName) -> RecordWriter:
        """The record that this step keeps of `stage`."""
        from runwright_components.cluster.records import RecordWriter

        if stage not in self._records:
            self._records[stage] = RecordWriter(self.kubernetes, self.run, run_id=self.run_id, stage=stage)
        return self._records[stage]


_here: ContextVar[InCluster | None] = ContextVar("cluster", default=None)


def in_cluster() -> InCluster | None:
    """The cluster that this step runs in; None on one machine."""
    return _here.get()


@contextmanager
def surroundings(cluster: str, run_id: str) -> Iterator[None]:
    """Tell the body of a step of its cluster. `cluster` is the JSON of a ClusterRun; an empty one changes nothing."""
    if not cluster:
        yield
        return
    token = _here.set(InCluster(parse(ClusterRun, cluster), run_id))
    try:
        yield
    finally:
        _here.reset(token)
