"""Leader election: the one replica that holds a Lease works, the others wait.

Nobody's clock is trusted but the own monotonic one. A leader counts its time from when it *sent* the last renewal that
succeeded, and stops before the others may take over; they count from when they *saw* the Lease change last. So a
leader that was paused or cut off has stopped before its successor starts, however wrong the time of day is anywhere.
"""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from runwright_operator.adapters.kubernetes import AlreadyExists, ApiError, Conflict, Kubernetes, NotFound, Object
from runwright_operator.resources import LEASE

log = logging.getLogger(__name__)

LONGEST_DURATION = 3600  # seconds that we believe another's Lease


class LeaseLost(Exception):  # noqa: N818 (named for what is the matter)
    """This process is not, or no longer, the leader: it must not write."""


def monotonic() -> float:
    """Seconds that go on while the process is stopped and while the machine sleeps."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


@dataclass(frozen=True)
class LeaseTimes:
    """Seconds, as in client-go: `retry` < `renew` < `duration`."""

    duration: float = 15.0
    renew: float = 10.0
    retry: float = 2.0


class Lease:
    """One replica's part in the election. `on_lost` is called by whoever first finds that the time is over."""

    def __init__(
        self,
        kubernetes: Kubernetes,
        *,
        namespace: str,
        name: str,
        holder: str,
        times: LeaseTimes | None = None,
        on_lost: Callable[[str], None] = lambda _: None,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._kubernetes = kubernetes
        self._namespace = namespace
        self._name = name
        self.holder = f"{holder}_{uuid.uuid4().hex[:12]}"  # a restarted process is another holder
        self._times = times or LeaseTimes()
        self._on_lost = on_lost
        self._clock = clock
        self._deadline: float | None = None  # None: not the leader
        self._version = ""
        self._transitions = 0
        self._seen: tuple[Any, ...] = ()
        self._seen_at = 0.0

    @property
    def is_held(self) -> bool:
        return self._deadline is not None and self._clock() < self._deadline

    @property
    def is_lost(self) -> bool:
        """Was held, and the time is over."""
        return self._deadline is not None and self._clock() >= self._deadline

    def guard(self) -> None:
        """Called before each write: raises LeaseLost unless this process is the leader at this moment."""
        if not self.is_held:
            if self.is_lost:
                self._on_lost("the lease ran out")
            raise LeaseLost(f"{self.holder} does not hold the lease {self._namespace}/{self._name}")

    async def acquire(self) -> None:
        """Wait until this replica is the leader. An API server that does not answer is waited for."""
        log.info("waiting for the lease %s/%s as %s", self._namespace, self._name, self.holder)
        while not await self._try():
            await asyncio.sleep(self._times.retry)
        log.info("this replica is the leader")

    async def hold(self) -> None:
        """Renew until it fails for too long or another took the lease: then raises LeaseLost, after `on_lost`."""
        while True:
            await asyncio.sleep(self._times.retry)
            why = await self._renew()
            if self.is_lost:
                why = why or f"it could not be renewed in {self._times.renew:g} s"
            if why:
                self._deadline = min(self._deadline or 0.0, self._clock())
                self._on_lost(why)
                raise LeaseLost(why)

    async def release(self) -> None:
        """Give the lease back, so that a successor need not wait. The caller has stopped writing."""
        if not self.is_held:
            return
        self._deadline = None
        freed = {"holderIdentity": "", "leaseDurationSeconds": 1, "renewTime": _micro_time()}
        try:
            await self._kubernetes.merge(
                LEASE, self._namespace, self._name, {"spec": freed}, resource_version=self._version
            )
            log.info("gave the lease back")
        except ApiError as error:
            log.warning("the lease could not be given back, a successor waits for it to run out: %s", error)

    async def _try(self) -> bool:
        """One attempt to become the leader."""
        try:
            sent = self._clock()
            found = await self._kubernetes.get(LEASE, self._namespace, self._name)
            if found is None:
                self._took(sent, await self._kubernetes.create(LEASE, self._namespace, self._new()))
                return True
            spec = _spec(found)
            if spec.get("holderIdentity") not in (None, "", self.holder) and not self._ran_out(found, spec):
                return False
            self._transitions = int(_number(spec.get("leaseTransitions"), 2**31 - 2, 0)) + 1
            sent = self._clock()
            self._took(sent, await self._write(str(found["metadata"].get("resourceVersion", "")), acquire=True))
            return True
        except (Conflict, AlreadyExists, NotFound):
            return False  # another was faster
        except ApiError as error:
            log.warning("the lease could not be read or taken: %s", error)
            return False

    def _ran_out(self, found: Object, spec: Object) -> bool:
        """Whether the holder has not moved for its whole duration, by our own clock."""
        now = self._clock()
        state = (found["metadata"].get("uid"), found["metadata"].get("resourceVersion"))
        if state != self._seen:
            self._seen, self._seen_at = state, now
        duration = _number(spec.get("leaseDurationSeconds"), LONGEST_DURATION, self._times.duration)
        return now - self._seen_at > duration

    async def _renew(self) -> str:
        """Why the lease is lost; empty while it is not, renewed or not."""
        try:
            sent = self._clock()
            self._took(sent, await self._write(self._version))
        except (Conflict, NotFound):
            return await self._look()
        except ApiError as error:
            log.warning("the lease could not be renewed: %s", error)
        return ""

    async def _look(self) -> str:
        """Somebody touched the Lease, or an answer to us was lost: who holds it?"""
        try:
            found = await self._kubernetes.get(LEASE, self._namespace, self._name)
        except ApiError as error:
            log.warning("the lease could not be read: %s", error)
            return ""
        if found is None:
            return "it was deleted"
        holder = _spec(found).get("holderIdentity")
        if holder != self.holder:
            return f"{holder or 'nobody'} holds it"
        self._version = str(found["metadata"].get("resourceVersion", ""))
        return await self._again()

    async def _again(self) -> str:
        try:
            sent = self._clock()
            self._took(sent, await self._write(self._version))
        except ApiError as error:
            log.warning("the lease could not be renewed: %s", error)
        return ""

    async def _write(self, version: str, *, acquire: bool = False) -> Object:
        spec: Object = {"holderIdentity": self.holder, "renewTime": _micro_time()}
        if acquire:
            spec = {**self._new()["spec"], "leaseTransitions": self._transitions}
        return await self._kubernetes.merge(
            LEASE, self._namespace, self._name, {"spec": spec}, resource_version=version
        )

    def _new(self) -> Object:
        now = _micro_time()
        return {
            "apiVersion": LEASE.api_version,
            "kind": LEASE.kind,
            "metadata": {"name": self._name, "namespace": self._namespace},
            "spec": {
                "holderIdentity": self.holder,
                "leaseDurationSeconds": round(self._times.duration) or 1,
                "acquireTime": now,
                "renewTime": now,
                "leaseTransitions": 0,
            },
        }

    def _took(self, sent: float, written: Object) -> None:
        self._version = str(written.get("metadata", {}).get("resourceVersion", ""))
        self._deadline = sent + self._times.renew


def _spec(found: Object) -> Object:
    spec = found.get("spec")
    return spec if isinstance(spec, dict) else {}


def _number(value: Any, largest: float, default: float) -> float:
    """What another wrote, if it makes sense."""
    return value if isinstance(value, int) and 0 <= value <= largest else default


def _micro_time() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
