"""The truth of the skew: rows from the raw source get the same answer from evaluation, `predict`, and the server.

The rows are read here with the standard library alone, not by the code under test.
"""

import base64
import csv
import json
import re
import sys
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from runwright_components.contract.artifacts import RAW_TEST, ROW_ID, Signature
from runwright_components.contract.evaluation import PREDICTIONS

pytestmark = pytest.mark.slow

TOLERANCE = 1e-6
ROWS = 120
csv.field_size_limit(sys.maxsize)


def _csv(folder: Path, name: str) -> Callable[[Mapping[str, Any]], dict[str, Any]]:
    with (folder / "data" / name).open(encoding="utf-8", newline="") as file:
        rows = [{key: value or None for key, value in row.items()} for row in csv.DictReader(file)]
    return lambda raw: rows[raw[ROW_ID]]


def _jsonl(folder: Path, name: str) -> Callable[[Mapping[str, Any]], dict[str, Any]]:
    rows = [json.loads(line) for line in (folder / "data" / name).read_text(encoding="utf-8").splitlines()]
    return lambda raw: rows[raw[ROW_ID]]


def _images(folder: Path, name: str) -> Callable[[Mapping[str, Any]], dict[str, Any]]:
    def read(raw: Mapping[str, Any]) -> dict[str, Any]:
        (file,) = (folder / "data" / name).glob(f"*/{Path(raw['path']).name}")
        return {"image": base64.b64encode(file.read_bytes()).decode()}

    return read


SOURCES = {
    "birdstrikes": (_csv, "birdstrikes.csv"),
    "penguins": (_csv, "penguins.csv"),
    "reviews": (_csv, "reviews.csv"),
    "languages": (_jsonl, "clauses.jsonl"),
    "digits": (_images, "images"),
    "oddities": (_csv, "oddities.csv"),
    "irises": (_csv, "irises.csv"),
    "pixels": (_csv, "pixels.csv"),
}


@pytest.mark.parametrize("name", SOURCES)
def test_every_way_to_ask_gives_the_answer_of_the_evaluation(
    name: str, finished: Callable[[str], Path], runwright: Any, tmp_path: Path
) -> None:
    workspace = finished(name)
    package = workspace / "registry" / name / "1"
    judged = _evaluated(workspace)
    test = pl.read_parquet(next(workspace.glob(f"artifacts/*/*/prepared_data/{RAW_TEST}")))
    read, file = SOURCES[name]
    source = read(workspace.parents[1], file)
    signature = Signature.read(package, "signature.json")
    chosen = _telling(test, [field.name for field in signature.inputs])
    rows = [source(raw) for raw in chosen.iter_rows(named=True)]
    expected = _answers(judged, chosen[ROW_ID].to_list())

    (tmp_path / "rows.json").write_text(json.dumps(rows), encoding="utf-8")
    predicted = runwright("predict", package, "--input", tmp_path / "rows.json")
    assert predicted.code == 0, predicted.text
    _equal(_figures(json.loads(predicted.out)["predictions"], signature), expected, "predict")

    with runwright.serving(package) as url:
        answer = _post(f"{url}/v1/models/{name}:predict", {"instances": rows})
        _equal(_figures(answer["predictions"], signature), expected, "V1")
        one = _post(f"{url}/v1/models/{name}:predict", {"instances": rows[:1]})
        _equal(_figures(one["predictions"], signature), expected[:1], "V1, one row")
        answer = _post(f"{url}/v2/models/{name}/infer", {"inputs": _tensors(rows, signature)})
        _equal(_v2_figures(answer, len(rows)), expected, "V2")


@pytest.mark.xdist_group("birdstrikes")
def test_the_rows_hold_what_is_hard(finished: Callable[[str], Path]) -> None:
    """Else the test above would prove little: missing values, and categories that training never saw."""
    prepared = next(finished("birdstrikes").glob(f"artifacts/*/*/prepared_data/{RAW_TEST}")).parent
    rows = pl.read_parquet(prepared / RAW_TEST)
    codes = pl.read_parquet(prepared / "test.parquet", columns=[r"^c:.*$"])
    assert rows["Speed_IAS_in_knots"].is_null().any()
    assert codes.select(pl.any_horizontal(pl.all() == 0).any()).item(), "some category of the test split is unseen"


def _telling(test: pl.DataFrame, inputs: Sequence[str]) -> pl.DataFrame:
    """Rows with missing values and rare categories first, then others; in a fixed order."""
    missing = pl.sum_horizontal(pl.col(name).is_null().cast(pl.Int32) for name in inputs)
    texts = [name for name in inputs if test.schema[name] == pl.String]
    rarity = pl.min_horizontal(pl.len().over(name) for name in texts) if texts else pl.col(ROW_ID)
    by_missing = test.sort(missing, ROW_ID, descending=[True, False]).head(ROWS // 2)
    by_rarity = test.sort(rarity, ROW_ID).head(ROWS // 2)
    return pl.concat([by_missing, by_rarity]).unique(ROW_ID, maintain_order=True)


def _evaluated(workspace: Path) -> pl.DataFrame:
    files = {path.resolve() for path in workspace.glob(f"artifacts/*/*/evaluation/{PREDICTIONS}")}
    return pl.read_parquet(files.pop())


_NAMED = ("probabilities", "value", "score", "distances", "embedding")  # what is answered in numbers, by name


def _answers(judged: pl.DataFrame, ids: Sequence[int]) -> np.ndarray[Any, Any]:
    column = next((name for name in _NAMED if name in judged.columns), "prediction")
    by_id = dict(zip(judged[ROW_ID].to_list(), judged[column].to_list(), strict=True))
    return np.array([by_id[number] for number in ids], dtype=np.float64)


def _figures(predictions: Sequence[Mapping[str, Any]], signature: Signature) -> np.ndarray[Any, Any]:
    if signature.task != "classification":
        (name,) = set(_NAMED) & set(predictions[0])
        return np.array([answer[name] for answer in predictions])
    return np.array([[answer["probabilities"][label] for label in signature.labels] for answer in predictions])


def _v2_figures(answer: Mapping[str, Any], rows: int) -> np.ndarray[Any, Any]:
    outputs = {output["name"]: output for output in answer["outputs"]}
    (found,) = (outputs[name] for name in _NAMED if name in outputs)
    return np.array(found["data"]).reshape(found["shape"] if len(found["shape"]) > 1 else rows)


def _tensors(rows: Sequence[Mapping[str, Any]], signature: Signature) -> list[dict[str, Any]]:
    return [
        {"name": field.name, "shape": [len(rows)], "datatype": "BYTES", "data": [row[field.name] for row in rows]}
        for field in signature.inputs
    ]


def _equal(found: np.ndarray[Any, Any], expected: np.ndarray[Any, Any], way: str) -> None:
    assert found.shape == expected.shape
    scale = max(1.0, float(np.abs(expected).max()))
    worst = float(np.abs(found - expected).max()) / scale
    assert worst <= TOLERANCE, f"{way} differs from the evaluation by {worst:g}"


def _post(url: str, body: object) -> Any:
    assert re.match(r"http://127\.0\.0\.1:\d+/", url)
    request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)
