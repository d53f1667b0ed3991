"""Which TrainingRuns to look at next: a queue in which a key stands once, and is never worked on twice at a time.

Keys are taken in the order in which they came. A key that comes while it is worked on is taken again afterwards.
A key whose work failed comes back after a growing, random pause; success forgets the failures.
"""

from __future__ import annotations

import asyncio
import heapq
import random
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable

from runwright_operator.resources import Key

FIRST_PAUSE = 1.0
LONGEST_PAUSE = 300.0

Clock = Callable[[], float]
Work = Callable[[Key], Awaitable[float | None]]


def pause_after(failures: int, chance: float) -> float:
    """Seconds to wait after so many failures in a row: full jitter, so that many keys do not come back together.

    `chance` is uniform in [0, 1]; the ceiling doubles from 1 s to 300 s, and half a second is the least.
    """
    ceiling = min(LONGEST_PAUSE, FIRST_PAUSE * 2.0 ** min(failures - 1, 30))
    return max(FIRST_PAUSE / 2, ceiling * chance)


class Queue:
    """For one event loop. `clock` gives seconds that only grow, `chance` numbers in [0, 1)."""

    def __init__(self, *, clock: Clock = time.monotonic, chance: Callable[[], float] = random.random) -> None:
        self._clock = clock
        self._chance = chance
        self._waiting: OrderedDict[Key, float] = OrderedDict()  # since when
        self._working: set[Key] = set()
        self._again: dict[Key, float] = {}
        self._due: dict[Key, float] = {}
        self._heap: list[tuple[float, Key]] = []  # holds entries that `_due` no longer knows; they are passed over
        self._failures: dict[Key, int] = {}
        self._idle: list[asyncio.Future[None]] = []
        self._timer: asyncio.TimerHandle | None = None
        self._closed = False

    @property
    def depth(self) -> int:
        """Keys that wait to be taken now; those that pause are not among them."""
        return len(self._waiting) + len(self._again)

    @property
    def in_flight(self) -> int:
        return len(self._working)

    @property
    def paused(self) -> int:
        """Keys that come back by themselves."""
        return len(self._due)

    @property
    def oldest_seconds(self) -> float:
        """How long the first of the waiting keys waits already."""
        return max(0.0, self._clock() - next(iter(self._waiting.values()))) if self._waiting else 0.0

    def add(self, key: Key) -> None:
        """Look at the key as soon as a worker is free, or again when one is at it."""
        self._due.pop(key, None)
        if key in self._working:
            self._again.setdefault(key, self._clock())
        elif key not in self._waiting:
            self._waiting[key] = self._clock()
            self._wake()

    def add_after(self, key: Key, seconds: float) -> None:
        """Look at the key in so many seconds at the latest. The earliest of several wishes counts."""
        if key in self._waiting or key in self._again:
            return
        due = self._clock() + max(0.0, seconds)
        if due < self._due.get(key, float("inf")):
            self._due[key] = due
            heapq.heappush(self._heap, (due, key))
            self._tidy()
            self._set_timer()

    def failed(self, key: Key, at_least: float = 0.0) -> float:
        """The key comes back after a pause, which is given back."""
        failures = self._failures[key] = self._failures.get(key, 0) + 1
        pause = max(at_least, pause_after(failures, self._chance()))
        self.add_after(key, pause)
        return pause

    def forget(self, key: Key) -> None:
        """The key's failures no longer count."""
        self._failures.pop(key, None)

    def failures(self, key: Key) -> int:
        return self._failures.get(key, 0)

    async def take(self) -> Key | None:
        """The next key, to be given back by `done`; None once the queue is closed."""
        while not self._closed:
            self.release()
            if self._waiting:
                key, _ = self._waiting.popitem(last=False)
                self._working.add(key)
                return key
            waiter = asyncio.get_running_loop().create_future()
            self._idle.append(waiter)
            self._set_timer()
            try:
                await waiter
            except asyncio.CancelledError:
                if waiter.done() and not waiter.cancelled():
                    self._wake()  # it was meant for a worker that is no more: wake another
                raise
            finally:
                if waiter in self._idle:
                    self._idle.remove(waiter)
        return None

    def done(self, key: Key) -> None:
        """The work on a taken key ended."""
        self._working.discard(key)
        if key in self._again:
            self._waiting[key] = self._again.pop(key)
            self._wake()

    def release(self) -> None:
        """Let the keys in whose pause is over."""
        now = self._clock()
        while self._heap and self._heap[0][0] <= now:
            due, key = heapq.heappop(self._heap)
            if self._due.get(key) == due:
                self.add(key)

    def close(self) -> None:
        """No key is taken any more; work that is under way may end."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
        for waiter in self._idle:
            if not waiter.done():
                waiter.set_result(None)

    def _wake(self) -> None:
        while self._idle:
            waiter = self._idle.pop(0)
            if not waiter.done():
                waiter.set_result(None)
                return

    def _set_timer(self) -> None:
        """Wake a worker when the first pause ends."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._heap and self._idle and not self._closed:
            pause = max(0.0, self._heap[0][0] - self._clock())
            self._timer = asyncio.get_running_loop().call_later(pause, self._wake)

    def _tidy(self) -> None:
        """Entries of the heap that were overtaken must not outnumber the others for ever."""
        if len(self._heap) > 2 * len(self._due) + 64:
            self._heap = [(due, key) for key, due in self._due.items()]
            heapq.heapify(self._heap)


async def work_off(queue: Queue, work: Work, *, on_error: Callable[[Key, BaseException, float], None]) -> None:
    """One worker: takes keys until the queue is closed. `work` gives the seconds until it wants to be called again.

    Whatever one key's work raises is that key's failure alone; only cancelling and the process's end pass through.
    """
    while (key := await queue.take()) is not None:
        try:
            after = await work(key)
        except (asyncio.CancelledError, KeyboardInterrupt, SystemExit):
            queue.done(key)
            raise
        except BaseException as error:  # noqa: BLE001 (a poisonous object must not stop its neighbours)
            pause = queue.failed(key, getattr(error, "retry_after", None) or 0.0)
            queue.done(key)
            on_error(key, error, pause)
        else:
            queue.forget(key)
            if after is not None:
                queue.add_after(key, after)
            queue.done(key)
