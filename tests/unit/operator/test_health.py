"""Health: a dead watch, a stuck loop and a cut-off process are told from a quiet one."""

import asyncio
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable

import pytest

from runwright_operator.health import Health, Vitals, fatal, keep_beating, unhealthy, unready
from runwright_operator.metrics import Metrics

NOW = 10_000.0


def vitals(**parts: object) -> Vitals:
    well = {
        "role": "leader",
        "beat": NOW,
        "leader_since": NOW - 5000,
        "last_relist": NOW - 10,
        "api_answered": NOW - 1,
    }
    return Vitals(**{**well, **parts})  # type: ignore[arg-type]


def test_a_quiet_operator_is_well() -> None:
    assert unhealthy(vitals(last_relist=NOW - 900), NOW) == ""
    assert unhealthy(vitals(strikes=1), NOW) == ""
    assert unready(vitals(), NOW) == ""
    assert fatal(vitals(), NOW) == ""


@pytest.mark.parametrize(
    ("parts", "word"),
    [
        ({"beat": NOW - 6}, "stuck"),
        ({"last_relist": NOW - 961}, "listed"),
        ({"last_relist": None}, "listed"),
        ({"strikes": 2}, "watch is dead"),
    ],
)
def test_what_a_restart_mends_is_unhealthy(parts: dict[str, object], word: str) -> None:
    assert word in unhealthy(vitals(**parts), NOW)


def test_a_standby_lists_nothing_and_is_well() -> None:
    standby = vitals(role="standby", leader_since=None, last_relist=None)
    assert unhealthy(standby, NOW) == ""
    assert fatal(standby, NOW) == ""
    assert unready(standby, NOW) == ""


def test_a_new_leader_has_time_for_its_first_list() -> None:
    assert unhealthy(vitals(leader_since=NOW - 100, last_relist=None), NOW) == ""


@pytest.mark.parametrize("parts", [{"beat": NOW - 61}, {"last_relist": NOW - 1201}, {"last_relist": None}])
def test_what_cannot_mend_itself_ends(parts: dict[str, object]) -> None:
    assert fatal(vitals(**parts), NOW)


@pytest.mark.parametrize(
    "parts", [{"role": "starting"}, {"role": "stopping"}, {"api_answered": None}, {"api_answered": NOW - 31}]
)
def test_not_ready(parts: dict[str, object]) -> None:
    assert unready(vitals(**parts), NOW)


def served(health: Health, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{health.port}{path}", timeout=5) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def running(state: Vitals, *, end: Callable[[str], None] = print, lost: Callable[[], bool] = lambda: False) -> Health:
    metrics = Metrics()
    return Health(state, host="127.0.0.1", port=0, metrics=metrics.page, end=end, is_lost=lost)


def test_the_three_pages() -> None:
    state = Vitals(role="standby", api_answered=time.monotonic(), pipelines="2.17.0", missing=("x.example",))
    health = running(state)
    health.start()
    try:
        assert served(health, "/healthz") == (200, "ok\n")
        code, text = served(health, "/readyz")
        assert code == 200
        assert "2.17.0" in text
        assert "x.example" in text
        code, text = served(health, "/metrics")
        assert code == 200
        assert "runwright_build_info" in text
        state.role = "stopping"
        assert served(health, "/readyz")[0] == 503
        assert served(health, "/other")[0] == 404
    finally:
        health.stop()


def test_it_answers_while_the_main_loop_is_stuck() -> None:
    state = Vitals(role="standby")
    health = running(state)
    health.start()

    async def main() -> None:
        beating = asyncio.ensure_future(keep_beating(state))
        await asyncio.sleep(0.01)
        state.beat -= 6  # as if the loop had been busy for so long
        time.sleep(0.05)
        assert served(health, "/healthz")[0] == 503
        await asyncio.sleep(0.6)
        assert (await asyncio.to_thread(served, health, "/healthz"))[0] == 200
        beating.cancel()

    try:
        asyncio.run(main())
    finally:
        health.stop()


@pytest.mark.parametrize("stuck", [True, False])
def test_the_watchdog_ends_the_process(stuck: bool) -> None:
    ended, why = threading.Event(), []

    def end(reason: str) -> None:
        why.append(reason)
        ended.set()

    health = running(Vitals(beat=time.monotonic() - 100 * stuck), end=end, lost=lambda: not stuck)
    health.start()
    try:
        assert ended.wait(3)
        assert ("stuck" if stuck else "lease") in why[0]
    finally:
        health.stop()


def test_a_port_that_is_taken_is_an_error() -> None:
    first = running(Vitals())
    first.start()
    second = Health(Vitals(), host="127.0.0.1", port=first.port, metrics=bytes, end=print)
    try:
        with pytest.raises(OSError):
            second.start()
    finally:
        first.stop()
