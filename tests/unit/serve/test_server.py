"""The server as a process: both protocols, every malformed request, metrics, readiness, shutdown."""

import asyncio
import json
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import kserve
import numpy as np
import pytest
from kserve import InferenceRESTClient, InferInput, InferRequest, RESTConfig

from runwright_components.serve.predictor import Predictor
from runwright_components.serve.protocol import as_v2

V1 = "/v1/models/penguins:predict"
V2 = "/v2/models/penguins/infer"
ROW = {"mass": 3.5, "bill": 39.1, "island": "Biscoe", "year": 2007, "tagged": True, "seen": "2007-11-11"}


def tensor(name: str, datatype: str, data: list[Any]) -> dict[str, Any]:
    return {"name": name, "shape": [len(data)], "datatype": datatype, "data": data}


def tensors(**changes: Any) -> list[dict[str, Any]]:
    """A V2 request's inputs for two rows; a change replaces a tensor, or takes it away when it is None."""
    found = {
        "mass": tensor("mass", "BYTES", ["3,5 kg", None]),
        "bill": tensor("bill", "FP64", [39.1, 50.0]),
        "island": tensor("island", "BYTES", ["Biscoe", "Mars"]),
        "year": tensor("year", "INT64", [2007, 2008]),
        "tagged": tensor("tagged", "BOOL", [True, False]),
        "seen": tensor("seen", "BYTES", ["2007-11-11", "2008-01-02"]),
    }
    return [value for value in {**found, **changes}.values() if value is not None]


def test_v1_answers_as_the_predictor_to_the_last_bit(server: Any, penguins: Path) -> None:
    rows = [ROW, {**ROW, "mass": "4,1 kg", "island": "Mars"}, {**ROW, "mass": None, "tagged": "no"}]
    answer = server.predict(rows)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    assert "x-request-id" not in answer.headers, "predictions are logged only where a place is given"
    predictor = Predictor(penguins)
    expected = predictor.predict_rows(rows)
    assert expected.labels is not None
    assert expected.probabilities is not None
    assert answer.json() == {
        "predictions": [
            {"label": label, "probabilities": dict(zip(predictor.signature.labels, row, strict=True))}
            for label, row in zip(expected.labels, expected.probabilities.tolist(), strict=True)
        ]
    }


def test_v2_answers_as_v1(server: Any) -> None:
    first = server.post(V2, {"id": "abc", "inputs": tensors()})
    assert first.status_code == 200
    content = first.json()
    assert (content["model_name"], content["id"]) == ("penguins", "abc")
    label, probabilities = content["outputs"]
    assert (label["name"], label["datatype"], label["shape"]) == ("label", "BYTES", [2])
    assert (probabilities["name"], probabilities["datatype"], probabilities["shape"]) == (
        "probabilities",
        "FP64",
        [2, 3],
    )
    names = json.loads(probabilities["parameters"]["labels"])
    rows = [
        {**ROW, "mass": "3,5 kg"},
        {"mass": None, "bill": 50.0, "island": "Mars", "year": 2008, "tagged": False, "seen": "2008-01-02"},
    ]
    predictions = server.predict(rows).json()["predictions"]
    assert label["data"] == [prediction["label"] for prediction in predictions]
    assert probabilities["data"] == [prediction["probabilities"][name] for prediction in predictions for name in names]


def test_v2_takes_columns_as_matrices_and_gives_what_is_asked(server: Any) -> None:
    nested = [{**one, "shape": [2, 1], "data": [[value] for value in one["data"]]} for one in tensors()]
    flat = [{**one, "shape": [2, 1]} for one in tensors()]
    expected = server.post(V2, {"inputs": tensors()}).json()["outputs"]
    for inputs in (nested, flat):
        assert server.post(V2, {"inputs": inputs}).json()["outputs"] == expected
    asked = server.post(V2, {"inputs": tensors(), "outputs": [{"name": "label"}]}).json()
    assert asked["outputs"] == expected[:1]
    assert asked["id"]


