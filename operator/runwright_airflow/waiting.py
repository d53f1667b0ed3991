"""Follow one TrainingRun without a thread: a triggerer waits for many in one event loop."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager

import httpx

from runwright_airflow.access import FIELD_MANAGER, Access
from runwright_cli.cluster.client import Object, runs_path, watch_event, watch_query
from runwright_cli.cluster.connection import ANSWER_SECONDS, CONNECT_SECONDS, Connection
from runwright_cli.cluster.errors import AwayError, ExpiredError, NotFoundError, refused
from runwright_cli.cluster.follow import FIRST_WAIT, LONGEST_WAIT

WATCH_SECONDS = 60  # of one watch; by then a dead connection is noticed, and a kubeconfig's token is read anew


async def follow(
    access: Access, name: str, say: Callable[[str], object], watch_seconds: Callable[[], int] = lambda: WATCH_SECONDS
) -> AsyncGenerator[Object | None]:
    """The object now and after every change, for ever; None at the end of each watch, of `watch_seconds`.

    An API server that is away is told once to `say`, and waited for. Raises NotFoundError when the object is gone, and
    ClusterError.
    """
    wait, away = FIRST_WAIT, False
    while True:
        try:
            async with _opened(access) as (client, connection):
                content = await _get(client, connection, name)
                if away:
                    say("the API server is back")
                wait, away = FIRST_WAIT, False
                yield content
                async for changed in _changes(client, connection, name, content, watch_seconds()):
                    yield changed
        except ExpiredError:
            pass  # looked at anew
        except AwayError as error:
            if not away:
                say(f"{error.message}; trying again")
            away = True
            await asyncio.sleep(wait)
            wait = min(wait * 2, LONGEST_WAIT)
        yield None
        await asyncio.sleep(0 if away else FIRST_WAIT)


async def annotate(access: Access, name: str, decide: Callable[[Object], Mapping[str, str] | None]) -> None:
    """Set the annotations that `decide` names after a look at the object. Raises ClusterError."""
    async with _opened(access) as (client, connection):
        annotations = decide(await _get(client, connection, name))
        if annotations:
            answer = await client.patch(
                runs_path(connection.namespace, name),
                params={"fieldManager": FIELD_MANAGER},
                content=json.dumps({"metadata": {"annotations": annotations}}),
                headers={"Content-Type": "application/merge-patch+json"},
            )
            _check(answer, connection)


@asynccontextmanager
async def _opened(access: Access) -> AsyncIterator[tuple[httpx.AsyncClient, Connection]]:
    connection = await access.connection()
    limits = httpx.Timeout(ANSWER_SECONDS, connect=CONNECT_SECONDS)
    try:
        async with httpx.AsyncClient(
            base_url=connection.host, headers=connection.credentials(), verify=connection.tls(), timeout=limits
        ) as client:
            yield client, connection
    except httpx.TransportError as error:
        raise AwayError(f"{connection.host} does not answer: {str(error) or type(error).__name__}") from error


async def _get(client: httpx.AsyncClient, connection: Connection, name: str) -> Object:
    answer = await client.get(runs_path(connection.namespace, name))
    if answer.status_code == httpx.codes.NOT_FOUND:
        raise NotFoundError(f"there is no TrainingRun {name} in namespace {connection.namespace}", "was it deleted?")
    _check(answer, connection)
    try:
        return dict(answer.json())
    except ValueError as error:
        raise AwayError(f"{connection.host} gave an answer that is not JSON", "is a proxy between?") from error


async def _changes(
    client: httpx.AsyncClient, connection: Connection, name: str, content: Object, seconds: int
) -> AsyncIterator[Object]:
    query = watch_query(name, str(content["metadata"]["resourceVersion"]), seconds)
    silence = httpx.Timeout(seconds + 5.0, connect=CONNECT_SECONDS)
    async with client.stream("GET", runs_path(connection.namespace), params=query, timeout=silence) as answer:
        if answer.is_error:
            await answer.aread()
        _check(answer, connection)
        async for line in answer.aiter_lines():
            if not line.strip():
                continue
            kind, changed = watch_event(line, connection)
            if kind == "DELETED":
                return  # looked at anew: it may have been made again
            if kind in ("ADDED", "MODIFIED"):
                yield changed


def _check(answer: httpx.Response, connection: Connection) -> None:
    if answer.is_error:
        raise refused(answer.status_code, answer.content, host=connection.host, context=connection.context)
