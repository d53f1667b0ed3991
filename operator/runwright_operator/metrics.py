"""Prometheus metrics. Labels have few values; the one series a run, its GPU-seconds, goes with the run."""

from __future__ import annotations

import platform
import time
from collections import Counter as Tally
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from runwright_api.reasons import Phase
from runwright_api.status import Revision, TrainingRunStatus
from runwright_operator.brain.transitions import known_before
from runwright_operator.resources import Key

_FAST = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_SLOW = (1, 5, 15, 30, 60, 120, 300, 600, 1800, 3600, 7200, 14400, 43200, 86400)


class Metrics:
    """All of the operator's metrics, in a registry of their own. Safe to use from several threads."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._stages: dict[Key, tuple[str, float]] = {}
        disable_created_metrics()  # type: ignore[no-untyped-call]  # they double the page
        self.registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        self._reconciles = Counter(
            "runwright_reconcile_total", "Looks at a TrainingRun.", ["result"], registry=registry
        )
        self._reconcile_seconds = Histogram(
            "runwright_reconcile_duration_seconds", "How long a look takes.", buckets=_FAST, registry=registry
        )
        self._queue_depth = Gauge("runwright_queue_depth", "TrainingRuns that wait for a look.", registry=registry)
        self._queue_oldest = Gauge(
            "runwright_queue_oldest_seconds", "How long the first of them waits.", registry=registry
        )
        self._api_calls = Counter(
            "runwright_api_calls_total", "Requests to the API server.", ["verb", "resource", "code"], registry=registry
        )
        self._kfp_calls = Counter(
            "runwright_kfp_calls_total", "Requests to Kubeflow Pipelines.", ["method", "outcome"], registry=registry
        )
        self._failures = Counter(
            "runwright_run_failures_total", "Revisions that failed.", ["stage", "reason"], registry=registry
        )
        self._stage_seconds = Histogram(
            "runwright_stage_duration_seconds", "How long a stage takes.", ["stage"], buckets=_SLOW, registry=registry
        )
        self._verdicts = Counter("runwright_gate_verdicts_total", "What gates said.", ["verdict"], registry=registry)
        self._gpu_seconds = Counter(
            "runwright_gpu_seconds_total",
            "GPUs times the seconds that a run's trainings held them.",
            ["namespace", "run"],
            registry=registry,
        )
        self._leader = Gauge("runwright_leader", "1 while this replica is the one that works.", registry=registry)
        self._missed = Counter(
            "runwright_watch_missed_total", "Changes that a watch lost and a relist found.", registry=registry
        )
        build = Gauge("runwright_build_info", "What runs here.", ["version", "python"], registry=registry)
        build.labels(_version(), platform.python_version()).set(1)

    def watch_phases(self, phases: Callable[[], Iterable[str]]) -> None:
        """Count TrainingRuns by phase at each scrape."""
        self.registry.register(_Phases(phases))

    def watch_queue(self, depth: Callable[[], float], oldest: Callable[[], float]) -> None:
        """Read the queue at each scrape."""
        self._queue_depth.set_function(depth)
        self._queue_oldest.set_function(oldest)

    @contextmanager
    def reconcile(self) -> Iterator[None]:
        """Times one look; what it raises counts as its result."""
        began = self._clock()
        result = "ok"
        try:
            yield
        except BaseException as error:
            result = type(error).__name__
            raise
        finally:
            self._reconciles.labels(result).inc()
            self._reconcile_seconds.observe(self._clock() - began)

    def api_call(self, verb: str, resource: str, code: str) -> None:
        self._api_calls.labels(verb, resource, code).inc()

    def kfp_call(self, method: str, outcome: str) -> None:
        self._kfp_calls.labels(method, outcome).inc()

    def leader(self, is_leader: bool) -> None:
        self._leader.set(1 if is_leader else 0)

    def missed(self, changes: int) -> None:
        self._missed.inc(changes)

    def transition(self, key: Key, before: TrainingRunStatus, after: TrainingRunStatus) -> None:
        """Count what a written status says for the first time."""
        self._stage(key, after)
        old = known_before(before, after)
        for revision in after.revisions:
            self._revision(key, old.get(revision.number), revision)

    def forget(self, key: Key) -> None:
        """The TrainingRun is gone, and its series with it."""
        self._stages.pop(key, None)
        self._gpu_seconds.remove_by_labels({"namespace": key.namespace, "run": key.name})

    def page(self) -> bytes:
        """All metrics in Prometheus' text format."""
        return generate_latest(self.registry)

    def _revision(self, key: Key, old: Revision | None, new: Revision) -> None:
        if new.verdict and (old is None or old.verdict != new.verdict):
            self._verdicts.labels(new.verdict).inc()
        if new.state == "Failed" and (old is None or old.state != "Failed"):
            failure = new.failure
            stage = str(failure.stage) if failure and failure.stage else ""
            self._failures.labels(stage, str(failure.reason) if failure else "").inc()
        spent = (new.gpu_seconds or 0.0) - ((old.gpu_seconds or 0.0) if old else 0.0)
        if spent > 0:
            self._gpu_seconds.labels(key.namespace, key.name).inc(spent)

    def _stage(self, key: Key, after: TrainingRunStatus) -> None:
        """A stage lasts from when we first see it until we see another one, or none."""
        stage = str(after.progress.stage) if after.progress else ""
        known, since = self._stages.get(key, ("", 0.0))
        if stage == known:
            return
        if known:
            self._stage_seconds.labels(known).observe(self._clock() - since)
        if stage:
            self._stages[key] = (stage, self._clock())
        else:
            self._stages.pop(key, None)


class _Phases(Collector):
    """`runwright_runs{phase}`, counted when asked."""

    def __init__(self, phases: Callable[[], Iterable[str]]) -> None:
        self._phases = phases

    def collect(self) -> Iterator[GaugeMetricFamily]:
        known = {str(phase) for phase in Phase}
        found = Tally(phase if phase in known else "Unknown" for phase in self._phases())
        family = GaugeMetricFamily("runwright_runs", "TrainingRuns by phase.", labels=["phase"])
        for phase in sorted(known | found.keys()):
            family.add_metric([phase], found[phase])
        yield family


def _version() -> str:
    try:
        return version("runwright")
    except PackageNotFoundError:
        return "unknown"
