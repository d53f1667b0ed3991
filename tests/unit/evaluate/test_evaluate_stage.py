"""The stage: from raw test rows through the served model to a verdict."""

from __future__ import annotations

import json
import platform
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from runwright_components.contract.artifacts import MANIFEST, ONNX, RAW_TEST, ROW_ID, TARGET
from runwright_components.contract.config import Bound
from runwright_components.contract.evaluation import EVALUATION, PREDICTIONS, Evaluation
from runwright_components.contract.files import file_digest
from runwright_components.contract.outcome import Reason, StageError
from runwright_components.contract.progress import Event, Progress, silent
from runwright_components.evaluate import evaluate
from runwright_components.serve.predictor import Predictor


def truth_by_row(prepared: Path) -> dict[int, float]:
    frame = pl.read_parquet(prepared / "test.parquet")
    return dict(zip(frame[ROW_ID].to_list(), frame[TARGET].to_list(), strict=True))


def test_classification_end_to_end(classify, tmp_path: Path) -> None:
    model = classify.model()
    config = classify.config(Bound(metric="accuracy", min=0.9), slices=("island", "x", "cabin"))
    found = evaluate(config, model=model, prepared=classify.prepared, out=tmp_path / "out", progress=silent())

    assert Evaluation.read(tmp_path / "out", EVALUATION) == found
    assert found.rows == classify.manifest.rows["test"] == 64
    assert found.labels == classify.manifest.signature.labels
    assert sum(map(sum, found.confusion)) == 64
    assert found.metrics["accuracy"] == pytest.approx(1 - found.metrics["errorRate"])
    assert found.metrics["accuracy"] > 0.9
    assert found.metrics["baselineAccuracy"] < 0.8
    assert found.metrics["rocAuc"] == 1.0
    assert (found.verdict, [check.passed for check in found.checks]) == ("passed", [True])


def test_predictions_are_those_of_the_served_model_on_the_right_rows(classify, tmp_path: Path) -> None:
    model = classify.model()
    found = evaluate(
        classify.config(), model=model, prepared=classify.prepared, out=tmp_path / "out", progress=silent()
    )
    table = pl.read_parquet(tmp_path / "out" / PREDICTIONS)
    assert dict(zip(table[ROW_ID].to_list(), table["truth"].to_list(), strict=True)) == truth_by_row(classify.prepared)
    raw = pl.read_parquet(classify.prepared / RAW_TEST).sort(ROW_ID)
    expected = Predictor(model).predict(raw)
    assert np.abs(np.array(table["probabilities"].to_list()) - expected.probabilities).max() < 1e-6
    hits = (table["prediction"] == table["truth"]).mean()
    assert found.metrics["accuracy"] == pytest.approx(hits)


def test_the_metrics_are_bound_to_model_and_rows(classify, tmp_path: Path) -> None:
    model = classify.model()
    found = evaluate(
        classify.config(), model=model, prepared=classify.prepared, out=tmp_path / "out", progress=silent()
    )
    manifest = json.loads((model / MANIFEST).read_text())
    assert found.model_digest == manifest["digest"] == found.lineage.inputs["model"]
    assert found.prepared_digest == classify.manifest.digest == found.lineage.inputs["prepared"]
    assert found.lineage.inputs["testRows"] == file_digest(classify.prepared / RAW_TEST)
    assert [parent.stage for parent in found.lineage.parents] == ["train"]


def test_slices_join_spellings_and_cut_numbers(classify, tmp_path: Path) -> None:
    config = classify.config(
        Bound(metric="accuracy", min=0.1, slice="island=BISCOE"),
        Bound(metric="accuracy", min=0.1, slice="x=Q4"),
        slices=("island", "cabin"),
    )
    found = evaluate(
        config, model=classify.model(), prepared=classify.prepared, out=tmp_path / "out", progress=silent()
    )
    by_column: dict[str, dict[str, int]] = {}
    for part in found.slices:
        by_column.setdefault(part.column, {})[part.value] = part.rows
        assert 0 <= part.metrics["accuracy"] <= 1
    assert list(by_column) == ["island", "cabin", "x"]
    assert set(by_column["island"]) == {"Biscoe", "Dream", "missing"}
    assert set(by_column["cabin"]) == {"0", "1", "2"}
    assert [name[:3] for name in by_column["x"]] == ["Q1:", "Q2:", "Q3:", "Q4:"]
    assert all(sum(rows.values()) == 64 for rows in by_column.values())
    assert max(by_column["x"].values()) - min(by_column["x"].values()) <= 1


