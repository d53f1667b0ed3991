"""A model of series from training to its answers: learned, judged, packaged, asked over both protocols."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from click.testing import CliRunner

from runwright_cli.predict_command import predict
from runwright_components.contract.artifacts import HISTORY, History, ModelManifest, PackageManifest
from runwright_components.contract.evaluation import Evaluation
from runwright_components.evaluate import forecasting
from runwright_components.evaluate.forecasting import Outcome
from runwright_components.report import report_page
from runwright_components.serve import protocol
from runwright_components.serve.predictor import Predictor, RequestError
from tests.unit.series.conftest import CONTEXT, HORIZON, table

KNOWN: list[Any] = [float(value) for value in range(CONTEXT)]


@pytest.fixture(scope="module")
def predictor(packaged: Path) -> Predictor:
    return Predictor(packaged)


def test_the_rhythm_is_learned(judged: tuple[Path, Evaluation]) -> None:
    metrics = judged[1].metrics
    assert judged[1].verdict == "passed"
    assert metrics["skill"] > 0.03
    assert metrics["mase"] < metrics["baselineMase"] < metrics["naiveMase"]
    assert 0.3 < metrics["coverage"] <= 1


def test_the_curves_are_kept(model: Path) -> None:
    assert ModelManifest.read(model).parameters > 0
    assert [epoch.epoch for epoch in History.read(model, HISTORY).epochs] == list(range(1, 16))


def test_the_evaluation_tells_series_apart_and_shows_forecasts(judged: tuple[Path, Evaluation]) -> None:
    folder, evaluation = judged
    assert [part.value for part in evaluation.slices] == ["north", "south"]
    assert sum(part.rows for part in evaluation.slices) == evaluation.rows == 42
    sample = evaluation.forecasts[0]
    assert len(sample.truth) == len(sample.forecast) == HORIZON
    assert sample.series == "north"
    written = pl.read_parquet(folder / "predictions.parquet")
    assert written.columns == ["row_id", "truth", "prediction", "lower", "upper"]
    assert (written["lower"].to_numpy() < written["upper"].to_numpy()).all()


def test_the_report_draws_them(prepared: Path, model: Path, judged: tuple[Path, Evaluation], packaged: Path) -> None:
    page = report_page(run_name="sales", prepared=prepared, model=model, evaluation=judged[0])
    assert "north, after 2024-01" in page
    assert "seasonal naive" in page
    card = (packaged / "MODEL_CARD.md").read_text()
    assert "Forecasts `sales` from its own past" in card
    parity = PackageManifest.read(packaged).parity
    assert parity is not None
    assert parity < 1e-5


def test_a_request_is_what_is_known(predictor: Predictor) -> None:
    row: dict[str, Any] = {"sales": KNOWN, "time": "2024-03-01T00:00:00"}
    (answer,) = protocol.predictions(predictor.signature, predictor.predict_rows([row]))
    assert list(answer) == ["forecast", "lower", "upper", "time"]
    assert answer["time"] == [f"2024-03-01T{hour:02}:00:00" for hour in (3, 6, 9, 12)]
    assert all(
        low < value < high
        for low, value, high in zip(answer["lower"], answer["forecast"], answer["upper"], strict=True)
    )
    longer = {"sales": [9.0, *KNOWN], "time": None}
    (untimed,) = protocol.predictions(predictor.signature, predictor.predict_rows([longer]))
    assert untimed["forecast"] == answer["forecast"], "the last values count"
    assert "time" not in untimed


def test_the_scale_of_a_series_does_not_matter(predictor: Predictor) -> None:
    rows = [{"sales": [value * factor for value in KNOWN], "time": None} for factor in (1.0, 1e6)]
    forecasts = predictor.predict_rows(rows).forecasts
    assert forecasts is not None
    assert forecasts.values[1] / 1e6 == pytest.approx(forecasts.values[0], rel=1e-5)


def test_both_protocols_answer_alike(predictor: Predictor) -> None:
    signature = predictor.signature
    known: Any = signature.example["sales"]
    for request in (
        protocol.as_v2(signature.example, signature),
        {
            "inputs": [
                {"name": "sales", "shape": [2, CONTEXT], "datatype": "FP64", "data": [*known, *KNOWN]},
                {"name": "time", "shape": [2], "datatype": "BYTES", "data": ["2024-03-01", None]},
            ]
        },
    ):
        answer = predictor.predict_columns(protocol.columns(request, signature))
        tensors = {
            tensor["name"]: tensor for tensor in protocol.tensors(signature, answer, protocol.outputs_of(signature))
        }
        (single,) = protocol.predictions(signature, predictor.predict_rows([signature.example]))
        assert tensors["forecast"]["data"][:HORIZON] == single["forecast"]
        assert tensors["forecast"]["shape"] == [len(answer), HORIZON]
        assert len(tensors["time"]["data"]) == len(answer) * HORIZON
    assert protocol.input_metadata(signature)[0] == {"name": "sales", "datatype": "FP64", "shape": [-1, -1]}


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ({"sales": KNOWN[1:], "time": None}, "instances[0]: 15 values of 'sales' are known, the model sees 16"),
        ({"sales": 3.0, "time": None}, "instances[0].sales: expected a list of numbers, got a number"),
        ({"sales": None, "time": None}, "instances[0].sales: expected a list of numbers, got null"),
        ({"sales": [*KNOWN, "x"], "time": None}, "instances[0].sales: expected a number, got a string"),
        ({"sales": [*KNOWN, None], "time": None}, "a value of 'sales' is missing (give every value"),
        ({"sales": KNOWN, "time": "soon"}, 'instances[0].time: "soon" does not read as a date'),
        ({"sales": KNOWN}, 'missing field "time"'),
    ],
)
def test_what_is_no_past_is_refused(predictor: Predictor, row: dict[str, Any], words: str) -> None:
    with pytest.raises(RequestError) as caught:
        predictor.predict_rows([row])
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("shape", "data", "words"),
    [
        ([1], KNOWN, "the shape is [1], not [N, L]"),
        ([2, CONTEXT], KNOWN, "the shape says 2 x 16 values, the data has 16"),
    ],
)
def test_tensors_that_are_no_lists_are_refused(
    predictor: Predictor, shape: list[int], data: list[float], words: str
) -> None:
    body = {"inputs": [{"name": "sales", "shape": shape, "datatype": "FP64", "data": data}]}
    with pytest.raises(RequestError) as caught:
        protocol.columns(body, predictor.signature)
    assert words in str(caught.value)


def test_predict_forecasts_each_series_of_a_table(packaged: Path, tmp_path: Path) -> None:
    known = tmp_path / "known.csv"
    table(40).sample(fraction=1.0, shuffle=True, seed=2).write_csv(known)
    said = CliRunner().invoke(predict, [str(packaged), "--input", str(known)], catch_exceptions=False)
    assert said.exit_code == 0, said.output
    found = json.loads(said.stdout)["predictions"]
    assert [row["shop"] for row in found] == ["north", "south"]
    assert found[0]["time"] == [
        "2024-01-06T00:00:00",
        "2024-01-06T03:00:00",
        "2024-01-06T06:00:00",
        "2024-01-06T09:00:00",
    ]
    lines = CliRunner().invoke(predict, [str(packaged), "--input", str(known), "--format", "csv"]).stdout.splitlines()
    assert lines[0] == "shop,time,forecast,lower,upper"
    assert len(lines) == 1 + 2 * HORIZON


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        (table(40).drop("sales"), "the data have no column 'sales'"),
        (table(10), "the series north has 10 steps, the model sees 16"),
        (table(40).filter(pl.int_range(pl.len()) != 5), "the series north has no value between"),
    ],
)
def test_predict_says_what_a_table_lacks(packaged: Path, tmp_path: Path, rows: pl.DataFrame, words: str) -> None:
    rows.write_csv(tmp_path / "known.csv")
    said = CliRunner().invoke(predict, [str(packaged), "--input", str(tmp_path / "known.csv")])
    assert said.exit_code == 1
    assert words in said.output


def _outcome(**fields: Any) -> Outcome:
    truth = np.array([[1.0, 2.0], [10.0, np.nan]])
    usual = {"truth": truth, "forecast": np.array([[2.0, 2.0], [14.0, 0.0]]), "scale": np.array([1.0, 2.0])}
    usual |= {"lower": np.zeros((2, 2)), "upper": np.full((2, 2), 12.0)}
    usual |= {"naive": np.full((2, 2), 4.0), "seasonal": np.array([[0.0, 0.0], [10.0, 10.0]])}
    return Outcome(**{**usual, **fields})


def test_metrics_are_those_of_the_books() -> None:
    found = forecasting.metrics(_outcome())
    assert found["mae"] == pytest.approx(5 / 3)
    assert found["rmse"] == pytest.approx((17 / 3) ** 0.5)
    assert found["mase"] == pytest.approx(1.0)
    assert found["smape"] == pytest.approx((2 / 3 + 0 + 8 / 24) / 3)
    assert found["coverage"] == 1.0
    assert found["baselineMase"] == pytest.approx(1.0)
    assert found["naiveMase"] == pytest.approx(8 / 3)
    assert found["skill"] == pytest.approx(0.0)


def test_what_cannot_be_measured_is_left_out() -> None:
    found = forecasting.metrics(_outcome(scale=np.full(2, np.nan)))
    assert {"mase", "skill", "baselineMase", "naiveMase"}.isdisjoint(found)
    assert "mae" in found


def test_naive_forecasts_repeat_the_last_value_and_the_last_season() -> None:
    last, seasonal = forecasting.naive(np.array([[1.0, 2.0, 3.0, 4.0]]), 3, 5)
    assert last.tolist() == [[4.0] * 5]
    assert seasonal.tolist() == [[2.0, 3.0, 4.0, 2.0, 3.0]]
