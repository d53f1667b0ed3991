"""The operator's life: wait for the lease, watch and work, and on SIGTERM finish what is begun and hand over."""

from __future__ import annotations

import asyncio
import logging
import signal
import time
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from typing import Any

from runwright_operator import logs
from runwright_operator.adapters.access import Access
from runwright_operator.adapters.kubernetes import ApiError, Kubernetes
from runwright_operator.adapters.pipelines import Pipelines, PipelinesError, PipelinesSettings
from runwright_operator.health import Health, Vitals, keep_beating
from runwright_operator.index import Index
from runwright_operator.lease import Lease, LeaseTimes
from runwright_operator.metrics import Metrics
from runwright_operator.queue import Queue, work_off
from runwright_operator.relist import Relister
from runwright_operator.resources import Key, Resource
from runwright_operator.settings import Settings
from runwright_operator.watch import Watch

log = logging.getLogger(__name__)

FINISH_SECONDS = 20.0  # for what is under way, after SIGTERM
WATCH_STOP_SECONDS = 3.0
PROBE_SECONDS = 10.0
PIPELINES_SECONDS = 60.0

Reconcile = Callable[[Key], Awaitable[float | None]]
Assemble = Callable[["Operator"], Reconcile]
End = Callable[[str], None]
"""Ends the process at once, without cleaning up; gets the reason."""


