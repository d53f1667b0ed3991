"""Lists everything anew from time to time, finds what the watch missed, and judges the watch by that."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Callable

from runwright_operator.adapters.kubernetes import ApiError, Kubernetes, NotFound
from runwright_operator.handlers import WATCHED, label_selector
from runwright_operator.health import Vitals
from runwright_operator.index import Index
from runwright_operator.metrics import Metrics
from runwright_operator.queue import Queue
from runwright_operator.resources import OPTIONAL, Resource

log = logging.getLogger(__name__)

TICK = 1.0
OVERDUE = 60.0  # seconds that the watch may take for what a relist has seen
RETRY = 10.0  # seconds after a relist that failed, and between looks for a kind that does not exist yet


class Relister:
    """`restart_watch` is called when the watch missed something, and when a kind has come into being."""

    def __init__(
        self,
        *,
        kubernetes: Kubernetes,
        index: Index,
        queue: Queue,
        namespaces: tuple[str, ...],
        seconds: float,
        vitals: Vitals,
        metrics: Metrics,
        restart_watch: Callable[[], None],
        clock: Callable[[], float] = time.monotonic,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._kubernetes = kubernetes
        self._index = index
        self._queue = queue
        self._scopes: tuple[str | None, ...] = namespaces or (None,)
        self._seconds = seconds
        self._vitals = vitals
        self._metrics = metrics
        self._restart_watch = restart_watch
        self._clock = clock
        self._chance = chance
        self.filled = asyncio.Event()
        """Everything was listed once: before that, what is not in the index may exist all the same."""
        self._missing: set[Resource] = set()
        self._next = self._next_probe = self._next_judgement = 0.0

    async def run(self) -> None:
        """For ever."""
        self._next = self._clock()
        self._next_judgement = float("inf")
        while True:
            await self.step()
            await asyncio.sleep(TICK)

    def soon(self) -> None:
        """The watch began anew: what it missed in between is not in its list."""
        self._index.watch_restarted()
        self._next = min(self._next, self._clock() + 2 * TICK)

    async def step(self) -> None:
        """Do what is due."""
        if self._clock() >= self._next:
            complete = await self._relist(WATCHED)
            now = self._clock()
            self._next = now + (self._seconds * (0.9 + 0.2 * self._chance()) if complete else RETRY)
            self._next_judgement = now + OVERDUE + TICK if complete else float("inf")
            if complete:
                self._vitals.last_relist = now
                self.filled.set()
        elif (awaited := self._missing.difference(OPTIONAL)) and self._clock() >= self._next_probe:
            await self._relist(tuple(awaited))
        if self._clock() >= self._next_judgement:
            self._next_judgement = float("inf")
            self._judge()

    async def _relist(self, resources: tuple[Resource, ...]) -> bool:
        """Whether everything could be listed; a kind that does not exist has no objects."""
        self._next_probe = self._clock() + RETRY
        complete, found = True, False
        for resource in resources:
            try:
                for namespace in self._scopes:
                    await self._compare(resource, namespace)
            except NotFound:
                if resource not in self._missing:
                    level = logging.INFO if resource in OPTIONAL else logging.WARNING
                    log.log(level, "the cluster has no %s.%s; waiting for its CRD", resource.plural, resource.group)
                self._missing.add(resource)
            except ApiError as error:
                log.warning("%s could not be listed: %s", resource.plural, error)
                complete = False
            else:
                found = found or resource in self._missing
                self._missing.discard(resource)
        self._index.missing = frozenset(self._missing)
        awaited = self._missing.difference(OPTIONAL)
        self._vitals.missing = tuple(sorted(f"{one.plural}.{one.group}" for one in awaited))
        if found:
            log.info("a kind that was missing exists now: watching it")
            self._restart_watch()
            for key in self._index.runs():  # one may have been refused for the lack of it
                self._queue.add(key)
        return complete

    async def _compare(self, resource: Resource, namespace: str | None) -> None:
        listing = await self._kubernetes.list(resource, namespace, labels=label_selector(resource))
        for key in sorted(self._index.relist(resource, listing, namespace)):
            self._queue.add(key)

    def _judge(self) -> None:
        missed = self._index.overdue(OVERDUE)
        self._vitals.strikes = self._vitals.strikes + 1 if missed else 0
        if missed:
            self._metrics.missed(missed)
            log.warning("the watch missed %d changes: it begins anew", missed)
            self._restart_watch()