def test_the_example_of_the_package_is_a_request(server: Any, penguins: Path) -> None:
    request = (penguins / "example.json").read_bytes()
    assert server.post(V1, request).status_code == 200
    (row,) = json.loads(request)["instances"]
    assert server.post(V2, as_v2(row, Predictor(penguins).signature)).status_code == 200


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "body: not JSON: "),
        (b"{", "body: not JSON: "),
        (b'{"instances": [{"bill": NaN}]}', "body: not JSON: "),
        (b"\xff\xfe", "body: not JSON: "),
        (b"[" * 5000, "body: not JSON: "),
        (b"[]", "body: expected an object, got a list"),
        (b"{}", 'body: missing field "instances"'),
        (b'{"instance": []}', 'is "instance" meant as "instances"?'),
        (b'{"instances": {}}', "instances: expected a list of rows, got an object (put the row in [ ])"),
        (b'{"instances": []}', "instances: the batch is empty (send at least one row)"),
        (b'{"instances": [[1, 2]]}', "instances[0]: expected an object with a value for each field, got a list"),
        (json.dumps({"instances": [ROW] * 201}).encode(), "201 rows are more than the 200"),
        (json.dumps({"instances": [ROW, {**ROW, "bill": [1]}]}).encode(), "instances[1].bill: expected a number"),
        (json.dumps({"instances": [{**ROW, "iland": 1}]}).encode(), 'did you mean "island"?'),
        (json.dumps({"instances": [{"bill": 1}]}).encode(), 'instances[0]: missing fields "mass", "island"'),
    ],
)
def test_a_malformed_v1_request_is_answered_with_place_and_cure(server: Any, body: bytes, message: str) -> None:
    answer = server.post(V1, body)
    assert answer.status_code == 400
    assert list(answer.json()) == ["error"]
    assert message in answer.json()["error"]
    assert "Traceback" not in answer.text


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([], "inputs: expected an object, got a list"),
        ({}, 'inputs: expected "inputs", a list of tensors, got null'),
        ({"inputs": {}}, 'inputs: expected "inputs", a list of tensors, got an object'),
        ({"inputs": []}, "inputs: the batch is empty"),
        ({"inputs": [1]}, "inputs[0] is not a tensor with a name"),
        ({"inputs": tensors(bill=None)}, 'inputs: missing field "bill"'),
        ({"inputs": tensors(x=tensor("x", "FP64", [1, 2]))}, 'inputs: unknown field "x"'),
        ({"inputs": tensors(x=tensor("bill", "FP64", [1, 2]))}, "inputs.bill: the tensor is given twice"),
        ({"inputs": tensors(bill={"name": "bill", "shape": [2]})}, 'inputs.bill: the tensor has no "datatype"'),
        ({"inputs": tensors(bill=tensor("bill", "BYTES", ["1", "2"]))}, "inputs.bill: the datatype is"),
        (
            {"inputs": tensors(bill=tensor("bill", "FP64", [1, 2]) | {"shape": [1, 2]})},
            "the shape is [1, 2]",
        ),
        (
            {"inputs": tensors(bill=tensor("bill", "FP64", [1, 2]) | {"shape": [True]})},
            "the shape is [true]",
        ),
        ({"inputs": tensors(bill=tensor("bill", "FP64", [1, 2]) | {"shape": [3]})}, "says 3 rows, the data has 2"),
        (
            {"inputs": tensors(bill=tensor("bill", "FP64", [1, 2, 3]))},
            "inputs.bill: the tensor has 3 rows",
        ),
        ({"inputs": tensors(bill=tensor("bill", "FP64", [1, "2"]))}, "inputs.bill.data[1]: expected a number"),
        (
            {"inputs": tensors(bill=tensor("bill", "FP64", [1, 2]) | {"data": "12"})},
            "bill: expected a list as data",
        ),
        (
            {"inputs": tensors(tagged=tensor("tagged", "BYTES", ["yes", "maybe"]))},
            'inputs.tagged.data[1]: "maybe"',
        ),
        ({"inputs": tensors(), "outputs": [{"name": "x"}]}, 'inputs: unknown output "x" (the outputs are label'),
        ({"inputs": tensors(), "outputs": [1]}, '"outputs" is not a list of objects'),
    ],
)
def test_a_malformed_v2_request_is_answered_with_place_and_cure(server: Any, content: Any, message: str) -> None:
    answer = server.post(V2, content)
    assert answer.status_code == 400
    assert message in answer.json()["error"]


def test_an_unknown_model_is_404_with_the_name_that_was_meant(server: Any) -> None:
    for path in ("/v1/models/penguin:predict", "/v2/models/penguin/infer"):
        answer = server.post(path, {"instances": [ROW]})
        assert answer.status_code == 404
        assert answer.json() == {"error": 'there is no model "penguin" (did you mean "penguins"?)'}
    assert server.get("/v1/models/other").status_code == 404


def test_a_huge_body_is_413_however_it_is_sent(server: Any) -> None:
    body = json.dumps({"instances": [ROW], "padding": "x" * 70_000}).encode()
    for path in (V1, V2, "/v1/models/penguins:explain"):
        answer = server.post(path, body)
        assert answer.status_code == 413
        assert "larger than the 65536 bytes" in answer.json()["error"]
    import httpx

    chunks = (body[start : start + 1000] for start in range(0, len(body), 1000))
    assert httpx.post(server.url + V1, content=chunks, timeout=30).status_code == 413
    assert server.predict([ROW]).status_code == 200


