"""kopf as the watch, the relist behind it, and the whole process around a reconciler, against a double of the API."""

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from aiohttp import web

from runwright_operator.adapters.kubernetes import Kubernetes
from runwright_operator.handlers import WATCHED, kopf_settings
from runwright_operator.health import Vitals
from runwright_operator.index import Index
from runwright_operator.metrics import Metrics
from runwright_operator.queue import Queue
from runwright_operator.relist import OVERDUE, Relister
from runwright_operator.resources import (
    CONFIG_MAP,
    INFERENCE_SERVICE,
    POD,
    PYTORCH_JOB,
    RAY_JOB,
    SPARK_APPLICATION,
    TRAIN_JOB,
    TRAINING_RUN,
    Key,
    Resource,
)
from runwright_operator.watch import Watch
from tests.doubles.apiserver import ApiServer, failing

A = Key("n", "a")
LABELS = {"labels": {"runwright.dev/run": "a"}}
Seen = tuple[str, str | None, str]


class Bench:
    """A watch over the double, and what it delivered."""

    def __init__(self, api: ApiServer, namespaces: tuple[str, ...] = ()) -> None:
        self.api = api
        self.seen: list[Seen] = []
        self.starts = 0
        self.watch = Watch(api.access(), namespaces, receive=self._receive, on_start=self._started)

    def _receive(self, resource: Resource, type: str | None, raw: dict[str, Any]) -> None:
        self.seen.append((resource.plural, type, raw["metadata"]["name"]))

    def _started(self) -> None:
        self.starts += 1

    async def until(self, condition: Callable[[], bool], seconds: float = 8) -> None:
        async with asyncio.timeout(seconds):
            while not condition():
                await asyncio.sleep(0.01)

    async def watching(self, streams: int = len(WATCHED)) -> None:
        await self.until(lambda: self.api.watching == streams)