def test_a_slice_of_the_target_and_of_an_unused_column(classify, tmp_path: Path) -> None:
    found = evaluate(
        classify.config(slices=("y", "note")),
        model=classify.model(),
        prepared=classify.prepared,
        out=tmp_path / "out",
        progress=silent(),
    )
    assert {part.value for part in found.slices if part.column == "y"} == {"no", "Yes"}
    single = [part for part in found.slices if part.column == "note"]
    assert len(single) == 50
    assert {part.rows for part in single} == {1}
    assert all("rocAuc" not in part.metrics for part in single)


def test_regression_is_in_the_unit_of_the_target(regress, tmp_path: Path) -> None:
    config = regress.config(Bound(metric="rmse", max=1.0), Bound(metric="r2", min=0.999), slices=("island",))
    found = evaluate(config, model=regress.model(), prepared=regress.prepared, out=tmp_path / "out", progress=silent())
    assert found.verdict == "passed", [check.message for check in found.checks]
    assert found.metrics["baselineRmse"] > 100
    table = pl.read_parquet(tmp_path / "out" / PREDICTIONS)
    assert table.columns == [ROW_ID, "truth", "prediction"]
    raw = pl.read_parquet(regress.prepared / RAW_TEST).sort(ROW_ID)
    assert np.allclose(table["truth"], raw["y"].cast(pl.Float64), atol=1e-3)
    assert len(found.residuals) == 64
    assert found.confusion == found.roc == ()


def test_a_rejected_model(classify, tmp_path: Path) -> None:
    events: list[Event] = []
    found = evaluate(
        classify.config(Bound(metric="accuracy", min=0.9), Bound(metric="latencyP99Ms", max=1e6)),
        model=classify.model([[3.0, -3.0]]),
        prepared=classify.prepared,
        out=tmp_path / "out",
        progress=Progress("evaluate", events.append),
    )
    assert found.verdict == "rejected"
    assert [check.passed for check in found.checks] == [False, True]
    warnings = [event.message for event in events if event.kind == "warning"]
    assert len(warnings) == 1
    assert warnings[0].startswith("accuracy 0")
    assert warnings[0].endswith("is below the required 0.9")


def test_no_bounds_pass_with_a_note(classify, tmp_path: Path) -> None:
    events: list[Event] = []
    found = evaluate(
        classify.config(),
        model=classify.model([[3.0, -3.0]]),
        prepared=classify.prepared,
        out=tmp_path / "out",
        progress=Progress("evaluate", events.append),
    )
    assert found.verdict == "passed"
    assert any("no bounds" in event.message for event in events if event.kind == "note")


def test_latency_and_machine(classify, tmp_path: Path) -> None:
    found = evaluate(
        classify.config(), model=classify.model(), prepared=classify.prepared, out=tmp_path / "out", progress=silent()
    )
    assert 0 < found.latency.p50_ms <= found.latency.p99_ms
    assert found.latency.requests == 20
    assert found.latency.rows_per_second > 0
    assert found.metrics["latencyP50Ms"] == found.latency.p50_ms
    assert "core" in found.latency.machine
    assert platform.node() not in found.latency.machine or len(platform.node()) < 3


