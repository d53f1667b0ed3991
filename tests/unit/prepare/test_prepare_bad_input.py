"""Data and settings that cannot be prepared: an error with place and cure, and nothing left behind."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from runwright_components.contract.artifacts import QUALITY, RAW_TEST, PreparedManifest
from runwright_components.contract.config import PrepareConfig
from runwright_components.contract.outcome import ExitCode, Reason, StageError
from runwright_components.contract.progress import silent
from runwright_components.features import Preprocessing, load_split
from runwright_components.prepare import prepare
from runwright_components.prepare.quality import Quality

PrepareTable = Callable[..., tuple[Path, PreparedManifest]]


def table(rows: int = 100, **columns: Any) -> pl.DataFrame:
    frame = pl.DataFrame({"x": [float(i * i % 37) for i in range(rows)], "i": range(rows)})
    labels = ["a", "b"] * (rows // 2) + ["a"] * (rows % 2)
    return frame.with_columns(y=pl.Series(labels, dtype=pl.String)).with_columns(
        **{name: pl.Series(values) for name, values in columns.items()}
    )


CASES: dict[str, tuple[pl.DataFrame, dict[str, Any], Reason, list[str]]] = {
    "target not found": (table(), {"target": "Y "}, Reason.DATA_INVALID, ["did you mean 'y'", "x, i, y"]),
    "target all missing": (
        table(y=pl.Series([None, "?", "", " NA "] * 25, dtype=pl.String)),
        {},
        Reason.DATA_INVALID,
        ["missing in all 100 rows"],
    ),
    "single class": (table(y=["a", "a", "a", "A "] * 25), {}, Reason.DATA_INVALID, ["single class 'a'", "two classes"]),
    "class too small to stratify": (
        table(y=["a"] * 49 + ["b"] * 49 + ["c"] * 2),
        {"split": {"strategy": "stratified"}},
        Reason.DATA_INVALID,
        ["'c' (2)", "strategy: random"],
    ),
    "regression on words": (table(), {"task": "regression"}, Reason.DATA_INVALID, ["'a'", "classification"]),
    "constant regression target": (
        table(y=[1.0] * 100),
        {"task": "regression"},
        Reason.DATA_INVALID,
        ["one value 1"],
    ),
    "regression target of NaN": (
        table(y=[float("nan"), float("inf")] * 50),
        {"task": "regression"},
        Reason.DATA_INVALID,
        ["missing in all"],
    ),
    "stratified regression": (
        table(y=[float(i) for i in range(100)]),
        {"task": "regression", "split": {"strategy": "stratified"}},
        Reason.INVALID_CONFIG,
        ["no classes"],
    ),
    "no rows": (table(0), {}, Reason.DATA_INVALID, ["no rows"]),
    "split larger than the data": (table(2), {}, Reason.DATA_INVALID, ["would be empty", "2 usable rows"]),
    "shares that are none": (
        table(),
        {"split": {"train": 0.9, "validation": 0.2, "test": 0.1}},
        Reason.INVALID_CONFIG,
        ["add up to 1", "validation 0.2"],
    ),
    "too few groups": (
        table(g=["one", "two"] * 50),
        {"split": {"strategy": "group", "by": "g"}},
        Reason.DATA_INVALID,
        ["2 groups of 'g'"],
    ),
    "group column not found": (
        table(),
        {"split": {"strategy": "group", "by": "g"}},
        Reason.INVALID_CONFIG,
        ["no column 'g'", "x, i, y"],
    ),
    "group column not named": (table(), {"split": {"strategy": "group"}}, Reason.INVALID_CONFIG, ["group's column"]),
    "time column of words": (
        table(t=["soon", "later"] * 50),
        {"split": {"strategy": "time", "by": "t"}},
        Reason.DATA_INVALID,
        ["'soon'", "datetime", "dateFormats"],
    ),
    "all columns ignored": (
        table().select("i", "y"),
        {},
        Reason.DATA_INVALID,
        ["no column is left", "i: an identifier"],
    ),
    "only the target": (table().select("y"), {"duplicates": "keep"}, Reason.DATA_INVALID, ["the only column"]),
    "numeric column of words": (
        table(w=["1", "two", "three", "4"] * 25),
        {"columns": [{"name": "w", "type": "numeric"}]},
        Reason.DATA_INVALID,
        ["column w", "50 of 100 values (50%)", "'two'", "categorical"],
    ),
    "boolean column of numbers": (
        table(w=[1, 2] * 50),
        {"columns": [{"name": "w", "type": "boolean"}]},
        Reason.DATA_INVALID,
        ["column w", "50 of 100", "boolean", "2"],
    ),
    "numeric column of dates": (
        table().with_columns(d=pl.date(2020, 1, 1)),
        {"columns": [{"name": "d", "type": "numeric"}]},
        Reason.DATA_INVALID,
        ["'d'", "Date"],
    ),
    "text column in a table": (
        table(),
        {"columns": [{"name": "x", "type": "text"}]},
        Reason.DATA_INVALID,
        ["given as text", "Float64"],
    ),
    "unknown column in the configuration": (
        table(),
        {"columns": [{"name": "xx", "type": "numeric"}]},
        Reason.INVALID_CONFIG,
        ["prepare.columns[0].name", "did you mean 'x'"],
    ),
    "fill of another type": (
        table(w=[1.0, None] * 50),
        {"columns": [{"name": "w", "missing": "constant", "fill": "zero"}]},
        Reason.INVALID_CONFIG,
        ["'zero'", "number"],
    ),
    "every row dropped": (
        table(w=[None] * 100).with_columns(pl.col("w").cast(pl.Float64)),
        {"columns": [{"name": "w", "missing": "drop"}]},
        Reason.DATA_INVALID,
        ["no row is left", "100 rows"],
    ),
    "two columns of one input": (
        table().with_columns(
            pl.Series("w?", [float(i % 7) for i in range(100)]),
            w=pl.Series([None if i % 3 else float(i) for i in range(100)]),
        ),
        {},
        Reason.DATA_INVALID,
        ["'w?'", "rename"],
    ),
    "reserved name": (table().rename({"i": "row_id"}), {}, Reason.DATA_INVALID, ["'row_id' is reserved"]),
    "numbers too far apart": (
        table(w=[1e308, -1e308] * 50),
        {},
        Reason.DATA_INVALID,
        ["column w", "too far"],
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_bad_input_says_where_and_how_to_mend_it(case: str, write_raw: Callable[..., Path], tmp_path: Path) -> None:
    frame, settings, reason, words = CASES[case]
    raw, out = write_raw(frame), tmp_path / "work" / "prepared"
    config = PrepareConfig.model_validate({"modality": "tabular", "task": "classification", "target": "y", **settings})
    with pytest.raises(StageError) as caught:
        prepare(config, raw=raw, out=out, progress=silent())
    assert caught.value.reason is reason
    assert caught.value.exit_code is ExitCode.USER
    assert caught.value.cure
    said = str(caught.value)
    for word in words:
        assert word in said
    assert len(said.splitlines()) < 10
    assert not out.parent.exists() or not list(out.parent.iterdir())


def test_rows_without_target_are_dropped_and_counted(prepare_table: PrepareTable) -> None:
    labels = ["a", "b", "?", None, ""] * 20
    folder, manifest = prepare_table(table(y=labels))
    assert sum(manifest.rows.values()) == 40
    dropped = Quality.read(folder, QUALITY).dropped
    assert [(item.reason, item.column, item.rows) for item in dropped] == [("the target is missing", "y", 60)]


def test_a_regression_target_may_be_missing_or_infinite(prepare_table: PrepareTable) -> None:
    values = [None, float("nan"), float("inf"), 1.0, 2.0] * 20
    folder, manifest = prepare_table(table(y=values), task="regression")
    assert sum(manifest.rows.values()) == 40
    assert Quality.read(folder, QUALITY).dropped[0].rows == 60


def test_a_label_that_training_lacks_is_left_out(prepare_table: PrepareTable) -> None:
    frame = table(y=["a", "b"] * 49 + ["c", "c"]).with_columns(t=pl.int_range(pl.len()))
    folder, manifest = prepare_table(frame, split={"strategy": "time", "by": "t"})
    assert manifest.signature.labels == ("a", "b")
    assert manifest.rows == {"train": 70, "validation": 15, "test": 13}
    assert "lacks the labels 'c'" in Quality.read(folder, QUALITY).warnings[0]


def test_a_column_may_be_all_missing(prepare_table: PrepareTable) -> None:
    frame = table(w=["?", "NA", "", "-"] * 25, v=pl.Series([None] * 100, dtype=pl.Float64))
    folder, manifest = prepare_table(frame)
    assert [field.name for field in manifest.signature.inputs] == ["x"]
    reasons = {item.name: item.reason for item in Quality.read(folder, QUALITY).columns}
    assert "missing" in reasons["w"]
    assert "missing" in reasons["v"]


def test_a_type_that_does_not_hold_beyond_the_sample_is_taken_back(prepare_table: PrepareTable) -> None:
    """The first slices look like numbers; most of the table does not."""
    rows = 60_000
    sampled = {slice_ * (rows // 10) + i for slice_ in range(10) for i in range(2_000)}
    codes = [str(i % 9) if i in sampled else f"code {i % 5}" for i in range(rows)]
    frame = pl.DataFrame({"c": codes, "z": [float(i % 101) for i in range(rows)], "y": ["a", "b", "c"] * (rows // 3)})
    folder, manifest = prepare_table(frame, duplicates="keep")
    assert {field.name: field.type for field in manifest.signature.inputs} == {"c": "categorical", "z": "numeric"}
    reason = next(item.reason for item in Quality.read(folder, QUALITY).columns if item.name == "c")
    assert "cannot be read as numeric" in reason


def test_dates_that_python_does_not_know_are_numbers_like_others(prepare_table: PrepareTable) -> None:
    """The years 0 and 10000 of a Parquet file, in the rows, in the report's samples and in a row that is served."""
    days = pl.Series([-719_528, 2_932_897, 0, None] * 25, dtype=pl.Int32).cast(pl.Date)
    frame = pl.DataFrame({"day": days, "at": days.cast(pl.Datetime("ms")), "y": ["a", "b"] * 50})
    folder, _ = prepare_table(frame, duplicates="keep")
    test, preprocessing = load_split(folder, "test"), Preprocessing.load(folder / "preprocessing")
    assert np.isfinite(test.inputs["numeric"]).all()
    raw = pl.read_parquet(folder / RAW_TEST)
    for row in range(len(raw)):
        alone = preprocessing.transform(raw.slice(row, 1))["numeric"]
        np.testing.assert_array_equal(alone, test.inputs["numeric"][row : row + 1])
    repeated = frame.with_columns(x=pl.int_range(100).floordiv(8) * 1.0)
    dropped, _ = prepare_table(repeated, "dropped", duplicates="drop")
    assert "0000-01-01" in str(Quality.read(dropped, QUALITY).duplicates.sample)