def test_a_declared_length_beyond_the_limit_is_refused_before_it_is_sent(server: Any) -> None:
    host, port = server.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        head = f"POST {V1} HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\n"
        connection.sendall(head.encode())
        assert b" 413 " in connection.recv(4096).split(b"\r\n")[0]


def test_a_client_that_leaves_in_the_middle_of_its_body_harms_nobody(server: Any) -> None:
    host, port = server.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        connection.sendall(f"POST {V1} HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{{".encode())
    assert server.predict([ROW]).status_code == 200


def test_health_and_metadata(server: Any) -> None:
    assert server.get("/").json() == {"status": "alive"}
    assert server.get("/v2/health/live").json() == {"live": True}
    assert server.get("/v2/health/ready").json() == {"ready": True}
    assert server.get("/v1/models").json() == {"models": ["penguins"]}
    assert server.get("/v1/models/penguins").json() == {"name": "penguins", "ready": True}
    assert server.get("/v2/models/penguins/ready").json() == {"name": "penguins", "ready": True}
    metadata = server.get("/v2/models/penguins").json()
    assert metadata["inputs"][1] == {"name": "bill", "datatype": "FP64", "shape": [-1]}
    assert metadata["inputs"][4] == {"name": "tagged", "datatype": "BOOL", "shape": [-1]}
    assert metadata["outputs"] == [
        {"name": "label", "datatype": "BYTES", "shape": [-1]},
        {"name": "probabilities", "datatype": "FP64", "shape": [-1, 3]},
    ]
    for page in ("/docs", "/redoc", "/openapi.json"):
        assert server.get(page).status_code == 404


def metric(text: str, name: str) -> float:
    """The value of a sample by its name and labels; 0 where it is not there yet."""
    lines = [line.rpartition(" ") for line in text.splitlines()]
    return next((float(value) for key, _, value in lines if key == name), 0.0)


def test_metrics_count_requests_rows_and_refusals(server: Any, penguins: Path) -> None:
    names = [
        'runwright_requests_total{code="200",protocol="v1"}',
        'runwright_requests_total{code="400",protocol="v2"}',
        'runwright_requests_total{code="404",protocol="v1"}',
        'runwright_rows_total{protocol="v1"}',
        'runwright_validation_errors_total{kind="type"}',
        'runwright_request_seconds_count{protocol="v2"}',
    ]
    before = server.get("/metrics").text
    server.predict([ROW] * 3)
    server.post(V2, {"inputs": tensors(bill=tensor("bill", "FP64", [1, "2"]))})
    server.predict([ROW], model="nothing")
    after = server.get("/metrics").text
    assert [metric(after, name) - metric(before, name) for name in names] == [1, 1, 1, 3, 1, 1]
    digest = Predictor(penguins).model_digest
    assert f'runwright_model_info{{digest="{digest}",modality="tabular",name="penguins"' in after


def test_kserves_own_client_speaks_v1_and_v2(server: Any) -> None:
    async def ask(protocol: str, data: Any) -> Any:
        client = InferenceRESTClient(RESTConfig(protocol=protocol, timeout=30))
        try:
            assert await client.is_server_ready(server.url) if protocol == "v2" else True
            return await client.infer(server.url, data, model_name="penguins")
        finally:
            await client.close()

    inputs = []
    for one in tensors(mass=tensor("mass", "BYTES", ["3,5 kg", ""])):
        inputs.append(InferInput(one["name"], one["shape"], one["datatype"], data=one["data"]))
    response = asyncio.run(ask("v2", InferRequest("penguins", inputs)))
    expected = server.predict(
        [
            {**ROW, "mass": "3,5 kg"},
            {"mass": None, "bill": 50, "island": "Mars", "year": 2008, "tagged": False, "seen": "2008-01-02"},
        ]
    ).json()["predictions"]
    assert [str(label) for label in response.outputs[0].data] == [one["label"] for one in expected]
    one = [{**ROW, "mass": "3,5 kg"}]
    assert asyncio.run(ask("v1", {"instances": one})) == server.predict(one).json()


def test_binary_tensors_go_through_kserve_to_the_same_answer(server: Any) -> None:
    kinds = {"FP64": np.float64, "INT64": np.int64, "BOOL": np.bool_}
    inputs = []
    for one in tensors(mass=tensor("mass", "FP64", [3.5, float("nan")])):
        given = InferInput(one["name"], one["shape"], one["datatype"])
        given.set_data_from_numpy(np.array(one["data"], dtype=kinds.get(one["datatype"], object)), binary_data=True)
        inputs.append(given)
    body, length = InferRequest("penguins", inputs).to_rest()
    import httpx

    headers = {"inference-header-content-length": str(length), "content-type": "application/octet-stream"}
    answer = httpx.post(server.url + V2, content=body, headers=headers, timeout=30)
    assert answer.status_code == 200, answer.text
    expected = server.post(V2, {"inputs": tensors()}).json()["outputs"]
    got = {one["name"]: one["data"] for one in answer.json()["outputs"]}
    assert got["label"] == expected[0]["data"]
    assert got["probabilities"] == expected[1]["data"]
    bad = httpx.post(server.url + V2, content=body[:50], headers=headers, timeout=30)
    assert bad.status_code in (400, 500)
    assert "error" in bad.json()


