"""Kubernetes Events, one a transition, for `kubectl describe` and `kubectl get events`.

An event's name is made of what it says, so that saying it again raises a count instead of making a second event.
A TrainingRun that has much to say is cut short, and an event that cannot be written is only logged.
"""

from __future__ import annotations

import hashlib
import logging
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from runwright_api import names
from runwright_operator.adapters.kubernetes import AlreadyExists, ApiError, Kubernetes, NotFound
from runwright_operator.resources import EVENT

log = logging.getLogger(__name__)

COMPONENT = "runwright-operator"
LONGEST_MESSAGE = 1024  # the API server's own bound
BURST = 25  # events of a run at once
PER_SECOND = 1 / 30  # and then one in half a minute
MOST_REMEMBERED = 10_000  # runs with their allowance, and events with their count

Type = Literal["Normal", "Warning"]


@dataclass
class _Allowance:
    """A token bucket."""

    tokens: float
    at: float


class Events:
    """Writes events; `clock` gives seconds that only grow, `now` the time of day."""

    def __init__(
        self,
        kubernetes: Kubernetes,
        *,
        instance: str,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._kubernetes = kubernetes
        self._instance = instance
        self._clock = clock
        self._now = now
        self._allowances: OrderedDict[str, _Allowance] = OrderedDict()
        self._counts: OrderedDict[str, int] = OrderedDict()

    async def emit(
        self,
        about: Mapping[str, Any],
        *,
        type: Type,
        reason: str,
        message: str,
        action: str = "Reconcile",
        revision: int | None = None,
    ) -> None:
        """Say it of the object `about`. Whatever goes wrong is logged, never raised."""
        if not self._allowed(str(about["metadata"].get("uid"))):
            log.info("event not written, there are too many: %s %s", reason, message)
            return
        body = event(
            about,
            type=type,
            reason=reason,
            message=message,
            action=action,
            revision=revision,
            instance=self._instance,
            at=self._now(),
        )
        try:
            await self._write(body)
        except ApiError as error:
            log.warning("event not written: %s %s (%s)", reason, message, error)

    async def _write(self, body: dict[str, Any]) -> None:
        """We have no right to read events: how often one was said is remembered, or learned by writing."""
        namespace, name = body["metadata"]["namespace"], body["metadata"]["name"]
        again = {"lastTimestamp": body["lastTimestamp"]}
        try:
            if count := self._counts.get(name):
                await self._kubernetes.merge(EVENT, namespace, name, {**again, "count": count + 1})
            else:
                count = await self._first(body, again)
        except NotFound:  # events are kept for an hour
            count = 0
            await self._kubernetes.create(EVENT, namespace, body)
        self._counts[name] = count + 1
        self._counts.move_to_end(name)
        if len(self._counts) > MOST_REMEMBERED:
            self._counts.popitem(last=False)

    async def _first(self, body: dict[str, Any], again: dict[str, Any]) -> int:
        """Create it, unless it was said before we started; how often that was."""
        namespace, name = body["metadata"]["namespace"], body["metadata"]["name"]
        try:
            await self._kubernetes.create(EVENT, namespace, body)
            return 0
        except AlreadyExists:
            old = await self._kubernetes.merge(EVENT, namespace, name, again)
        count = old.get("count")
        count = count if isinstance(count, int) and count > 0 else 1
        await self._kubernetes.merge(EVENT, namespace, name, {"count": count + 1})
        return count

    def _allowed(self, uid: str) -> bool:
        now = self._clock()
        allowance = self._allowances.setdefault(uid, _Allowance(BURST, now))
        self._allowances.move_to_end(uid)
        if len(self._allowances) > MOST_REMEMBERED:
            self._allowances.popitem(last=False)
        allowance.tokens = min(BURST, allowance.tokens + (now - allowance.at) * PER_SECOND)
        allowance.at = now
        if allowance.tokens < 1:
            return False
        allowance.tokens -= 1
        return True


def event(
    about: Mapping[str, Any],
    *,
    type: Type,
    reason: str,
    message: str,
    action: str,
    revision: int | None,
    instance: str,
    at: datetime,
) -> dict[str, Any]:
    """The Event; its name is the same whenever it says the same of the same object."""
    metadata = about["metadata"]
    run, uid = str(metadata["name"]), str(metadata.get("uid"))
    said = "\0".join((uid, type, reason, message, str(revision)))
    digest = hashlib.sha256(said.encode(errors="replace")).hexdigest()
    stamp = at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {
        "apiVersion": EVENT.api_version,
        "kind": EVENT.kind,
        "metadata": {
            "name": f"{run}.{digest[:16]}",
            "namespace": metadata["namespace"],
            "labels": {names.LABEL_RUN: run, names.LABEL_MANAGED_BY: names.MANAGED_BY},
        },
        "involvedObject": {
            "apiVersion": about.get("apiVersion"),
            "kind": about.get("kind"),
            "namespace": metadata["namespace"],
            "name": run,
            "uid": uid,
        },
        "type": type,
        "reason": reason,
        "message": message if len(message) <= LONGEST_MESSAGE else message[: LONGEST_MESSAGE - 1] + "…",
        "action": action,
        "count": 1,
        "firstTimestamp": stamp,
        "lastTimestamp": stamp,
        "source": {"component": COMPONENT},
        "reportingComponent": COMPONENT,
        "reportingInstance": instance,
    }
