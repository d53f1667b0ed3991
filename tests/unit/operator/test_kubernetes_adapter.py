"""The client of the Kubernetes API, over real sockets."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from aiohttp import web
from hypothesis import given, settings
from hypothesis import strategies as st

from runwright_operator.adapters.access import Access, AccessError, read_configuration
from runwright_operator.adapters.kubernetes import (
    AlreadyExists,
    ApiError,
    Conflict,
    Denied,
    Gone,
    Invalid,
    Kubernetes,
    NotFound,
    Unavailable,
    path_of,
    understand,
)
from runwright_operator.lease import LeaseLost
from runwright_operator.resources import CONFIG_MAP, PYTORCH_JOB, TRAINING_RUN
from tests.doubles.apiserver import ApiServer, configuration, failing, status

Test = Callable[[ApiServer, Kubernetes], Awaitable[None]]


def drive(test: Test, **options: Any) -> None:
    async def run() -> None:
        async with asyncio.timeout(10), ApiServer(TRAINING_RUN, CONFIG_MAP) as api:
            kubernetes = Kubernetes(api.access(), **options)
            try:
                await test(api, kubernetes)
            finally:
                await kubernetes.close()

    asyncio.run(run())


def test_objects_come_and_go() -> None:
    async def test(api: ApiServer, kubernetes: Kubernetes) -> None:
        assert await kubernetes.get(CONFIG_MAP, "n", "x") is None
        made = await kubernetes.create(CONFIG_MAP, "n", {"metadata": {"name": "x"}, "data": {"a": "1"}})
        with pytest.raises(AlreadyExists):
            await kubernetes.create(CONFIG_MAP, "n", {"metadata": {"name": "x"}})
        found = await kubernetes.get(CONFIG_MAP, "n", "x")
        assert found == made
        await kubernetes.merge(CONFIG_MAP, "n", "x", {"data": {"a": None, "b": "2"}})
        applied = await kubernetes.apply(CONFIG_MAP, "n", "x", {"data": {"c": "3"}}, manager="me")
        assert applied["data"] == {"b": "2", "c": "3"}
        assert await kubernetes.delete(CONFIG_MAP, "n", "x") is True
        assert await kubernetes.delete(CONFIG_MAP, "n", "x") is False
        with pytest.raises(NotFound):
            await kubernetes.merge(CONFIG_MAP, "n", "x", {"data": {}})

    drive(test)


def test_preconditions_hold() -> None:
    async def test(api: ApiServer, kubernetes: Kubernetes) -> None:
        old = await api.put(CONFIG_MAP, "n", "x")
        await api.put(CONFIG_MAP, "n", "x", data={"a": "1"})
        version = old["metadata"]["resourceVersion"]
        with pytest.raises(Conflict):
            await kubernetes.merge(CONFIG_MAP, "n", "x", {"data": {}}, resource_version=version)
        with pytest.raises(Conflict):
            await kubernetes.delete(CONFIG_MAP, "n", "x", uid="another")
        assert await kubernetes.delete(CONFIG_MAP, "n", "x", uid=old["metadata"]["uid"])

    drive(test)


def test_a_list_is_read_page_by_page() -> None:
    async def test(api: ApiServer, kubernetes: Kubernetes) -> None:
        for number in range(7):
            await api.put(CONFIG_MAP, "n", f"x{number}", metadata={"labels": {"a": str(number % 2)}})
        await api.put(CONFIG_MAP, "m", "y")
        everything = await kubernetes.list(CONFIG_MAP, limit=3)
        assert len(everything.items) == 8
        assert int(everything.resource_version) > 0
        assert [one["metadata"]["name"] for one in (await kubernetes.list(CONFIG_MAP, "m")).items] == ["y"]
        assert len((await kubernetes.list(CONFIG_MAP, "n", labels="a=1")).items) == 3

    drive(test)


def test_a_list_that_is_forgotten_in_the_middle_starts_anew() -> None:
    async def test(api: ApiServer, kubernetes: Kubernetes) -> None:
        for number in range(5):
            await api.put(CONFIG_MAP, "n", f"x{number}")
        gone = iter([True])

        async def forget(request: web.Request) -> web.Response | None:
            return status(410, "Expired", "too old") if "continue" in request.query and next(gone, None) else None

        api.faults.append(forget)
        assert len((await kubernetes.list(CONFIG_MAP, limit=2)).items) == 5

        async def forget_always(request: web.Request) -> web.Response | None:
            return status(410, "Expired", "too old") if "continue" in request.query else None

        api.faults.append(forget_always)
        with pytest.raises(Unavailable):
            await kubernetes.list(CONFIG_MAP, limit=2)

    drive(test)


def test_a_kind_that_does_not_exist_is_not_an_empty_list() -> None:
    async def test(api: ApiServer, kubernetes: Kubernetes) -> None:
        with pytest.raises(NotFound):
            await kubernetes.list(PYTORCH_JOB)

    drive(test)


@pytest.mark.parametrize(
    ("code", "error"),
    [
        (400, Invalid),
        (401, Denied),
        (403, Denied),
        (404, NotFound),
        (405, ApiError),
        (409, Conflict),
        (410, Gone),
        (422, Invalid),
        (429, Unavailable),
        (500, Unavailable),
        (503, Unavailable),
        (302, Unavailable),
    ],
)
def test_each_status_has_its_error(code: int, error: type[ApiError]) -> None:
    body = json.dumps({"kind": "Status", "reason": "Why", "message": "because"}).encode()
    with pytest.raises(ApiError) as caught:
        understand(code, body)
    assert type(caught.value) is error
    assert (caught.value.status, caught.value.reason, str(caught.value)) == (code, "Why", "because")


def test_the_server_may_say_how_long_to_wait() -> None:
    for header, details, seconds in [
        ("7", None, 7.0),
        (None, {"retryAfterSeconds": 3}, 3.0),
        ("soon", None, None),
        ("-1", None, None),
        ("1e9", None, 300.0),
        (None, {"retryAfterSeconds": []}, None),
    ]:
        with pytest.raises(Unavailable) as caught:
            understand(429, json.dumps({"details": details}).encode(), header)
        assert caught.value.retry_after == seconds


_json = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=4), inner, max_size=2),
    max_leaves=4,
)
_odd = st.dictionaries(st.sampled_from(["reason", "message", "details", "code", "metadata", "items", "kind"]), _json)


@settings(max_examples=150, deadline=None)
@given(
    st.integers(100, 599),
    st.binary() | (_json | _odd).map(lambda value: json.dumps(value).encode()),
    st.none() | st.text(),
)
def test_any_answer_is_an_object_or_an_api_error(code: int, body: bytes, retry_after: str | None) -> None:
    error: ApiError | None = None
    try:
        assert isinstance(understand(code, body, retry_after), dict)
    except ApiError as raised:
        error = raised
    assert error is None or (isinstance(error.reason, str) and len(str(error)) <= 1024)


def test_deeply_nested_json_is_an_api_error() -> None:
    with pytest.raises(Unavailable):
        understand(200, b"[" * 100_000)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b'{"items": 3, "metadata": {}}',
        b'{"items": [1], "metadata": {}}',
        b'{"items": [{"metadata": 1}], "metadata": {}}',
        b'{"items": []}',
        b'{"items": [{"metadata": {}}], "metadata": {"continue": "again"}}',
    ],
)
def test_a_senseless_list_is_an_api_error(body: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runwright_operator.adapters.kubernetes.MOST_PAGES", 5)

    async def test(api: ApiServer, kubernetes: Kubernetes) -> None:
        async def answer(request: web.Request) -> web.Response:
            return web.Response(body=body)

        api.faults.append(answer)
        with pytest.raises(Unavailable):
            await kubernetes.list(CONFIG_MAP)

    drive(test)


def test_silence_resets_and_truncation_are_unavailable() -> None:
    async def test(api: ApiServer, kubernetes: Kubernetes) -> None:
        async def silent(request: web.Request) -> web.Response | None:
            await asyncio.sleep(1)
            return None

        async def reset(request: web.Request) -> web.Response | None:
            assert request.transport is not None
            request.transport.abort()
            return web.Response()

        async def truncated(request: web.Request) -> web.StreamResponse:
            response = web.StreamResponse(headers={"Content-Length": "1000"})
            await response.prepare(request)
            await response.write(b'{"metadata": ')
            assert request.transport is not None
            request.transport.abort()
            return response

        for fault in (silent, reset, truncated):
            api.faults[:] = [fault]
            with pytest.raises(Unavailable) as caught:
                await kubernetes.get(CONFIG_MAP, "n", "x")
            assert caught.value.status == 0

    drive(test, timeout=0.2)


def test_nobody_listens() -> None:
    async def run() -> None:
        kubernetes = Kubernetes(Access(read=lambda: configuration("http://127.0.0.1:1")))
        with pytest.raises(Unavailable):
            await kubernetes.create(CONFIG_MAP, "n", {"metadata": {"name": "x"}})
        await kubernetes.close()

    asyncio.run(run())


def test_nothing_but_a_401_is_tried_twice() -> None:
    async def test(api: ApiServer, kubernetes: Kubernetes) -> None:
        for code in (429, 500, 503):
            api.faults[:] = [failing(code, times=1)]
            api.seen.clear()
            with pytest.raises(Unavailable):
                await kubernetes.get(CONFIG_MAP, "n", "x")
            assert len(api.seen) == 1

    drive(test)


def test_a_token_that_ran_out_is_read_anew() -> None:
    async def run() -> None:
        async with ApiServer(CONFIG_MAP) as api:
            tokens = iter(["old", "new", "newest"])

            async def check(request: web.Request) -> web.Response | None:
                return None if request.headers["Authorization"] == "Bearer new" else status(401, "Unauthorized", "no")

            api.faults.append(check)
            kubernetes = Kubernetes(Access(read=lambda: configuration(api.url, next(tokens))))
            assert await kubernetes.get(CONFIG_MAP, "n", "x") is None
            await kubernetes.get(CONFIG_MAP, "n", "x")
            assert len(api.seen) == 3
            await kubernetes.close()

    asyncio.run(run())


def test_a_token_that_cannot_be_read_stays_in_use() -> None:
    async def test(api: ApiServer, kubernetes: Kubernetes) -> None:
        await kubernetes.get(CONFIG_MAP, "n", "x")
        access = kubernetes._access
        access._read = None  # type: ignore[assignment]  # whatever goes wrong
        access.refused()
        await kubernetes.get(CONFIG_MAP, "n", "x")
        assert api.headers[-1]["Authorization"] == "Bearer not-a-real-token"

    drive(test)


def test_the_guard_stands_before_writes_alone() -> None:
    def guard() -> None:
        raise LeaseLost("not the leader")

    async def test(api: ApiServer, kubernetes: Kubernetes) -> None:
        await kubernetes.get(CONFIG_MAP, "n", "x")
        await kubernetes.list(CONFIG_MAP)
        writes: list[Awaitable[Any]] = [
            kubernetes.create(CONFIG_MAP, "n", {"metadata": {"name": "x"}}),
            kubernetes.apply(CONFIG_MAP, "n", "x", {}, manager="me"),
            kubernetes.merge(CONFIG_MAP, "n", "x", {}),
            kubernetes.delete(CONFIG_MAP, "n", "x"),
        ]
        for write in writes:
            with pytest.raises(LeaseLost):
                await write
        assert api.writes() == []

    drive(test, guard=guard)


def test_each_request_is_counted() -> None:
    calls: list[tuple[str, str, str]] = []

    async def test(api: ApiServer, kubernetes: Kubernetes) -> None:
        await kubernetes.get(CONFIG_MAP, "n", "x")
        await kubernetes.list(CONFIG_MAP)
        await kubernetes.create(CONFIG_MAP, "n", {"metadata": {"name": "x"}})
        assert calls == [("get", "configmaps", "404"), ("list", "configmaps", "200"), ("create", "configmaps", "201")]

    drive(test, on_call=lambda *call: calls.append(call))


@pytest.mark.parametrize("value", [float("nan"), {1, 2}, object()])
def test_what_is_no_json_is_invalid_and_not_sent(value: Any) -> None:
    async def test(api: ApiServer, kubernetes: Kubernetes) -> None:
        with pytest.raises(Invalid):
            await kubernetes.merge(CONFIG_MAP, "n", "x", {"data": value})
        assert api.seen == []

    drive(test)


def test_a_name_cannot_leave_its_place_in_the_path() -> None:
    assert path_of(TRAINING_RUN, "n", "../../secrets/x?y") == (
        "/apis/runwright.dev/v1alpha1/namespaces/n/trainingruns/..%2F..%2Fsecrets%2Fx%3Fy"
    )
    assert path_of(CONFIG_MAP, None) == "/api/v1/configmaps"


def test_a_session_for_reading_refuses_to_write() -> None:
    async def run() -> None:
        async with ApiServer(CONFIG_MAP) as api, api.access().session(read_only=True) as session:
            assert (await session.get(f"{api.url}/version")).status == 200
            with pytest.raises(RuntimeError):
                await session.patch(f"{api.url}/version", json={})
            assert api.writes() == []

    asyncio.run(run())


def test_without_any_configuration_the_error_says_what_was_looked_for(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    monkeypatch.setattr("kubernetes.config.kube_config.KUBE_CONFIG_DEFAULT_LOCATION", str(tmp_path / "none"))
    with pytest.raises(AccessError, match="not in a pod"):
        read_configuration()