class Operator:
    """All parts, wired. `assemble` makes the reconciler out of them."""

    def __init__(
        self, settings: Settings, access: Access, pipelines: PipelinesSettings, *, assemble: Assemble, end: End
    ) -> None:
        self.settings = settings
        self.metrics = Metrics()
        self.vitals = Vitals(relist_seconds=settings.relist_seconds)
        self.lease = self._lease(access, end) if settings.leader_election else None
        self.guard = self.lease.guard if self.lease else lambda: None
        self.kubernetes = Kubernetes(access, guard=self.guard, on_call=self._called)
        self.pipelines = Pipelines(pipelines, guard=self.guard, on_call=self.metrics.kfp_call)
        self.index = Index()
        self.queue = Queue()
        self.watch = Watch(access, settings.namespaces, receive=self._receive, on_start=self._watch_began)
        self.relister = Relister(
            kubernetes=self.kubernetes,
            index=self.index,
            queue=self.queue,
            namespaces=settings.namespaces,
            seconds=settings.relist_seconds,
            vitals=self.vitals,
            metrics=self.metrics,
            restart_watch=self.watch.restart,
        )
        self.health = Health(
            self.vitals,
            host=settings.http_host,
            port=settings.http_port,
            metrics=self.metrics.page,
            end=end,
            is_lost=lambda: self.lease is not None and self.lease.is_lost,
        )
        self.metrics.watch_phases(self.index.phases)
        self.metrics.watch_queue(lambda: self.queue.depth, lambda: self.queue.oldest_seconds)
        self._reconcile = assemble(self)

    async def run(self) -> None:
        """Until SIGTERM or SIGINT. Raises LeaseLost, and whatever else no part may survive."""
        stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        self.health.start()
        background = [_task(keep_beating(self.vitals)), _task(self._probe()), _task(self._ask_pipelines())]
        try:
            self.vitals.role = "standby"
            if self.lease is None or await _first(self.lease.acquire(), stop):
                await self._lead(stop)
        finally:
            self.vitals.role = "stopping"
            for task in background:
                task.cancel()
            if self.lease is not None:
                await self._lease_kubernetes.close()
            await self.kubernetes.close()
            await self.pipelines.close()
            self.health.stop()

    async def _lead(self, stop: asyncio.Event) -> None:
        self.vitals.leader_since = time.monotonic()
        self.vitals.role = "leader"
        self.metrics.leader(True)
        self.watch.start()
        workers = [_task(self._work()) for _ in range(self.settings.workers)]
        others = [_task(self.relister.run())]
        if self.lease is not None:
            others.append(_task(self.lease.hold()))
        ended = _task(stop.wait())
        try:
            await asyncio.wait({ended, *workers, *others}, return_when=asyncio.FIRST_COMPLETED)
            for task in (*workers, *others):
                if task.done():
                    task.result()
            log.info("stopping: %d TrainingRuns are being worked on", self.queue.in_flight)
            self.vitals.role = "stopping"
            others[0].cancel()
            self.queue.close()
            self.relister.filled.set()  # workers that still wait for it have nothing to do any more
            await asyncio.gather(self.watch.stop(WATCH_STOP_SECONDS), asyncio.wait(workers, timeout=FINISH_SECONDS))
        finally:
            self.queue.close()
            for task in (ended, *workers, *others):
                task.cancel()
            await asyncio.gather(ended, *workers, *others, return_exceptions=True)
            self.metrics.leader(False)
        if self.lease is not None:
            await self.lease.release()

    async def _work(self) -> None:
        await self.relister.filled.wait()
        await work_off(self.queue, self._look, on_error=self._failed)

    async def _look(self, key: Key) -> float | None:
        with logs.about(key), self.metrics.reconcile():
            return await self._reconcile(key)

    def _failed(self, key: Key, error: BaseException, pause: float) -> None:
        """What the outside did is a line; what we did wrong is a trace."""
        trace = None if isinstance(error, ApiError | PipelinesError) else error
        with logs.about(key):
            log.warning("%s: %s; again in %.0f s", type(error).__name__, error, pause, exc_info=trace)

    def _receive(self, resource: Resource, type: str | None, raw: dict[str, Any]) -> None:
        key = self.index.event(resource, type, raw)
        if key is not None:
            self.queue.add(key)

    def _watch_began(self) -> None:
        self.relister.soon()

    def _called(self, verb: str, resource: str, code: str) -> None:
        self.metrics.api_call(verb, resource, code)
        if code.isdecimal() and not code.startswith("5"):
            self.vitals.api_answered = time.monotonic()

    def _lease(self, access: Access, end: End) -> Lease:
        """Its client is its own: unguarded, and quick to give up."""
        settings = self.settings
        self._lease_kubernetes = Kubernetes(
            access, on_call=self._called, timeout=max(1.0, settings.lease_renew_seconds / 2.5)
        )
        return Lease(
            self._lease_kubernetes,
            namespace=settings.lease_home,
            name=settings.lease_name,
            holder=settings.pod_name,
            times=LeaseTimes(
                settings.lease_duration_seconds, settings.lease_renew_seconds, settings.lease_retry_seconds
            ),
            on_lost=end,
        )

    async def _probe(self) -> None:
        """Ask the API server something when nobody else does, so that readiness means something."""
        while True:
            last = self.vitals.api_answered
            if last is None or time.monotonic() - last > PROBE_SECONDS:
                with suppress(ApiError):
                    await self.kubernetes.version()
            await asyncio.sleep(PROBE_SECONDS / 2)

    async def _ask_pipelines(self) -> None:
        """For /readyz, as information: without Kubeflow Pipelines we still serve and roll back."""
        while True:
            try:
                self.vitals.pipelines = await self.pipelines.check()
            except PipelinesError as error:
                self.vitals.pipelines = f"{type(error).__name__}: {error}"
            await asyncio.sleep(PIPELINES_SECONDS)


def _task(work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
    return asyncio.get_running_loop().create_task(work)


async def _first(work: Coroutine[Any, Any, None], stop: asyncio.Event) -> bool:
    """Whether the work was done before we were told to stop."""
    doing, stopping = _task(work), _task(stop.wait())
    try:
        await asyncio.wait({doing, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if doing.done():
            doing.result()
            return True
        return False
    finally:
        for task in (doing, stopping):
            task.cancel()
        await asyncio.gather(doing, stopping, return_exceptions=True)
