"""How the double executes a pipeline: as Kubeflow Pipelines does, as far as our pipelines can tell."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import kfp_server_api
import pytest
from google.protobuf import json_format

from runwright_api.loading import load_object
from runwright_pipelines.compiling import Layout, pipeline_spec
from tests.contract.conftest import Kfp
from tests.contract.kfp_components import talk
from tests.contract.kfp_specs import shell
from tests.doubles.kfp.process import Double, running


class Server:
    """A double, and what a test asks of its API."""

    def __init__(self, double: Double) -> None:
        self.double = double
        self._api = kfp_server_api.RunServiceApi(Kfp(double.url).sdk())

    def create(self, spec: dict[str, Any], **parameters: str) -> str:
        body = {"display_name": "test", "pipeline_spec": spec, "runtime_config": {"parameters": parameters}}
        return str(self._api.run_service_create_run(body).run_id)

    def get(self, run_id: str) -> Any:
        return self._api.run_service_get_run(run_id)

    def terminate(self, run_id: str) -> None:
        self._api.run_service_terminate_run(run_id)

    def retry(self, run_id: str) -> None:
        self._api.run_service_retry_run(run_id)

    def until(self, run_id: str, *states: str, seconds: float = 60) -> Any:
        deadline = time.monotonic() + seconds
        while (run := self.get(run_id)).state not in (states or ("SUCCEEDED", "FAILED", "CANCELED")):
            assert time.monotonic() < deadline, f"still {run.state}"
            time.sleep(0.05)
        return run

    def kept(self, run_id: str) -> dict[str, Any]:
        return next(run for run in self.double.runs() if run["id"] == run_id)

    def folder(self, run_id: str) -> Path:
        return self.double.state / "runs" / run_id


@pytest.fixture(scope="module")
def server(double: Double) -> Server:
    return Server(double)


def test_components_run_as_the_launcher_runs_them(server: Server) -> None:
    spec = json_format.MessageToDict(talk.pipeline_spec)
    run_id = server.create(spec, word="good morning")
    run = server.until(run_id)
    assert run.state == "SUCCEEDED", server.kept(run_id)
    tasks = {task["name"]: task for task in server.kept(run_id)["tasks"]}
    assert tasks["repeat"]["outputs"] == {"Output": f"good morning {run_id} 12 good morning"}
    assert [task.state for task in run.run_details.task_details] == ["SUCCEEDED", "SUCCEEDED"]
    assert all(task.child_tasks[0].pod_name for task in run.run_details.task_details)


def test_a_run_goes_through_its_states(server: Server) -> None:
    run_id = server.create(shell("sleep 0.5"))
    seen = []
    while (state := server.get(run_id).state) != "SUCCEEDED":
        seen += [state] if state not in seen else []
        time.sleep(0.01)
    assert [state for state in seen if state] == ["PENDING", "RUNNING"]
    history = [moment.state for moment in server.get(run_id).state_history]
    assert history == ["PENDING", "RUNNING", "SUCCEEDED"]


def test_a_failed_task_fails_the_run_and_tells_its_exit_code(server: Server) -> None:
    run_id = server.create(shell("echo error: no such column; exit 10"))
    run = server.until(run_id)
    (task,) = run.run_details.task_details
    assert (run.state, task.state) == ("FAILED", "FAILED")
    assert task.error.message == "main: Error (exit code 10): error: no such column"
    assert server.kept(run_id)["tasks"][0]["exit_code"] == 10


def test_a_task_is_tried_again_as_its_policy_says(server: Server) -> None:
    run_id = server.create(shell("test -e ../again || { touch ../again; exit 20; }", retries=1))
    assert server.until(run_id).state == "SUCCEEDED"
    assert server.kept(run_id)["tasks"][0]["attempts"] == 2


def test_a_failed_run_is_retried_from_where_it_failed(server: Server) -> None:
    run_id = server.create(shell("test -e ../again || { touch ../again; exit 1; }"))
    assert server.until(run_id).state == "FAILED"
    server.retry(run_id)
    assert server.until(run_id, "SUCCEEDED").state == "SUCCEEDED"


def test_a_terminated_step_may_put_its_things_in_order(server: Server) -> None:
    run_id = server.create(shell("trap 'echo tidied; exit 30' TERM; while :; do sleep 0.05; done"))
    _wait_for_step(server, run_id)
    server.terminate(run_id)
    assert server.until(run_id).state == "CANCELED"
    assert server.kept(run_id)["tasks"][0]["exit_code"] == 30
    assert "tidied" in (server.folder(run_id) / "shell" / "1" / "log").read_text()


def test_a_step_that_will_not_end_is_killed(server: Server) -> None:
    run_id = server.create(shell("trap '' TERM; while :; do sleep 0.05; done"))
    _wait_for_step(server, run_id)
    server.terminate(run_id)
    assert server.get(run_id).state == "CANCELING"
    assert server.until(run_id).state == "CANCELED"
    assert server.kept(run_id)["tasks"][0]["exit_code"] == 137


def test_steps_and_runs_outlive_a_double_that_is_killed(tmp_path: Path) -> None:
    with running(tmp_path, "--pending", "0.1") as double:
        server = Server(double)
        ended, going = server.create(shell("exit 0")), server.create(shell("echo $$ > ../pid; sleep 2; echo done"))
        server.until(ended)
        _wait_for_step(server, going)
        double.kill()
        double.start()
        assert server.get(ended).state == "SUCCEEDED"
        assert server.until(going).state == "SUCCEEDED"
        assert server.kept(going)["tasks"][0]["attempts"] == 1


def test_nothing_is_left_when_a_double_ends(tmp_path: Path) -> None:
    with running(tmp_path, "--pending", "0.1") as double:
        server = Server(double)
        run_id = server.create(shell("echo $$ > ../pid.part; mv ../pid.part ../pid; sleep 60"))
        path = server.folder(run_id) / "shell" / "pid"
        _wait_for_step(server, run_id)
        while not path.exists():
            time.sleep(0.02)
    assert _gone(path.read_text().strip())


@pytest.mark.parametrize("layout", ["compact", "stages"])
def test_our_pipelines_pass_the_servers_validation_and_their_data_is_simulated(server: Server, layout: Layout) -> None:
    run = load_object(
        {
            "apiVersion": "runwright.dev/v1alpha1",
            "kind": "TrainingRun",
            "metadata": {"name": "small"},
            "spec": {
                "data": {"sources": [{"path": "data.csv"}]},
                "prepare": {"target": "target"},
                "train": {"task": "tabular-classification"},
            },
        }
    )
    run_id = server.create(pipeline_spec(run, layout=layout))
    deadline = time.monotonic() + 60
    first = "data" if layout == "compact" else "prepare"
    while {task["name"]: task["state"] for task in server.kept(run_id)["tasks"]}.get(first) != "SUCCEEDED":
        assert time.monotonic() < deadline, server.kept(run_id)
        time.sleep(0.1)
    prepared = server.folder(run_id) / first / "artifacts" / "prepared_data" / "manifest.json"
    assert json.loads(prepared.read_text())["signature"]["target"] == "target"
    server.terminate(run_id)
    server.until(run_id)


def _wait_for_step(server: Server, run_id: str) -> None:
    server.until(run_id, "RUNNING")
    while not any(task["step"] for task in server.kept(run_id)["tasks"]):
        time.sleep(0.02)
    time.sleep(0.3)  # until its shell has read the script


def _gone(pid: str) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True
