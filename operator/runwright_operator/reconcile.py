"""One pass over a TrainingRun: observe, decide, act. Level-triggered; whatever rang the bell, the pass is the same."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from runwright_api.status import TrainingRunStatus
from runwright_components.contract.cluster import StorageConfig
from runwright_operator.adapters.kubernetes import Conflict, Kubernetes, NotFound
from runwright_operator.adapters.pipelines import Pipelines, PipelinesRefused
from runwright_operator.brain.decide import decide
from runwright_operator.brain.decision import Decision, RemoveFinalizer, StartPipeline
from runwright_operator.brain.draft import Rules
from runwright_operator.brain.observed import PipelineSeen
from runwright_operator.brain.transitions import Happening, happenings
from runwright_operator.effects import Effects
from runwright_operator.events import Events
from runwright_operator.index import Index
from runwright_operator.metrics import Metrics
from runwright_operator.observe import Observer
from runwright_operator.reading import read_status
from runwright_operator.resources import TRAINING_RUN, Key
from runwright_operator.settings import Settings
from runwright_pipelines.cluster import Defaults
from runwright_pipelines.compiling import Images

log = logging.getLogger(__name__)

MOST_ROUNDS = 4
"""Of one pass: after a conflict it looks again, and after a start it writes the id down."""


class Reconciler:
    """`await reconciler(key)` takes a TrainingRun one step on."""

    def __init__(
        self,
        *,
        kubernetes: Kubernetes,
        pipelines: Pipelines,
        index: Index,
        events: Events,
        metrics: Metrics,
        settings: Settings,
        clock: Callable[[], datetime],
    ) -> None:
        self._kubernetes = kubernetes
        self._index = index
        self._observer = Observer(kubernetes, pipelines, index, has_storage=bool(settings.storage_uri))
        self._effects = Effects(kubernetes, pipelines, service_account=settings.run_service_account)
        self._events = events
        self._metrics = metrics
        self._rules = rules_of(settings)
        self._clock = clock
        self._telling: set[asyncio.Task[None]] = set()

    async def __call__(self, key: Key) -> float | None:
        """Seconds until it wants to be called again; None when it need not be.

        Raises ApiError and PipelinesError, to be tried again with back-off.
        """
        raw: Mapping[str, Any] | None = self._index.get(key) or await self._live(key)
        started: PipelineSeen | None = None
        refused = ""
        for _ in range(MOST_ROUNDS):
            if raw is None:
                self._metrics.forget(key)
                return None
            seen = await self._observer.observe(raw, started=started, refused=refused)
            decision = decide(seen, self._clock(), self._rules)
            try:
                raw = await self._write(raw, seen.status, decision)
            except (Conflict, NotFound):  # what we looked at is not the newest
                raw = await self._live(key)
                started, refused = None, ""
                continue
            start = next((action for action in decision.then if isinstance(action, StartPipeline)), None)
            if start is None or raw is None:
                return decision.after
            try:
                started = self._observer.seen(await self._effects.start(start, key))
            except PipelinesRefused as error:
                refused = str(error)
        return 0.0

    async def _live(self, key: Key) -> Mapping[str, Any] | None:
        raw = await self._kubernetes.get(TRAINING_RUN, key.namespace, key.name)
        if raw is not None:
            self._index.put(raw)
        return raw

    async def _write(
        self, raw: Mapping[str, Any], before: TrainingRunStatus, decision: Decision
    ) -> Mapping[str, Any] | None:
        """The actions that come first, then the status if it changed, then the Events of that."""
        for action in decision.before:
            log.info("%s", action_line(action))
            raw = await self._effects.perform(action, raw)
            if isinstance(action, RemoveFinalizer):
                return None
        status = decision.status.model_dump(mode="json", by_alias=True, exclude_none=True)
        if status == raw.get("status"):
            self._index.put(raw)
            return raw
        metadata = raw["metadata"]
        written = await self._kubernetes.merge(
            TRAINING_RUN,
            metadata["namespace"],
            metadata["name"],
            {"status": replacing(raw.get("status"), status)},
            subresource="status",
            resource_version=metadata["resourceVersion"],
        )
        self._index.put(written)
        self._tell(written, before, read_status(written))
        return written

    def _tell(self, raw: Mapping[str, Any], before: TrainingRunStatus, after: TrainingRunStatus) -> None:
        self._metrics.transition(Key(raw["metadata"]["namespace"], raw["metadata"]["name"]), before, after)
        told = list(happenings(before, after))
        if told:  # nobody waits for Events: what comes next may start meanwhile
            task = asyncio.create_task(self._emit(raw, told))
            self._telling.add(task)
            task.add_done_callback(self._telling.discard)

    async def _emit(self, raw: Mapping[str, Any], told: list[Happening]) -> None:
        for happening in told:
            await self._events.emit(
                raw,
                type=happening.type,
                reason=happening.reason,
                message=happening.message,
                revision=happening.revision,
            )


def rules_of(settings: Settings) -> Rules:
    """What the brain is told of the administrator's settings."""
    components = settings.components_image or Images().components
    storage = StorageConfig(
        uri=settings.storage_uri or "",
        endpoint=settings.storage_endpoint,
        region=settings.storage_region,
        secret=settings.storage_secret,
    )
    return Rules(
        components_image=components,
        defaults=Defaults(
            storage=storage,
            train_image=settings.train_image or components,
            train_gpu_image=settings.train_gpu_image or None,
            serve_image=settings.serve_image or components,
            train_cpu=settings.train_cpu,
            train_memory=settings.train_memory,
            serve_cpu=settings.serve_cpu,
            serve_memory=settings.serve_memory,
            sources_allowed=settings.sources_allowed,
            openlineage_url=settings.openlineage_url,
            openlineage_secret=settings.openlineage_secret,
        ),
    )


def replacing(old: Any, new: Mapping[str, Any]) -> dict[str, Any]:
    """A merge patch that turns `old` into `new`: what `new` lacks is removed."""
    patch: dict[str, Any] = {name: None for name in old if name not in new} if isinstance(old, Mapping) else {}
    for name, value in new.items():
        before = old.get(name) if isinstance(old, Mapping) else None
        if isinstance(value, Mapping):
            patch[name] = replacing(before, value)
        elif value != before:
            patch[name] = value
    return patch


def action_line(action: object) -> str:
    """An action as one line of the log, without what is long."""
    fields = {name: value for name, value in vars(action).items() if isinstance(value, str | int)}
    told = " ".join(f"{name}={value}" for name, value in fields.items() if name not in ("cluster", "history"))
    return f"{type(action).__name__} {told}".strip()