def drive(
    test: Callable[[Bench], Awaitable[None]], *kinds: Resource, namespaces: tuple[str, ...] = (), clean: bool = True
) -> None:
    async def run() -> None:
        async with ApiServer(*(kinds or WATCHED)) as api:
            bench = Bench(api, namespaces)
            bench.watch.start()
            try:
                await test(bench)
            finally:
                await bench.watch.stop(5)
            assert api.writes() == [] or not clean, "the watch writes"

    asyncio.run(run())


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pauses are for clusters; tests have none. Everything else is as it runs."""

    def hurried() -> Any:
        settings = kopf_settings()
        settings.watching.reconnect_backoff = 0.05
        settings.networking.error_backoffs = [0.05] * 1000
        return settings

    monkeypatch.setattr("runwright_operator.watch.kopf_settings", hurried)
    monkeypatch.setattr("runwright_operator.watch.FIRST_PAUSE", 0.05)
    monkeypatch.setattr("runwright_operator.watch.LONGEST_PAUSE", 0.1)
    monkeypatch.setattr("runwright_operator.handlers.LOGIN_PAUSES", (0.0, 0.05))


def test_what_is_there_and_what_comes_is_delivered_and_nothing_written() -> None:
    async def test(bench: Bench) -> None:
        await bench.watching()
        finalizers = {"finalizers": ["kopf.zalando.org/KopfFinalizerMarker"]}
        await bench.api.put(TRAINING_RUN, "n", "a", spec={}, metadata=finalizers)
        await bench.api.put(POD, "n", "mine", metadata=LABELS)
        await bench.api.put(POD, "n", "not-mine")
        await bench.api.remove(TRAINING_RUN, "n", "a")
        await bench.until(lambda: ("trainingruns", "DELETED", "a") in bench.seen)
        await bench.until(lambda: ("pods", "ADDED", "mine") in bench.seen)
        assert ("trainingruns", "ADDED", "a") in bench.seen
        assert all(name != "not-mine" for _, _, name in bench.seen)

    drive(test)


def test_objects_that_exist_are_listed_first() -> None:
    async def test(bench: Bench) -> None:
        await bench.watching()
        for number in range(20):
            await bench.api.put(TRAINING_RUN, "n", f"t{number}")
        await bench.until(lambda: len(bench.seen) == 20)
        bench.seen.clear()
        bench.watch.restart()
        await bench.until(lambda: len(bench.seen) == 20)
        assert {type for _, type, _ in bench.seen} == {None}

    drive(test)


def test_one_namespace_of_several() -> None:
    async def test(bench: Bench) -> None:
        await bench.watching()
        await bench.api.put(TRAINING_RUN, "other", "x")
        await bench.api.put(TRAINING_RUN, "n", "a")
        await bench.until(lambda: len(bench.seen) >= 1)
        assert bench.seen == [("trainingruns", "ADDED", "a")]
        assert not any(path.endswith("/v1alpha1/trainingruns") for _, path in bench.api.seen)

    drive(test, namespaces=("n",))


def test_kinds_that_do_not_exist_stop_nothing_and_are_watched_once_they_do() -> None:
    async def test(bench: Bench) -> None:
        await bench.watching(2)
        bench.api.kinds.append(PYTORCH_JOB)
        bench.watch.restart()
        await bench.until(lambda: bench.starts == 2)
        await bench.watching(3)
        await bench.api.put(PYTORCH_JOB, "n", "a-r1", metadata=LABELS)
        await bench.until(lambda: ("pytorchjobs", "ADDED", "a-r1") in bench.seen)

    drive(test, TRAINING_RUN, CONFIG_MAP)


def _stream(line: bytes, *, cut: bool = False) -> Callable[[web.Request], Awaitable[web.StreamResponse | None]]:
    """Once, a watch of TrainingRuns that says this and ends."""
    once = iter([True])

    async def fault(request: web.Request) -> web.StreamResponse | None:
        if request.query.get("watch") != "true" or "trainingruns" not in request.path or not next(once, False):
            return None
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(line)
        if cut:
            assert request.transport is not None
            request.transport.abort()
        return response

    return fault


def _error(code: int) -> bytes:
    return json.dumps({"type": "ERROR", "object": {"kind": "Status", "code": code, "message": "made"}}).encode() + b"\n"


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(lambda: _stream(_error(410)), id="410 in the stream"),
        pytest.param(lambda: _stream(_error(500)), id="500 in the stream"),
        pytest.param(lambda: _stream(b'{"type": "ADDED", "obj'), id="a line cut short"),
        pytest.param(lambda: _stream(b'{"type": "ADDED", "obj', cut=True), id="a connection cut"),
        pytest.param(lambda: _stream(b"<html>\n"), id="a page of a proxy"),
        pytest.param(lambda: _stream(b'{"type": "ADDED", "object": {}}\n'), id="an object without metadata"),
        pytest.param(lambda: failing(401, times=8), id="401"),
        pytest.param(lambda: failing(403, times=20), id="403"),
        pytest.param(lambda: failing(404, times=4, holding="trainingruns"), id="a kind that vanishes"),
        pytest.param(lambda: failing(429, times=20), id="429"),
        pytest.param(lambda: failing(500, times=20), id="500"),
        pytest.param(lambda: failing(503, times=20), id="503"),
    ],
)
def test_the_watch_mends_itself(fault: Callable[[], Any], caplog: pytest.LogCaptureFixture) -> None:
    async def test(bench: Bench) -> None:
        await bench.watching()
        bench.api.faults.append(fault())
        bench.watch.restart()
        await bench.until(lambda: bench.starts >= 2)
        await asyncio.sleep(0.3)
        await bench.watching()
        await bench.api.put(TRAINING_RUN, "n", "later")
        await bench.until(lambda: any(name == "later" for _, _, name in bench.seen))

    with caplog.at_level(logging.CRITICAL):
        drive(test)


def test_a_stream_that_falls_silent_is_opened_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    def impatient() -> Any:
        settings = kopf_settings()
        settings.watching.inactivity_timeout = 0.3
        settings.watching.reconnect_backoff = 0.05
        return settings

    monkeypatch.setattr("runwright_operator.watch.kopf_settings", impatient)

    async def test(bench: Bench) -> None:
        bench.api.bookmark_seconds = 0.1
        await bench.watching()
        bench.api.silent = True
        await bench.api.put(TRAINING_RUN, "n", "a")
        await asyncio.sleep(0.2)
        assert bench.seen == []
        bench.api.silent = False
        await bench.until(lambda: any(name == "a" for _, _, name in bench.seen))
        assert bench.starts == 1

    drive(test)


def test_an_event_that_cannot_be_taken_in_does_not_stop_the_next() -> None:
    async def test(bench: Bench) -> None:
        taken = bench._receive

        def receive(resource: Resource, type: str | None, raw: dict[str, Any]) -> None:
            if raw["metadata"]["name"] == "poison":
                raise RecursionError
            taken(resource, type, raw)

        bench.watch._receive = receive
        await bench.watching()
        await bench.api.put(TRAINING_RUN, "n", "poison")
        await bench.api.put(TRAINING_RUN, "n", "a")
        await bench.until(lambda: ("trainingruns", "ADDED", "a") in bench.seen)

    drive(test)


class Relisting:
    """A relister with a clock that the test moves."""

    def __init__(self, api: ApiServer, kubernetes: Kubernetes) -> None:
        self.api = api
        self.now = 0.0
        self.index = Index(clock=self.clock)
        self.queue = Queue(clock=self.clock)
        self.vitals = Vitals()
        self.metrics = Metrics()
        self.restarts = 0
        self.relister = Relister(
            kubernetes=kubernetes,
            index=self.index,
            queue=self.queue,
            namespaces=(),
            seconds=300,
            vitals=self.vitals,
            metrics=self.metrics,
            restart_watch=self._restart,
            clock=self.clock,
            chance=lambda: 0.5,
        )

    def clock(self) -> float:
        return self.now

    def _restart(self) -> None:
        self.restarts += 1
        self.relister.soon()

    async def at(self, seconds: float) -> None:
        self.now = seconds
        await self.relister.step()


def relist(test: Callable[[Relisting], Awaitable[None]], *kinds: Resource) -> None:
    async def run() -> None:
        async with asyncio.timeout(10), ApiServer(*(kinds or WATCHED)) as api:
            kubernetes = Kubernetes(api.access(), timeout=1)
            try:
                await test(Relisting(api, kubernetes))
            finally:
                await kubernetes.close()

    asyncio.run(run())


def test_a_relist_finds_changes_and_deletions() -> None:
    async def test(bench: Relisting) -> None:
        await bench.api.put(TRAINING_RUN, "n", "a", spec={})
        await bench.at(0)
        assert bench.vitals.last_relist == 0
        assert (bench.queue.depth, await bench.queue.take()) == (1, A)
        bench.queue.done(A)
        await bench.api.remove(TRAINING_RUN, "n", "a")
        await bench.at(299)
        assert bench.queue.depth == 0
        await bench.at(301)
        assert await bench.queue.take() == A
        assert bench.index.get(A) is None

    relist(test)


def test_a_watch_that_misses_twice_in_a_row_is_dead() -> None:
    async def test(bench: Relisting) -> None:
        await bench.api.put(TRAINING_RUN, "n", "a", spec={})
        await bench.at(0)
        await bench.at(OVERDUE + 2)
        assert (bench.vitals.strikes, bench.restarts) == (1, 1)
        await bench.api.put(TRAINING_RUN, "n", "a", spec={"suspend": True})
        await bench.at(OVERDUE + 10)
        await bench.at(2 * OVERDUE + 20)
        assert (bench.vitals.strikes, bench.restarts) == (2, 2)
        assert bench.metrics.registry.get_sample_value("runwright_watch_missed_total") == 2
        await bench.at(2 * OVERDUE + 30)
        await bench.at(3 * OVERDUE + 40)
        assert bench.vitals.strikes == 0

    relist(test)


def test_a_watch_that_delivers_late_is_fine() -> None:
    async def test(bench: Relisting) -> None:
        made = await bench.api.put(TRAINING_RUN, "n", "a", spec={})
        await bench.at(0)
        bench.now = 30
        bench.index.event(TRAINING_RUN, "ADDED", made)
        await bench.at(OVERDUE + 2)
        assert (bench.vitals.strikes, bench.restarts) == (0, 0)

    relist(test)


def test_an_api_server_that_fails_is_asked_again_soon_and_nothing_counts_as_gone() -> None:
    async def test(bench: Relisting) -> None:
        await bench.api.put(TRAINING_RUN, "n", "a", spec={})
        await bench.at(0)
        bench.queue.done(await bench.queue.take() or A)
        bench.api.faults.append(failing(503, times=3))
        await bench.at(301)
        assert bench.vitals.last_relist == 0
        assert bench.queue.depth == 0
        await bench.at(312)
        assert bench.vitals.last_relist == 312

    relist(test)


def test_a_kind_that_comes_later_is_found() -> None:
    async def test(bench: Relisting) -> None:
        await bench.at(0)
        assert "pytorchjobs.kubeflow.org" in bench.vitals.missing
        assert bench.vitals.last_relist == 0
        bench.api.kinds.append(PYTORCH_JOB)
        await bench.api.put(PYTORCH_JOB, "n", "a-r1", metadata=LABELS)
        await bench.at(11)
        assert "pytorchjobs.kubeflow.org" not in bench.vitals.missing
        assert bench.restarts == 1
        assert await bench.queue.take() == A

    relist(test, TRAINING_RUN, CONFIG_MAP, POD)


def test_a_kind_that_a_cluster_may_lack_is_not_waited_for_and_wakes_the_runs_when_it_comes() -> None:
    async def test(bench: Relisting) -> None:
        await bench.api.put(TRAINING_RUN, "n", "a", spec={})
        await bench.at(0)
        assert bench.index.missing == {TRAIN_JOB, RAY_JOB, SPARK_APPLICATION}
        assert bench.vitals.missing == ()
        bench.queue.done(await bench.queue.take() or A)
        bench.api.kinds.append(TRAIN_JOB)
        await bench.at(11)
        assert bench.restarts == 0
        await bench.at(301)
        assert bench.index.missing == {RAY_JOB, SPARK_APPLICATION}
        assert bench.restarts == 1
        assert await bench.queue.take() == A

    relist(test, TRAINING_RUN, CONFIG_MAP, POD, PYTORCH_JOB, INFERENCE_SERVICE)
