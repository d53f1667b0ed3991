"""What the client makes of a server that has a bad day. The faults are the double's."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runwright_operator.adapters import pipeline_runs
from runwright_operator.adapters.pipelines import (
    PipelineNotFound,
    PipelineRunSeen,
    Pipelines,
    PipelinesDenied,
    PipelinesError,
    PipelinesRefused,
    PipelinesSettings,
    PipelineState,
    PipelinesUnavailable,
)
from tests.contract.kfp_specs import shell
from tests.doubles.kfp.process import Double


def _play(double: Double, scenario: Callable[[Pipelines], Awaitable[None]], timeout: float = 1.0) -> None:
    async def played() -> None:
        pipelines = Pipelines(PipelinesSettings(double.url, timeout_seconds=timeout))
        try:
            await scenario(pipelines)
        finally:
            await pipelines.close()

    asyncio.run(played())


async def _create(pipelines: Pipelines, name: str) -> PipelineRunSeen:
    return await pipelines.create(
        "any",
        name=name,
        experiment="faults",
        spec=shell("sleep 30"),
        parameters={},
        service_account="runwright-run",
        description="",
    )


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize(
    "fault",
    [
        {"action": "reset"},
        {"action": "hang", "seconds": 3},
        {"action": "status", "status": 409},
        {"action": "status", "status": 500},
        {"action": "status", "status": 503},
        {"action": "status", "status": 429},
        {"action": "truncated"},
        {"action": "garbage"},
    ],
    ids=lambda fault: "-".join(str(part) for part in fault.values()),
)
def test_a_lost_answer_to_create_says_try_later_and_the_run_is_found_if_there_is_one(
    well: Double, name: str, fault: dict[str, Any], after: bool
) -> None:
    async def scenario(pipelines: Pipelines) -> None:
        await pipelines.terminate((await _create(pipelines, f"{name}-first")).id)  # the experiment is there now
        before = well.calls()["CreateRun"]
        well.fail(on="CreateRun", after=after, **fault)
        with pytest.raises(PipelinesUnavailable):
            await _create(pipelines, name)
        assert well.calls()["CreateRun"] == before + 1, "the client itself must never try twice"
        done = after or fault["action"] in ("truncated", "garbage")
        found = await pipelines.find("any", name)
        assert len(found) == (1 if done else 0)
        for run in found:
            await pipelines.terminate(run.id)

    _play(well, scenario)


@pytest.mark.parametrize("call", ["ListExperiments", "CreateExperiment"])
def test_a_lost_answer_about_the_experiment_starts_no_run(well: Double, name: str, call: str) -> None:
    async def scenario(pipelines: Pipelines) -> None:
        before = well.calls().get("CreateRun", 0)
        well.fail(on=call, action="reset", after=True)
        spec: dict[str, Any] = {"spec": shell("exit 0"), "parameters": {}, "service_account": "", "description": ""}
        with pytest.raises(PipelinesUnavailable):
            await pipelines.create("any", name=name, experiment=name, **spec)
        assert well.calls().get("CreateRun", 0) == before
        assert (await pipelines.create("any", name=name, experiment=name, **spec)).name == name
        assert len(await pipelines.find("any", name)) == 1

    _play(well, scenario)


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ({"action": "away"}, PipelinesUnavailable),
        ({"action": "hang", "seconds": 3}, PipelinesUnavailable),
        ({"action": "garbage"}, PipelinesUnavailable),
        ({"action": "truncated"}, PipelinesUnavailable),
        ({"action": "too-old"}, PipelinesRefused),
        ({"action": "status", "status": 401}, PipelinesDenied),
        ({"action": "status", "status": 403}, PipelinesDenied),
        ({"action": "status", "status": 400}, PipelinesRefused),
        ({"action": "status", "status": 501}, PipelinesUnavailable),
    ],
    ids=lambda value: "-".join(str(part) for part in value.values()) if isinstance(value, dict) else value.__name__,
)
def test_each_fault_has_its_error_whatever_was_asked(
    well: Double, name: str, fault: dict[str, Any], error: type[PipelinesError]
) -> None:
    async def scenario(pipelines: Pipelines) -> None:
        run = await _create(pipelines, name)
        well.fail(on="any", times=1000, **fault)
        calls: list[Callable[[], Awaitable[object]]] = [
            pipelines.check,
            lambda: pipelines.find("any", name),
            lambda: pipelines.get(run.id),
            lambda: pipelines.archive(run.id),
        ]
        for call in calls:
            if fault["action"] in ("garbage", "truncated") and call is calls[-1]:
                continue  # nothing is read of that answer
            with pytest.raises(error) as caught:
                await call()
            assert not isinstance(caught.value, PipelineNotFound)
        well.heal()
        await pipelines.terminate(run.id)

    _play(well, scenario)


def test_a_server_that_is_too_old_is_told_apart_from_a_run_that_is_gone(well: Double, name: str) -> None:
    async def scenario(pipelines: Pipelines) -> None:
        well.fail(on="any", times=1000, action="too-old")
        with pytest.raises(PipelinesRefused, match="needs Kubeflow Pipelines 2"):
            await pipelines.check()
        with pytest.raises(PipelinesRefused):
            await pipelines.terminate("0b0f5d7e-0000-4000-8000-000000000000")

    _play(well, scenario)


def test_a_termination_that_was_lost_is_repeated_in_peace(well: Double, name: str) -> None:
    async def scenario(pipelines: Pipelines) -> None:
        run = await _create(pipelines, name)
        well.fail(on="TerminateRun", action="reset", after=True)
        with pytest.raises(PipelinesUnavailable):
            await pipelines.terminate(run.id)
        await pipelines.terminate(run.id)

    _play(well, scenario)


def test_more_requests_than_threads_wait_their_turn_and_no_longer(well: Double) -> None:
    async def scenario(_: Pipelines) -> None:
        pipelines = Pipelines(PipelinesSettings(well.url, timeout_seconds=0.4, workers=2))
        well.fail(on="Healthz", times=1000, action="hang", seconds=2)
        started = asyncio.get_running_loop().time()
        answers = await asyncio.gather(*(pipelines.check() for _ in range(20)), return_exceptions=True)
        assert {type(answer) for answer in answers} == {PipelinesUnavailable}
        assert asyncio.get_running_loop().time() - started < 3 * 0.4 + 1
        await pipelines.close()

    _play(well, scenario)


def test_the_token_is_read_at_each_request_and_goes_to_no_other_host(tmp_path: Path) -> None:
    seen: list[str | None] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            seen.append(self.headers["Authorization"])
            self.send_response(302 if "elsewhere" in self.path else 403)
            self.send_header("Location", "http://127.0.0.1:1/")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_arguments: object) -> None:
            pass

    async def scenario(url: str) -> None:
        path = tmp_path / "token"
        for token in ("first", "second"):
            path.write_text(f"{token}\n")
            pipelines = Pipelines(PipelinesSettings(url, token_file=path))
            with pytest.raises(PipelinesDenied) as caught:
                await pipelines.check()
            assert token not in str(caught.value)
            await pipelines.close()
        pipelines = Pipelines(PipelinesSettings(f"{url}/elsewhere", token_file=path))
        with pytest.raises(PipelinesRefused, match="redirection"):
            await pipelines.check()
        await pipelines.close()

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        asyncio.run(scenario(f"http://127.0.0.1:{server.server_port}"))
    finally:
        server.shutdown()
        server.server_close()
    assert seen == ["Bearer first", "Bearer second", "Bearer second"]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)
_KEYS = st.sampled_from(
    [
        *("run_id", "display_name", "state", "created_at", "storage_state", "error", "message", "run_details", "runs"),
        *("task_details", "child_tasks", "pod_name", "state_history", "next_page_token", "experiment_id", "tag_name"),
        *("experiments", "total_size", "multi_user"),
    ]
)
_WORDS = st.sampled_from(["RUNNING", "CANCELING", "ARCHIVED", "2026-01-01T00:00:00Z", "0001-01-01T00:00:00Z", "x", ""])
LIKELY = st.recursive(
    _WORDS | JSON, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_KEYS, inner), max_leaves=30
)


@settings(max_examples=500, deadline=None)
@given(LIKELY)
def test_any_json_gives_values_or_a_value_error(answer: Any) -> None:
    for read in (
        pipeline_runs.run_seen,
        pipeline_runs.runs_seen,
        pipeline_runs.experiment,
        pipeline_runs.experiments,
        pipeline_runs.health,
    ):
        try:
            found = read(answer)
        except ValueError:
            continue
        json.dumps(str(found)).encode()
    assert isinstance(pipeline_runs.error_message(answer), str)


@given(st.text(), st.text(), st.text())
def test_a_run_of_any_words_is_a_run(name: str, state: str, error: str) -> None:
    run = pipeline_runs.run_seen({"run_id": "x", "display_name": name, "state": state, "error": {"message": error}})
    assert run.state in PipelineState
    assert len(run.error) <= pipeline_runs.LONGEST_ERROR


def test_an_object_that_is_no_list_is_not_taken_for_an_empty_one() -> None:
    assert pipeline_runs.runs_seen({}) == ((), "")
    others: list[Any] = [{"items": []}, {"total_size": 3}, {"message": "log in"}, [], "", None, {"runs": [{}]}]
    for answer in others:
        with pytest.raises(ValueError):
            pipeline_runs.runs_seen(answer)


def test_a_failed_run_is_explained_by_what_the_server_gives() -> None:
    task: dict[str, Any] = {
        "display_name": "train",
        "state": "FAILED",
        "child_tasks": [{"pod_name": "p1"}, {}, {"pod_name": "p1"}],
    }
    answer: dict[str, Any] = {"run_id": "x", "state": "FAILED", "run_details": {"task_details": [task]}}
    run = pipeline_runs.run_seen(answer)
    assert (run.error, run.tasks[0].pods) == ("failed: train", ("p1",))
    task["error"] = {"message": "exit code 10"}
    assert pipeline_runs.run_seen(answer).error == "exit code 10"
    answer["state_history"] = [{"state": "FAILED", "error": {"message": "the last state"}}]
    assert pipeline_runs.run_seen(answer).error == "the last state"
    answer["error"] = {"message": "of the run"}
    assert pipeline_runs.run_seen(answer).error == "of the run"
