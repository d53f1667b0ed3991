"""What a step knows of the cluster that it runs in, for as long as its body runs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from runwright_components.contract.cluster import ClusterRun
from runwright_components.contract.config import parse


@dataclass(frozen=True)
class InCluster:
    """One step of the KFP run `run_id`."""

    run: ClusterRun
    run_id: str


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
