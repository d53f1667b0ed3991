"""The operator's client against Kubeflow Pipelines."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from runwright_operator.adapters.pipelines import (
    PipelineNotFound,
    PipelineRunSeen,
    Pipelines,
    PipelinesDenied,
    PipelinesRefused,
    PipelinesSettings,
    PipelineState,
)
from tests.contract.conftest import Kfp
from tests.contract.kfp_specs import shell
from tests.doubles.kfp.process import Double, running

Scenario = Callable[[Pipelines], Awaitable[None]]


@asynccontextmanager
async def _client(settings: PipelinesSettings) -> AsyncIterator[Pipelines]:
    pipelines = Pipelines(settings)
    try:
        yield pipelines
    finally:
        await pipelines.close()


@pytest.fixture
def play(kfp: Kfp) -> Callable[[Scenario], None]:
    """Run a scenario with a client."""

    def run(scenario: Scenario) -> None:
        async def played() -> None:
            async with _client(kfp.settings()) as pipelines:
                await scenario(pipelines)

        asyncio.run(played())

    return run


async def _create(pipelines: Pipelines, kfp: Kfp, name: str, script: str = "exit 0", **changes: Any) -> PipelineRunSeen:
    given = {
        "name": name,
        "experiment": "contract",
        "spec": shell(script, image=kfp.image),
        "parameters": {"text": "hello"},
        "service_account": kfp.service_account,
        "description": "a test of the contract",
        **changes,
    }
    return await pipelines.create(kfp.namespace, **given)


def test_a_server_tells_its_version(play: Any) -> None:
    async def scenario(pipelines: Pipelines) -> None:
        assert await pipelines.check()

    play(scenario)


def test_a_server_in_the_other_mode_is_refused_with_the_cure(kfp: Kfp) -> None:
    async def scenario() -> None:
        async with _client(kfp.settings(multi_user=not kfp.namespace)) as pipelines:
            with pytest.raises(PipelinesRefused, match=r"set pipelines\.multiUser to"):
                await pipelines.check()

    asyncio.run(scenario())


def test_a_run_is_found_by_its_whole_name(play: Any, kfp: Kfp, name: str) -> None:
    async def scenario(pipelines: Pipelines) -> None:
        assert await pipelines.find(kfp.namespace, name) == ()
        made = await _create(pipelines, kfp, name)
        other = await _create(pipelines, kfp, f"{name}-a2")
        assert made.state is PipelineState.PENDING
        assert [run.id for run in await pipelines.find(kfp.namespace, name)] == [made.id]
        assert await pipelines.find(kfp.namespace, name.upper()) == ()
        assert (await pipelines.get(made.id)).name == name
        for run in (made, other):
            await pipelines.terminate(run.id)

    play(scenario)


def test_the_oldest_of_a_name_comes_first(play: Any, kfp: Kfp, name: str) -> None:
    async def scenario(pipelines: Pipelines) -> None:
        first = await _create(pipelines, kfp, name)
        await asyncio.sleep(1.1)  # the server's clock has whole seconds
        await asyncio.gather(*(_create(pipelines, kfp, name) for _ in range(3)))
        found = await pipelines.find(kfp.namespace, name)
        assert len(found) == 4
        assert found[0].id == first.id
        assert list(found) == sorted(found, key=lambda run: run.age_order)
        await asyncio.gather(*(pipelines.terminate(run.id) for run in found))

    play(scenario)


def test_archived_runs_are_found_and_called_so(play: Any, kfp: Kfp, name: str) -> None:
    async def scenario(pipelines: Pipelines) -> None:
        made = await _create(pipelines, kfp, name)
        for _ in range(2):
            await pipelines.archive(made.id)
        (found,) = await pipelines.find(kfp.namespace, name)
        assert (found.id, found.archived) == (made.id, True)
        await pipelines.terminate(made.id)

    play(scenario)


def test_what_is_missing_is_missing_and_needs_no_end(play: Any) -> None:
    async def scenario(pipelines: Pipelines) -> None:
        for missing in (str(uuid.uuid4()), "", "..", "a/b", "x" * 500, "%2e%2e"):
            with pytest.raises(PipelineNotFound):
                await pipelines.get(missing)
            await pipelines.terminate(missing)
            await pipelines.archive(missing)

    play(scenario)


def test_a_run_is_terminated_once_or_more(play: Any, kfp: Kfp, name: str) -> None:
    async def scenario(pipelines: Pipelines) -> None:
        made = await _create(pipelines, kfp, name, "sleep 300")
        for _ in range(3):
            await pipelines.terminate(made.id)
        assert (await pipelines.get(made.id)).state in (PipelineState.CANCELING, PipelineState.CANCELED)
        ended = await until_ended(pipelines, made.id)
        assert ended.state in (PipelineState.CANCELED, PipelineState.FAILED)
        await pipelines.terminate(made.id)

    play(scenario)


def test_a_bad_spec_is_refused_and_not_tried_for_ever(play: Any, kfp: Kfp, name: str) -> None:
    async def scenario(pipelines: Pipelines) -> None:
        with pytest.raises(PipelinesRefused, match="pipeline spec is invalid"):
            await _create(pipelines, kfp, name, spec={"pipelineInfo": {"name": "x"}})
        with pytest.raises(PipelinesRefused, match="not required by pipeline"):
            await _create(pipelines, kfp, name, parameters={"other": "x"})
        assert await pipelines.find(kfp.namespace, name) == ()

    play(scenario)


def test_an_experiment_is_made_once_whoever_is_first(kfp: Kfp, name: str) -> None:
    async def scenario() -> None:
        async with _client(kfp.settings()) as one, _client(kfp.settings()) as other:
            runs = await asyncio.gather(
                *(_create(client, kfp, name, experiment=name) for client in (one, other, one, other))
            )
            sdk = kfp.sdk()
            made = [
                sdk.call_api("/apis/v2beta1/runs/{id}", "GET", {"id": run.id}, response_type="object")[0]
                for run in runs
            ]
            assert len({run["experiment_id"] for run in made}) == 1
            await asyncio.gather(*(one.terminate(run.id) for run in runs))

    asyncio.run(scenario())


def test_an_experiment_deleted_meanwhile_is_made_again(play: Any, kfp: Kfp, name: str) -> None:
    async def scenario(pipelines: Pipelines) -> None:
        sdk, path = kfp.sdk(), "/apis/v2beta1/experiments/{id}"
        first = await _create(pipelines, kfp, name, experiment=name)
        run = sdk.call_api("/apis/v2beta1/runs/{id}", "GET", {"id": first.id}, response_type="object")[0]
        sdk.call_api(path, "DELETE", {"id": run["experiment_id"]}, response_type="object")
        second = await _create(pipelines, kfp, f"{name}-2", experiment=name)
        assert second.id != first.id
        await pipelines.terminate(second.id)

    play(scenario)


def test_a_run_has_a_page(kfp: Kfp) -> None:
    pipelines = Pipelines(kfp.settings(ui_url="https://kubeflow.example.com/_/pipeline/"))
    assert pipelines.url("4e1b") == "https://kubeflow.example.com/_/pipeline/#/runs/details/4e1b"
    assert pipelines.url("<script>") is None
    assert Pipelines(kfp.settings()).url("4e1b") is None


def test_runs_of_a_namespace_are_apart_in_multi_user_mode(tmp_path: Path, name: str) -> None:
    async def scenario(url: str) -> None:
        async with _client(PipelinesSettings(url, multi_user=True)) as pipelines:
            assert await pipelines.check()
            one, two = Kfp(url, namespace="one"), Kfp(url, namespace="two")
            made = [await _create(pipelines, kfp, name, experiment="same") for kfp in (one, two)]
            assert [run.id for run in await pipelines.find("one", name)] == [made[0].id]
            assert [run.id for run in await pipelines.find("two", name)] == [made[1].id]

    with running(tmp_path, "--multi-user") as double:
        asyncio.run(scenario(double.url))


def test_a_private_authority_is_trusted_when_it_is_named(tmp_path: Path) -> None:
    async def scenario(double: Double) -> None:
        async with _client(PipelinesSettings(double.url, ca_file=tmp_path / "ca.crt")) as pipelines:
            assert await pipelines.check()
        async with _client(PipelinesSettings(double.url)) as pipelines:
            with pytest.raises(Exception, match="certificate verify failed"):
                await pipelines.check()

    with running(tmp_path, "--tls") as double:
        asyncio.run(scenario(double))


@pytest.mark.parametrize("content", [None, b"", b"two\nlines", b"\xff\xfe"])
def test_a_token_that_is_none_is_never_sent_or_shown(kfp: Kfp, tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "token"
    if content is not None:
        path.write_bytes(content)

    async def scenario() -> None:
        async with _client(kfp.settings(token_file=path)) as pipelines:
            with pytest.raises(PipelinesDenied) as caught:
                await pipelines.check()
            assert "lines" not in str(caught.value)

    asyncio.run(scenario())


async def until_ended(pipelines: Pipelines, run_id: str, seconds: float = 120) -> PipelineRunSeen:
    async with asyncio.timeout(seconds):
        while not (run := await pipelines.get(run_id)).state.ended:
            await asyncio.sleep(0.1)
    return run