def test_it_is_a_kserve_model() -> None:
    from runwright_components.serve.model import RunwrightModel

    assert issubclass(RunwrightModel, kserve.Model)


def test_an_unloaded_model_is_not_ready_until_it_is_loaded_again(start: Callable[..., Any], penguins: Path) -> None:
    server = start(penguins, "--name", "other-name")
    assert server.predict([ROW], model="other-name").status_code == 200
    assert server.post("/v2/repository/models/other-name/unload", {}).status_code == 200
    assert server.get("/v2/health/ready").status_code == 503
    assert server.predict([ROW], model="other-name").status_code == 404
    assert server.post("/v2/repository/models/other-name/load", {}).status_code == 200
    assert server.get("/v2/health/ready").json() == {"ready": True}
    assert server.predict([ROW], model="other-name").status_code == 200


def test_sigterm_lets_the_request_in_flight_finish(start: Callable[..., Any], penguins: Path) -> None:
    server = start(penguins)
    host, port = server.url.removeprefix("http://").split(":")
    body = json.dumps({"instances": [ROW]}).encode()
    with socket.create_connection((host, int(port)), timeout=30) as connection:
        head = f"POST {V1} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
        connection.sendall(head.encode() + body[:10])
        time.sleep(0.3)
        server.process.send_signal(signal.SIGTERM)
        time.sleep(0.5)
        assert server.process.poll() is None
        with pytest.raises(OSError, match="refused"):
            socket.create_connection((host, int(port)), timeout=2)
        connection.sendall(body[10:])
        answer = connection.recv(65536)
    assert answer.startswith(b"HTTP/1.1 200")
    assert server.process.wait(timeout=20) == 0
    stdout, stderr = server.process.communicate()
    assert "Traceback" not in stdout + stderr


def test_a_server_that_drains_answers_new_connections_and_keeps_none(start: Callable[..., Any], penguins: Path) -> None:
    server = start(penguins, "--drain-seconds", "2")
    with httpx.Client(base_url=server.url, timeout=30) as client:
        assert "connection" not in client.get("/v2/health/ready").headers
        server.process.send_signal(signal.SIGTERM)
        time.sleep(0.2)
        assert client.get("/v2/health/ready").headers["connection"] == "close"
    assert server.predict([ROW]).status_code == 200, "a new connection"
    assert server.process.wait(timeout=20) == 0


def test_a_second_signal_ends_the_draining(start: Callable[..., Any], penguins: Path) -> None:
    server = start(penguins, "--drain-seconds", "3600")
    server.process.send_signal(signal.SIGTERM)
    time.sleep(0.2)
    assert server.predict([ROW]).status_code == 200
    server.process.send_signal(signal.SIGINT)
    assert server.process.wait(timeout=20) == 0


def test_the_access_log_is_json_lines_and_off_by_default(start: Callable[..., Any], penguins: Path) -> None:
    for options, expected in (((), 0), (("--access-log",), 1)):
        server = start(penguins, *options)
        server.predict([ROW, ROW])
        assert server.stop() == 0
        lines = server.process.communicate()[1].splitlines()
        assert len(lines) == expected
        for line in lines:
            content = json.loads(line)
            assert (content["path"], content["status"], content["rows"]) == (V1, 200, 2)


def serve(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "runwright_components.serve", *arguments], capture_output=True, text=True, timeout=60
    )


def test_an_altered_package_is_not_served(tmp_path: Path, penguins: Path) -> None:
    shutil.copytree(penguins, tmp_path / "model")
    graph = tmp_path / "model" / "model.onnx"
    graph.write_bytes(graph.read_bytes()[:-1] + b"\0")
    done = serve("--model-dir", str(tmp_path / "model"), "--port", "0")
    assert done.returncode == 10
    assert "model.onnx was altered" in done.stderr
    assert "cure: " in done.stderr
    assert "Traceback" not in done.stderr


def test_a_taken_port_is_said(start: Callable[..., Any], penguins: Path) -> None:
    server = start(penguins)
    done = serve("--model-dir", str(penguins), "--host", "127.0.0.1", "--port", server.url.rpartition(":")[2])
    assert done.returncode == 10
    assert "cannot listen there" in done.stderr
    assert "--port 0 takes a free one" in done.stderr
