"""What is asked of a real server is logged as it was sent, and nobody waits for the log."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import obstore
import polars as pl
import pytest

from runwright_components.collect import collect
from runwright_components.contract.artifacts import Field, Signature, Tensor
from runwright_components.contract.config import (
    CollectConfig,
    FeedbackConfig,
    ModelConfig,
    PrepareConfig,
    Source,
    TrainConfig,
)
from runwright_components.contract.outcome import Reason, StageError
from runwright_components.contract.progress import silent
from runwright_components.prepare import prepare
from runwright_components.serve import prediction_log
from runwright_components.serve.prediction_log import LogOptions, PredictionLog
from runwright_components.serve.predictor import Predictor
from runwright_components.serve.protocol import as_v2
from runwright_components.train import train
from tests.unit.serve.conftest import table_preprocessing

ROW = {"mass": "3,5 kg", "bill": 39.1, "island": "Biscoe ß", "year": 2007, "tagged": None, "seen": "2007-11-11"}
SIGNATURE = Signature(
    task="regression",
    modality="tabular",
    inputs=(Field(name="x", type="numeric"),),
    tensors=(Tensor(name="numeric", dtype="float32", shape=(None, 1)),),
)


class Counted:
    def __init__(self) -> None:
        self.in_log = self.out = 0

    def logged(self, requests: int) -> None:
        self.in_log += requests

    def dropped(self, requests: int) -> None:
        self.out += requests


def lines(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for file in sorted(folder.glob("*/*.jsonl")) for line in file.read_text().splitlines()]


def ask(log: PredictionLog, number: int) -> None:
    request, answer = {"instances": [{"x": number}]}, {"predictions": [{"value": 1.5}]}
    text = [json.dumps(body).encode() for body in (request, answer)]
    log.offer(str(number), "v1", *text, model="sha256:0", signature=SIGNATURE)


def test_the_row_that_is_logged_is_the_row_that_was_asked(
    start: Callable[..., Any], penguins: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(prediction_log.PLACE_ENV, str(tmp_path / "log"))
    monkeypatch.setenv(prediction_log.WITHOUT_ENV, "seen, id")
    server = start(penguins)
    body = json.dumps({"instances": [{**ROW, "id": 7}]}).encode()
    named = httpx.post(f"{server.url}/v1/models/penguins:predict", content=body, headers={"X-Request-Id": "order-7"})
    several = server.predict([ROW, {**ROW, "bill": 41}])
    tensors = as_v2(ROW, table_preprocessing().signature)
    second = server.post("/v2/models/penguins/infer", {**tensors, "id": "order-8"})
    assert server.predict([{"mass": 1}]).status_code == 400
    assert server.stop() == 0
    found = lines(tmp_path / "log")
    assert named.headers["x-request-id"] == "order-7"
    new = several.headers["x-request-id"]
    assert [line["id"] for line in found] == ["order-7", f"{new}#0", f"{new}#1", "order-8"]
    expected = {name: value for name, value in ROW.items() if name != "seen"}
    assert [line["input"] for line in found] == [expected, expected, {**expected, "bill": 41}, expected]
    assert found[0]["output"] == named.json()["predictions"][0]
    assert found[3]["output"]["label"] == second.json()["outputs"][0]["data"][0]
    assert found[3]["output"]["probabilities"] == list(named.json()["predictions"][0]["probabilities"].values())
    assert found[0]["model"].startswith("sha256:")
    assert found[0]["time"].endswith("Z")


def test_a_model_trains_on_what_was_asked_and_what_came_of_it(
    start: Callable[..., Any], penguins: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The loop on the real server: asked over HTTP, logged, labelled later, collected, prepared and trained on."""
    monkeypatch.setenv(prediction_log.PLACE_ENV, str(tmp_path / "log"))
    server = start(penguins)
    asked = [{**ROW, "mass": 3.0 + number / 10, "bill": 30.0 + number} for number in range(40)]
    answer = server.predict(asked)
    server.stop()
    name = answer.headers["x-request-id"]
    kinds = ["Adelie", "Chinstrap", "Gentoo"]
    labels = [f"{name}#{number},{kinds[number // 14]}" for number in range(40) if number != 7]
    (tmp_path / "labels.csv").write_text("\n".join(["id,species", *labels]) + "\n")
    rules = FeedbackConfig(labels="vets", key="id", label="species")
    sources = (
        Source(name="asked", uri="log", format="jsonl", feedback=rules),
        Source(name="vets", uri="labels.csv"),
    )
    raw, prepared = tmp_path / "raw", tmp_path / "prepared"
    collect(CollectConfig(sources=sources, base=str(tmp_path)), out=raw, progress=silent())
    rows = pl.read_parquet(raw / "data" / "*.parquet").to_dicts()
    wanted = [{**row, "species": kinds[number // 14]} for number, row in enumerate(asked) if number != 7]
    assert [{field: row[field] for field in ROW | {"species": ""}} for row in rows] == wanted
    told = PrepareConfig(modality="tabular", task="classification", target="species")
    prepare(told, raw=raw, out=prepared, progress=silent())
    learnt = TrainConfig(
        modality="tabular", task="classification", model=ModelConfig(name="mlp", hidden=(8,)), epochs=1
    )
    train(
        learnt,
        prepared=prepared,
        out=tmp_path / "model",
        checkpoints=tmp_path / "checkpoints",
        resume=False,
        progress=silent(),
    )
    model = Predictor(tmp_path / "model")
    assert model.signature.labels == ("Adelie", "Chinstrap", "Gentoo")
    assert {"mass", "bill"} <= {field.name for field in model.signature.inputs}


def test_what_does_not_fit_is_dropped_and_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prediction_log, "_QUEUE_BYTES", 1000)
    counted = Counted()
    log = PredictionLog(LogOptions(str(tmp_path)), counted, seconds=60)
    for number in range(100):
        ask(log, number)
    log.close()
    assert counted.in_log + counted.out == 100
    assert 0 < len(lines(tmp_path)) == counted.in_log < 50


def test_a_share_of_the_requests(tmp_path: Path) -> None:
    counted = Counted()
    log = PredictionLog(LogOptions(str(tmp_path), share=0.5), counted)
    for number in range(400):
        ask(log, number)
    log.close()
    assert 100 < counted.in_log < 300
    assert counted.out == 0


def test_a_place_that_goes_away_loses_rows_and_not_the_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    counted = Counted()
    log = PredictionLog(LogOptions(str(tmp_path / "log")), counted, seconds=60)
    (tmp_path / "log" / ".runwright").unlink()
    (tmp_path / "log").rmdir()
    (tmp_path / "log").write_text("a file where the folder was")
    ask(log, 1)
    log.close()
    assert (counted.in_log, counted.out) == (0, 1)


def test_object_storage(object_storage: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", object_storage.endpoint)
    counted = Counted()
    log = PredictionLog(LogOptions(f"{object_storage.uri}/log/"), counted, seconds=0.05)
    ask(log, 1)
    until = time.monotonic() + 10
    while not counted.in_log and time.monotonic() < until:
        time.sleep(0.02)
    log.close()
    (key,) = object_storage.stored()
    assert key.startswith("log/20")
    line = json.loads(bytes(obstore.get(object_storage.store, key).bytes()))
    assert (line["id"], line["input"], line["output"]) == ("1", {"x": 1}, {"value": 1.5})


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({"RUNWRIGHT_LOG_PREDICTIONS": "log", "RUNWRIGHT_LOG_SHARE": "2"}, "share"),
        ({"RUNWRIGHT_LOG_PREDICTIONS": "log", "RUNWRIGHT_LOG_SHARE": "half"}, "share"),
        ({"RUNWRIGHT_LOG_PREDICTIONS": "gs://bucket/log"}, "gs://"),
        ({"RUNWRIGHT_LOG_PREDICTIONS": "/dev/null/log"}, "cannot be logged there"),
    ],
)
def test_bad_settings_are_refused_before_the_first_prediction(variables: dict[str, str], words: str) -> None:
    with pytest.raises(StageError, match=words) as caught:
        options = LogOptions.of(variables)
        assert options is not None
        PredictionLog(options, Counted())
    assert caught.value.reason is Reason.INVALID_CONFIG
    assert caught.value.cure
