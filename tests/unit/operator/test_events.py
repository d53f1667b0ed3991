"""Events: one a transition, counted when said again, never in the way."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from runwright_operator.adapters.kubernetes import Kubernetes
from runwright_operator.events import BURST, Events
from runwright_operator.resources import EVENT
from tests.doubles.apiserver import ApiServer, failing

RUN = {
    "apiVersion": "runwright.dev/v1alpha1",
    "kind": "TrainingRun",
    "metadata": {"namespace": "n", "name": "penguins", "uid": "u"},
}


class Bench:
    def __init__(self, api: ApiServer, kubernetes: Kubernetes) -> None:
        self.api = api
        self.now = 0.0
        self._kubernetes = kubernetes
        self.events = self.restarted()

    def restarted(self) -> Events:
        return Events(
            self._kubernetes,
            instance="pod-1",
            clock=lambda: self.now,
            now=lambda: datetime.fromtimestamp(1e9 + self.now, UTC),
        )

    async def say(self, message: str = "it runs", revision: int = 1, about: dict[str, Any] = RUN) -> None:
        await self.events.emit(about, type="Normal", reason="Submitted", message=message, revision=revision)

    @property
    def written(self) -> list[dict[str, Any]]:
        return list(self.api.objects.values())


def drive(test: Callable[[Bench], Awaitable[None]]) -> None:
    async def run() -> None:
        async with asyncio.timeout(10), ApiServer(EVENT) as api:
            kubernetes = Kubernetes(api.access(), timeout=0.5)
            try:
                await test(Bench(api, kubernetes))
            finally:
                await kubernetes.close()

    asyncio.run(run())


def test_an_event_is_about_its_object() -> None:
    async def test(bench: Bench) -> None:
        await bench.say()
        (event,) = bench.written
        assert event["involvedObject"] == {
            "apiVersion": "runwright.dev/v1alpha1",
            "kind": "TrainingRun",
            "namespace": "n",
            "name": "penguins",
            "uid": "u",
        }
        assert event["metadata"]["name"].startswith("penguins.")
        assert (event["reason"], event["message"], event["count"]) == ("Submitted", "it runs", 1)
        assert event["firstTimestamp"] == event["lastTimestamp"] == "2001-09-09T01:46:40Z"

    drive(test)


def test_saying_it_again_raises_the_count() -> None:
    async def test(bench: Bench) -> None:
        for _ in range(3):
            bench.now += 60
            await bench.say()
        (event,) = bench.written
        assert event["count"] == 3
        assert event["firstTimestamp"] < event["lastTimestamp"]
        bench.events = bench.restarted()
        await bench.say()
        assert bench.written[0]["count"] == 4
        assert ("GET", "x") not in bench.api.seen
        assert all(method != "GET" for method, _ in bench.api.seen), "we have no right to read events"

    drive(test)


def test_another_message_or_revision_is_another_event() -> None:
    async def test(bench: Bench) -> None:
        await bench.say("a")
        await bench.say("b")
        await bench.say("a", revision=2)
        await bench.say("a", about={**RUN, "metadata": {**RUN["metadata"], "uid": "v"}})  # type: ignore[dict-item]
        assert len(bench.written) == 4

    drive(test)


def test_an_event_that_ran_out_is_written_anew() -> None:
    async def test(bench: Bench) -> None:
        await bench.say()
        bench.api.objects.clear()
        await bench.say()
        assert bench.written[0]["count"] == 1

    drive(test)


def test_a_long_message_is_cut() -> None:
    async def test(bench: Bench) -> None:
        await bench.say("x" * 5000)
        assert len(bench.written[0]["message"]) == 1024

    drive(test)


def test_a_talkative_run_is_cut_short_and_its_neighbour_is_not() -> None:
    async def test(bench: Bench) -> None:
        for number in range(BURST + 20):
            await bench.say(f"message {number}")
        assert len(bench.written) == BURST
        await bench.say("mine", about={**RUN, "metadata": {**RUN["metadata"], "uid": "v"}})  # type: ignore[dict-item]
        assert len(bench.written) == BURST + 1
        bench.now += 31
        await bench.say("later")
        assert len(bench.written) == BURST + 2

    drive(test)


@pytest.mark.parametrize("code", [401, 403, 409, 410, 422, 429, 500])
def test_a_failure_is_only_logged(code: int, caplog: pytest.LogCaptureFixture) -> None:
    async def test(bench: Bench) -> None:
        bench.api.faults.append(failing(code, times=10))
        await bench.say()

    drive(test)
    assert "event not written" in caplog.text
