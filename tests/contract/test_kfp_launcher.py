"""The program in the pods of the double: what it makes of a command, and how it treats the store."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from moto.server import ThreadedMotoServer

from tests.doubles.kfp import launcher
from tests.doubles.kfp.launcher import LaunchError, Objects


@pytest.fixture(scope="module")
def objects() -> Iterator[Objects]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    httpx.put(f"http://{host}:{port}/mlpipeline").raise_for_status()
    yield Objects(f"http://{host}:{port}", "us-east-1", ("key", "secret"))
    server.stop()


def test_addresses_are_paths_in_the_container() -> None:
    assert launcher.local_path("minio://mlpipeline/v2/a") == Path("/minio/mlpipeline/v2/a")
    assert launcher.local_path("s3://bucket/a/b/") == Path("/s3/bucket/a/b")
    with pytest.raises(LaunchError, match="unsupported"):
        launcher.local_path("ftp://host/a")


def test_placeholders_stand_for_parameters_paths_and_addresses() -> None:
    def artifact(name: str) -> dict[str, Any]:
        return {"artifacts": [{"name": name, "uri": f"s3://bucket/{name}"}]}

    given = {
        "inputs": {
            "parameterValues": {"word": "hi there", "count": 3.0, "rate": 0.5, "fast": True, "list": [1, "a"]},
            "artifacts": {"data": artifact("data")},
        },
        "outputs": {"artifacts": {"model": artifact("model")}, "parameters": {"score": {"outputFile": "/tmp/score"}}},
    }
    words = [
        "{{$.inputs.parameters['word']}}!",
        *(f"{{{{$.inputs.parameters['{name}']}}}}" for name in ("count", "rate", "fast", "list")),
        "{{$.inputs.artifacts['data'].path}}",
        "{{$.outputs.artifacts['model'].uri}}",
        "{{$.outputs.parameters['score'].output_file}}",
        "{{else}}",
    ]
    assert launcher.filled(words, launcher.placeholders(given)) == [
        "hi there!",
        "3",
        "0.5",
        "true",
        '[1, "a"]',
        "/s3/bucket/data",
        "s3://bucket/model",
        "/tmp/score",
        "{{else}}",
    ]


@pytest.mark.parametrize(
    ("text", "kind", "value"),
    [
        ("a b\n", "STRING", "a b\n"),
        ("12", "NUMBER_INTEGER", 12),
        ("0.5", "NUMBER_DOUBLE", 0.5),
        ("True", "BOOLEAN", True),
        ("false", "BOOLEAN", False),
        ('["a"]', "LIST", ["a"]),
        ('{"a": 1}', "STRUCT", {"a": 1}),
    ],
)
def test_output_parameters_have_the_type_that_the_component_says(text: str, kind: str, value: Any) -> None:
    found = launcher.typed(text, kind)
    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize(("text", "kind"), [("many", "NUMBER_INTEGER"), ("yes", "BOOLEAN"), ("[", "LIST")])
def test_an_output_parameter_of_another_type_is_an_error(text: str, kind: str) -> None:
    with pytest.raises(ValueError):
        launcher.typed(text, kind)


def test_folders_and_files_travel_through_the_store(objects: Objects, tmp_path: Path) -> None:
    (tmp_path / "model" / "deep").mkdir(parents=True)
    (tmp_path / "model" / "a").write_text("A")
    (tmp_path / "model" / "deep" / "b").write_bytes(bytes(range(256)) * 4096)
    (tmp_path / "page").write_text("<html>")
    objects.upload(tmp_path / "model", "minio://mlpipeline/run/model")
    objects.upload(tmp_path / "page", "minio://mlpipeline/run/page")
    objects.upload(tmp_path / "page", "minio://mlpipeline/run/model-card")  # another one whose name begins the same
    objects.upload(tmp_path / "nothing", "minio://mlpipeline/run/nothing")
    objects.download("minio://mlpipeline/run/model", tmp_path / "got" / "model")
    objects.download("minio://mlpipeline/run/page", tmp_path / "got" / "page")
    objects.download("minio://mlpipeline/run/nothing", tmp_path / "got" / "nothing")
    got = {path.relative_to(tmp_path / "got").as_posix() for path in (tmp_path / "got").rglob("*") if path.is_file()}
    assert got == {"model/a", "model/deep/b", "page"}
    assert (tmp_path / "got" / "model" / "deep" / "b").read_bytes() == bytes(range(256)) * 4096
    assert objects.read("minio://mlpipeline/run/page") == b"<html>"
    assert objects.read("minio://mlpipeline/run/absent") is None


def test_what_stands_behind_two_dashes_is_the_components(tmp_path: Path) -> None:
    names = ("pipeline_name", "run_id", "pod_name", "pod_uid", "task_root", "executor_input", "component_spec")
    options = [f"--{name}=x" for name in (*names, "store_endpoint", "store_region", "store_secret")]
    given = launcher.arguments(["execute", *options, "--", "sh", "-c", "x", "--executor_input", "--", "y"])
    assert given.command == ["sh", "-c", "x", "--executor_input", "--", "y"]
    assert launcher.arguments(["drive", *options]).command == []


def test_a_component_that_ends_badly_or_is_killed_has_its_exit_code() -> None:
    program = "import sys; from tests.doubles.kfp.launcher import run; sys.exit(run(sys.argv[1:]))"

    def code(*command: str) -> int:
        return subprocess.run([sys.executable, "-c", program, *command], cwd=Path(__file__).parents[2]).returncode

    assert code("sh", "-c", "exit 10") == 10
    assert code("sh", "-c", "kill -9 $$") == 137


def test_a_signal_reaches_all_processes_of_the_component(tmp_path: Path) -> None:
    program = "import sys; from tests.doubles.kfp.launcher import run; sys.exit(run(sys.argv[1:]))"
    child = f"trap 'touch {tmp_path}/child; exit' TERM; touch {tmp_path}/there; while :; do sleep 0.05; done"
    script = f'trap : TERM; sh -c "{child}"; touch {tmp_path}/parent; exit 7'
    process = subprocess.Popen([sys.executable, "-c", program, "sh", "-c", script], cwd=Path(__file__).parents[2])
    hang = threading.Timer(60, process.kill)
    hang.start()
    while not (tmp_path / "there").exists() and process.poll() is None:
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGTERM)
    assert process.wait() == 7
    hang.cancel()
    assert (tmp_path / "child").exists()
    assert (tmp_path / "parent").exists()
