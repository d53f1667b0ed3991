"""The trigger of the deferrable operator and sensor."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import asdict
from typing import Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

from runwright_airflow.access import Access
from runwright_airflow.ends import End, end_of, to_cancel
from runwright_airflow.waiting import WATCH_SECONDS, annotate, follow
from runwright_api.names import ANNOTATION_CANCEL
from runwright_cli.cluster.client import Object
from runwright_cli.cluster.errors import ClusterError
from runwright_cli.cluster.stages import Wanted


class TrainingRunTrigger(BaseTrigger):
    """Watches a TrainingRun until it ended; its event is `runwright_airflow.ends.End` as a mapping.

    `generation`: of the spec that is waited for. `after`: of a revision newer than that one. `deadline`: seconds since
    1970, so that a triggerer started anew does not begin to count anew. `cancel_on_kill`: stop the revision when a
    person marks or clears the task.
    """

    def __init__(
        self,
        name: str,
        access: dict[str, Any],
        generation: int = 0,
        after: int | None = None,
        deadline: float | None = None,
        cancel_on_kill: bool = False,
    ) -> None:
        super().__init__()
        self.name, self.access = name, Access(**access)
        self.wanted = Wanted(generation=generation, after=after)
        self.deadline, self.cancel_on_kill = deadline, cancel_on_kill

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """The class, and what makes it again in a triggerer; no credentials are among it."""
        return f"{type(self).__module__}.{type(self).__qualname__}", {
            "name": self.name,
            "access": asdict(self.access),
            "generation": self.wanted.generation,
            "after": self.wanted.after,
            "deadline": self.deadline,
            "cancel_on_kill": self.cancel_on_kill,
        }

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """One event: the end."""
        try:
            yield TriggerEvent((await self._end()).event())
        except ClusterError as error:
            yield TriggerEvent(End(False, error.render(), lasting=True).event())

    async def _end(self) -> End:
        async with aclosing(follow(self.access, self.name, self.log.warning, self._seconds)) as news:
            async for content in news:
                found = end_of(content, self.wanted) if content is not None else None
                if found is not None:
                    return found
                if self.deadline is not None and time.time() >= self.deadline:
                    break
        await self.on_kill()
        return End(False, f"{self.name} has not ended within the time that the task has", timed_out=True)

    def _seconds(self) -> int:
        left = WATCH_SECONDS if self.deadline is None else self.deadline - time.time()
        return max(1, min(WATCH_SECONDS, round(left)))

    async def on_kill(self) -> None:
        """A person took the task away, or its time is over: stop what it waits for."""
        if self.cancel_on_kill:
            await annotate(self.access, self.name, self._cancelling)

    def _cancelling(self, content: Object) -> dict[str, str] | None:
        number = to_cancel(content, self.wanted)
        return None if number is None else {ANNOTATION_CANCEL: str(number)}