@pytest.mark.parametrize("task", ["classify", "regress"])
def test_not_a_number_never_passes(task: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    case = request.getfixturevalue(task)
    outputs = max(1, len(case.manifest.signature.labels))
    metric = "accuracy" if task == "classify" else "rmse"
    for gate in ((), (Bound(metric=metric, max=1e9, min=-1e9), Bound(metric=metric, max=1e9, slice="island=Dream"))):
        found = evaluate(
            case.config(*gate),
            model=case.model(bias=[float("nan")] * outputs),
            prepared=case.prepared,
            out=tmp_path / f"out{len(gate)}",
            progress=silent(),
        )
        assert found.verdict == "rejected"
        assert not any(check.passed for check in found.checks)
        assert "64 of 64 predictions are not finite numbers" in found.checks[0].message
        assert metric not in found.metrics


def test_one_test_row(new_case, tmp_path: Path) -> None:
    case = new_case()
    keep_rows(case.prepared, 1)
    found = evaluate(
        case.config(slices=("island", "x")),
        model=case.model(),
        prepared=case.prepared,
        out=tmp_path / "out",
        progress=silent(),
    )
    assert found.rows == 1
    assert found.metrics["accuracy"] in (0.0, 1.0)
    assert {part.rows for part in found.slices} == {1}
    assert found.roc == ()


def keep_rows(prepared: Path, rows: int) -> None:
    for name in (RAW_TEST, "test.parquet"):
        pl.read_parquet(prepared / name).head(rows).write_parquet(prepared / name)


def refused(case, tmp_path: Path, *gate: Bound, slices: tuple[str, ...] = (), model: Path | None = None) -> StageError:
    with pytest.raises(StageError) as caught:
        evaluate(
            case.config(*gate, slices=slices),
            model=model or case.model(),
            prepared=case.prepared,
            out=tmp_path / "out",
            progress=silent(),
        )
    assert not (tmp_path / "out").exists()
    return caught.value


def test_unknown_names_get_a_suggestion_and_leave_nothing(classify, tmp_path: Path) -> None:
    assert 'did you mean "accuracy"?' in refused(classify, tmp_path, Bound(metric="acuracy", min=0.9)).cure
    error = refused(classify, tmp_path, slices=("iland",))
    assert error.message == 'the data have no column "iland"'
    assert 'did you mean "island"?' in error.cure
    error = refused(classify, tmp_path, Bound(metric="accuracy", min=0.9, slice="island=Drem"))
    assert error.reason is Reason.INVALID_CONFIG
    assert 'did you mean "island=Dream"?' in error.cure


def test_no_test_rows(new_case, tmp_path: Path) -> None:
    case = new_case()
    model = case.model()
    keep_rows(case.prepared, 0)
    error = refused(case, tmp_path, model=model)
    assert error.message == "the test split has no rows"
    assert "prepare.split.test" in error.cure


def test_test_rows_that_do_not_fit_together(new_case, tmp_path: Path) -> None:
    case = new_case()
    raw = pl.read_parquet(case.prepared / RAW_TEST)
    raw.with_columns(pl.col(ROW_ID) + 1000).write_parquet(case.prepared / RAW_TEST)
    assert "are not the same rows" in refused(case, tmp_path).message
    pl.concat([raw, raw.head(1)]).write_parquet(case.prepared / RAW_TEST)
    assert "are not the same rows" in refused(case, tmp_path).message


def test_an_altered_model(classify, tmp_path: Path) -> None:
    model = classify.model()
    with (model / ONNX).open("ab") as file:
        file.write(b"\0")
    assert refused(classify, tmp_path, model=model).reason is Reason.DIGEST_MISMATCH


def test_an_altered_manifest(classify, tmp_path: Path) -> None:
    model = classify.model()
    manifest = json.loads((model / MANIFEST).read_text())
    (model / MANIFEST).write_text(json.dumps({**manifest, "digest": "sha256:" + "0" * 64}))
    assert refused(classify, tmp_path, model=model).reason is Reason.DIGEST_MISMATCH


def test_a_model_of_another_task(classify, regress, tmp_path: Path) -> None:
    error = refused(classify, tmp_path, model=regress.model())
    assert error.reason is Reason.INVALID_CONFIG
    assert "the tasks differ" in error.message


def test_the_same_model_and_rows_give_the_same_metrics(classify, tmp_path: Path) -> None:
    model = classify.model()
    first, second = (
        evaluate(classify.config(), model=model, prepared=classify.prepared, out=tmp_path / name, progress=silent())
        for name in ("a", "b")
    )
    quick = {"latencyP50Ms", "latencyP99Ms", "rowsPerSecond"}
    assert {name: first.metrics[name] for name in first.metrics if name not in quick} == {
        name: second.metrics[name] for name in second.metrics if name not in quick
    }
    assert (tmp_path / "a" / PREDICTIONS).read_bytes() == (tmp_path / "b" / PREDICTIONS).read_bytes()
