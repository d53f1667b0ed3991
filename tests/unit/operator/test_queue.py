"""The work queue: each key once, never twice at a time, in order, with pauses after failures."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from runwright_operator.queue import LONGEST_PAUSE, Queue, pause_after, work_off
from runwright_operator.resources import Key

A, B, C = Key("n", "a"), Key("n", "b"), Key("n", "c")


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def ignore(key: Key, error: BaseException, pause: float) -> None:
    pass


def drive(test: Callable[[], Awaitable[None]]) -> None:
    async def limited() -> None:
        async with asyncio.timeout(5):
            await test()

    asyncio.run(limited())


def test_a_key_stands_in_the_queue_once() -> None:
    async def test() -> None:
        queue = Queue()
        for key in (A, B, A, A):
            queue.add(key)
        assert queue.depth == 2
        assert [await queue.take(), await queue.take()] == [A, B]

    drive(test)


def test_a_key_that_comes_while_it_is_worked_on_is_taken_again_afterwards() -> None:
    async def test() -> None:
        queue = Queue()
        queue.add(A)
        assert await queue.take() == A
        queue.add(A)
        queue.add(A)
        queue.add(B)
        assert await queue.take() == B
        queue.done(A)
        assert await queue.take() == A
        queue.done(A)
        assert queue.depth == 0

    drive(test)


def test_a_wish_for_later_waits_and_the_earliest_counts() -> None:
    async def test() -> None:
        clock = Clock()
        queue = Queue(clock=clock)
        queue.add_after(A, 30)
        queue.add_after(A, 10)
        queue.add_after(A, 20)
        clock.now += 9
        queue.release()
        assert queue.depth == 0
        clock.now += 1
        queue.release()
        assert queue.depth == 1
        assert await queue.take() == A
        clock.now += 100
        queue.release()
        assert queue.depth == 0

    drive(test)


def test_a_change_overtakes_a_pause() -> None:
    async def test() -> None:
        clock = Clock()
        queue = Queue(clock=clock)
        queue.add_after(A, 60)
        queue.add(A)
        assert await queue.take() == A
        queue.done(A)
        clock.now += 100
        queue.release()
        assert queue.depth == 0

    drive(test)


def test_a_waiting_worker_wakes_when_a_pause_ends() -> None:
    async def test() -> None:
        queue = Queue()
        taken = asyncio.ensure_future(queue.take())
        await asyncio.sleep(0)
        queue.add_after(A, 0.02)
        assert await taken == A

    drive(test)


def test_a_cancelled_worker_passes_its_key_on() -> None:
    async def test() -> None:
        queue = Queue()
        first, second = asyncio.ensure_future(queue.take()), asyncio.ensure_future(queue.take())
        await asyncio.sleep(0)
        queue.add(A)
        first.cancel()
        assert await second == A

    drive(test)


@given(st.integers(1, 10_000), st.floats(0, 1))
def test_pauses_grow_within_their_bounds(failures: int, chance: float) -> None:
    assert 0.5 <= pause_after(failures, chance) <= LONGEST_PAUSE
    assert pause_after(failures, 1.0) <= pause_after(failures + 1, 1.0)


def test_failures_double_the_pause_and_success_forgets_them() -> None:
    async def test() -> None:
        queue = Queue(clock=Clock(), chance=lambda: 1.0)
        assert [queue.failed(A) for _ in range(10)] == [1, 2, 4, 8, 16, 32, 64, 128, 256, 300]
        assert queue.failed(B, at_least=7) == 7
        queue.forget(A)
        assert queue.failed(A) == 1

    drive(test)


@pytest.mark.parametrize("poison", [ValueError, RecursionError, MemoryError, GeneratorExit, BaseException])
def test_a_poisonous_key_does_not_stop_the_others(poison: type[BaseException]) -> None:
    async def test() -> None:
        queue, done, errors = Queue(), [], []

        async def work(key: Key) -> float | None:
            if key == A:
                raise poison("bad")
            done.append(key)
            return None

        def failed(key: Key, error: BaseException, pause: float) -> None:
            errors.append((key, type(error)))

        for key in (A, B, C):
            queue.add(key)
        worker = asyncio.ensure_future(work_off(queue, work, on_error=failed))
        while len(done) < 2:
            await asyncio.sleep(0)
        queue.close()
        await worker
        assert (done, errors) == ([B, C], [(A, poison)])
        assert queue.paused == 1
        assert queue.in_flight == 0

    drive(test)


def test_work_may_ask_to_be_called_again() -> None:
    async def test() -> None:
        queue, calls = Queue(), []

        async def work(key: Key) -> float | None:
            calls.append(key)
            return 0.01 if len(calls) < 3 else None

        queue.add(A)
        worker = asyncio.ensure_future(work_off(queue, work, on_error=ignore))
        while len(calls) < 3:
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.03)
        queue.close()
        await worker
        assert calls == [A, A, A]

    drive(test)


def test_closing_lets_work_end_and_takes_no_more() -> None:
    async def test() -> None:
        queue, done = Queue(), []
        began, go = asyncio.Event(), asyncio.Event()

        async def work(key: Key) -> float | None:
            began.set()
            await go.wait()
            done.append(key)
            return None

        queue.add(A)
        queue.add(B)
        worker = asyncio.ensure_future(work_off(queue, work, on_error=ignore))
        await began.wait()
        queue.close()
        go.set()
        await worker
        assert done == [A]

    drive(test)


def test_a_hundred_thousand_keys_are_cheap() -> None:
    async def test() -> None:
        queue = Queue()
        keys = [Key("n", str(number)) for number in range(100_000)]
        for key in keys:
            queue.add_after(key, 1000)
            queue.add_after(key, 500)
            queue.add(key)
            queue.add(key)
        assert queue.depth == 100_000
        assert queue.paused == 0
        assert [await queue.take() for _ in keys] == keys
        assert len(queue._heap) < 1000

    drive(test)


class Workers(RuleBasedStateMachine):
    """Against a model: which keys were asked for since their work began last."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = Clock()
        self.loop = asyncio.new_event_loop()
        self.queue = Queue(clock=self.clock, chance=lambda: 1.0)
        self.wanted: dict[Key, float] = {}  # since when it is due
        self.working: set[Key] = set()

    def teardown(self) -> None:
        self.loop.close()

    @rule(key=st.sampled_from([A, B, C]))
    def add(self, key: Key) -> None:
        self.queue.add(key)
        self.wanted[key] = min(self.wanted.get(key, self.clock.now), self.clock.now)

    @rule(key=st.sampled_from([A, B, C]), seconds=st.floats(0, 100))
    def add_after(self, key: Key, seconds: float) -> None:
        self.queue.add_after(key, seconds)
        due = self.clock.now + seconds
        self.wanted[key] = min(self.wanted.get(key, due), due)

    @rule(seconds=st.floats(0, 50))
    def wait(self, seconds: float) -> None:
        self.clock.now += seconds
        self.queue.release()

    @precondition(lambda self: self.queue.depth and self.queue._waiting)
    @rule()
    def take(self) -> None:
        key = self.loop.run_until_complete(self.queue.take())
        assert key is not None
        assert key not in self.working, "two workers at one key"
        assert self.wanted.pop(key) <= self.clock.now, "taken before it was due"
        self.working.add(key)

    @precondition(lambda self: self.working)
    @rule(fails=st.booleans(), data=st.data())
    def finish(self, fails: bool, data: st.DataObject) -> None:
        key = data.draw(st.sampled_from(sorted(self.working)))
        if fails:
            due = self.clock.now + self.queue.failed(key)
            self.wanted[key] = min(self.wanted.get(key, due), due)
        self.queue.done(key)
        self.working.discard(key)

    @invariant()
    def nothing_is_forgotten(self) -> None:
        self.queue.release()
        due = {key for key, at in self.wanted.items() if at <= self.clock.now}
        waiting = set(self.queue._waiting) | set(self.queue._again)
        assert due <= waiting, "a key that is due does not wait"
        assert waiting <= set(self.wanted)
        assert set(self.wanted) == waiting | set(self.queue._due)


TestWorkers = Workers.TestCase
TestWorkers.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
