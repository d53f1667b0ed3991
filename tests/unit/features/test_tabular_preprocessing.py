"""A table's preprocessing as a request meets it."""

import datetime
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runwright_components.contract.artifacts import Signature
from runwright_components.contract.outcome import Reason, StageError
from runwright_components.features import Preprocessing
from runwright_components.features.tabular import TabularPreprocessing
from runwright_components.features.tabular_state import (
    ISO_FORMATS,
    CategoricalInput,
    NumericInput,
    Part,
    Reader,
    TabularState,
)
from runwright_components.features.target import Target
from runwright_components.features.values import Notation, Words

WORDS = Words(missing=("", "na", "?"))
PARTS: tuple[Part, ...] = (
    "days",
    "year",
    "month_sin",
    "month_cos",
    "weekday_sin",
    "weekday_cos",
    "hour_sin",
    "hour_cos",
)
STATE = TabularState(
    words=WORDS,
    columns=(
        Reader(name="age", type="numeric", text=False),
        Reader(
            name="price",
            type="numeric",
            text=True,
            notation=Notation(grouping=",", units=("$",), parentheses=True),
        ),
        Reader(name="member", type="boolean", text=True),
        Reader(name="born", type="datetime", text=True, formats=("%d/%m/%Y", *ISO_FORMATS)),
        Reader(name="color", type="categorical", text=True),
        Reader(name="size", type="categorical", text=False),
    ),
    numeric=(
        NumericInput(name="age", column="age", low=0, high=100, outliers="clip", fill=40, offset=38.5, scale=13.7),
        NumericInput(name="age?", column="age", part="missing"),
        NumericInput(
            name="price", column="price", low=-50, high=5000, outliers="missing", fill=7, offset=3.3, scale=0.1
        ),
        NumericInput(name="member", column="member", fill=1),
        *(NumericInput(name=f"born.{part}", column="born", part=part, fill=0.25, scale=3) for part in PARTS),
    ),
    categorical=(
        CategoricalInput(name="color", column="color", keys=("blue", "dark red"), missing=3),
        CategoricalInput(name="size", column="size", keys=("1", "2"), missing=0, onehot=True),
    ),
    target=Target(name="y", task="classification", words=WORDS, keys=("no", "yes"), labels=("No", "Yes")),
    signature=Signature(task="classification", modality="tabular", inputs=(), tensors=()),
)


@pytest.fixture(scope="module")
def preprocessing() -> TabularPreprocessing:
    return TabularPreprocessing(STATE)


def one_row(**values: Any) -> pl.DataFrame:
    row = {
        "age": 30.0,
        "price": "$1,234.5",
        "member": "yes",
        "born": "03/02/2020",
        "color": "Blue",
        "size": 1,
        **values,
    }
    return pl.DataFrame({name: [value] for name, value in row.items()})


def test_a_row_by_hand(preprocessing: TabularPreprocessing) -> None:
    inputs = preprocessing.transform(one_row())
    assert inputs["numeric"].dtype == np.float32
    assert inputs["categorical"].dtype == np.int64
    day = (datetime.date(2020, 2, 3) - datetime.date(1970, 1, 1)).days
    month, weekday = 2 * np.pi / 12, 0.0
    dates = [day, 2020, np.sin(month), np.cos(month), np.sin(weekday), np.cos(weekday), 0.0, 1.0]
    parts = [(value - 0) / 3 for value in dates]
    expected = [(30 - 38.5) / 13.7, 0, (1234.5 - 3.3) / 0.1, 1, *parts, 1, 0]
    np.testing.assert_allclose(inputs["numeric"], [expected], rtol=1e-6, atol=1e-7)
    assert inputs["categorical"].tolist() == [[1]]


@pytest.mark.parametrize(
    ("column", "value", "place", "expected"),
    [
        ("age", 1e300, 0, (100 - 38.5) / 13.7),
        ("age", float("nan"), 0, (40 - 38.5) / 13.7),
        ("age", None, 1, 1.0),
        ("age", float("inf"), 1, 1.0),
        ("age", 7, 0, (7 - 38.5) / 13.7),
        ("price", "(12)", 2, (-12 - 3.3) / 0.1),
        ("price", "9,999", 2, (7 - 3.3) / 0.1),
        ("price", "1,5", 2, (7 - 3.3) / 0.1),
        ("price", "junk", 2, (7 - 3.3) / 0.1),
        ("price", 12.5, 2, (12.5 - 3.3) / 0.1),
        ("member", False, 3, 0.0),
        ("member", "N", 3, 0.0),
        ("member", "maybe", 3, 1.0),
        ("member", 0, 3, 0.0),
        ("born", None, 4, (0.25) / 3),
        ("born", "2020-02-03T12:00:00Z", 10, 0.0),
        ("born", datetime.date(2020, 2, 3), 5, 2020 / 3),
        ("size", "2", 13, 1.0),
        ("size", 2.0, 13, 1.0),
        ("size", 17, 13, 0.0),
    ],
)
def test_values_in_other_forms(
    preprocessing: TabularPreprocessing, column: str, value: Any, place: int, expected: float
) -> None:
    numeric = preprocessing.transform(one_row(**{column: value}))["numeric"]
    assert numeric[0, place] == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(
    ("color", "code"), [(" dark  RED", 2), ("BLUE", 1), ("green", 0), (None, 3), ("?", 3), ("\u00a0Blue ", 1)]
)
def test_categories_are_compared_by_what_they_say(preprocessing: TabularPreprocessing, color: str, code: int) -> None:
    for _ in range(2):  # the second time it is remembered
        row = one_row().with_columns(color=pl.lit(color, dtype=pl.String))
        assert preprocessing.transform(row)["categorical"].tolist() == [[code]]


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        (one_row().drop("age", "color"), ["'age'", "'color'", "may be null"]),
        (one_row(age="thirty"), ["'age'", "String", "typed"]),
        (one_row(price=True), ["'price'", "Boolean", "text"]),
        (one_row(born=1.5), ["'born'", "Float64"]),
        (one_row(color=[["a"]]), ["'color'", "List"]),
    ],
)
def test_another_schema_than_at_the_fit_is_refused(
    preprocessing: TabularPreprocessing, rows: pl.DataFrame, words: list[str]
) -> None:
    with pytest.raises(StageError) as caught:
        preprocessing.transform(rows)
    assert caught.value.reason is Reason.DATA_INVALID
    assert caught.value.cure
    for word in words:
        assert word in str(caught.value)


def test_the_state_survives_its_file(preprocessing: TabularPreprocessing, tmp_path: Path) -> None:
    preprocessing.save(tmp_path / "preprocessing")
    again = Preprocessing.load(tmp_path / "preprocessing")
    assert isinstance(again, TabularPreprocessing)
    assert again.state == STATE
    (tmp_path / "preprocessing" / "state.json").write_text('{"kind": "wheel"}')
    with pytest.raises(StageError, match="unknown kind 'wheel'"):
        Preprocessing.load(tmp_path / "preprocessing")


def test_targets(preprocessing: TabularPreprocessing) -> None:
    rows = pl.DataFrame({"y": ["Yes", " no", "what", None]})
    assert preprocessing.target(rows).tolist() == [1, 0, -1, -1]
    predictions = preprocessing.outputs({"logits": np.array([[0.0, 1.0], [3.0, 0.0]], dtype=np.float32)})
    assert predictions.labels == ["Yes", "No"]
    assert predictions.probabilities is not None
    assert predictions.probabilities.dtype == np.float64
    np.testing.assert_allclose(predictions.probabilities.sum(axis=1), 1)


texts = st.one_of(
    st.none(),
    st.text(max_size=8),
    st.sampled_from(["1,234.5", "$5", "(3)", "12 $", "yes", "no", "2020-02-03", "31/12/1999", "blue", "Dark Red", "?"]),
)
rows = st.lists(
    st.fixed_dictionaries(
        {
            "age": st.one_of(st.none(), st.floats(), st.integers(-(2**62), 2**62).map(float)),
            "price": texts,
            "member": texts,
            "born": st.one_of(texts, st.dates().map(str), st.datetimes().map(str)),
            "color": texts,
            "size": st.one_of(st.none(), st.integers(-3, 3)),
        }
    ),
    min_size=1,
    max_size=12,
)
SCHEMA = {
    "age": pl.Float64,
    "price": pl.String,
    "member": pl.String,
    "born": pl.String,
    "color": pl.String,
    "size": pl.Int64,
}


@given(rows)
@settings(max_examples=60, deadline=None)
def test_a_row_gives_the_same_bits_alone_and_in_a_batch(values: list[dict[str, Any]]) -> None:
    frame = pl.DataFrame(values, schema=SCHEMA)
    batch = TabularPreprocessing(STATE).transform(frame)
    large = TabularPreprocessing(STATE).transform(pl.concat([frame] * (6000 // len(frame) + 1)))
    online = TabularPreprocessing(STATE)
    assert np.isfinite(batch["numeric"]).all()
    for i in range(len(frame)):
        alone = online.transform(frame.slice(i, 1))
        for name, array in batch.items():
            assert alone[name].tobytes() == array[i : i + 1].tobytes()
            assert alone[name].tobytes() == large[name][i : i + 1].tobytes()


@given(
    st.lists(
        st.tuples(
            *[st.one_of(st.none(), st.integers(-(2**40), 2**40), st.floats(), st.text(max_size=5), st.booleans())] * 6
        ),
        min_size=1,
        max_size=4,
    )
)
@settings(max_examples=60, deadline=None)
def test_any_json_gives_tensors_or_a_clear_error(values: list[tuple[Any, ...]]) -> None:
    columns = {
        name: pl.Series(name, column, strict=False)
        for name, column in zip(SCHEMA, zip(*values, strict=True), strict=True)
    }
    frame = pl.DataFrame(columns)
    preprocessing = TabularPreprocessing(STATE)
    if not all(reader.accepts(frame.schema[reader.name]) for reader in STATE.columns):
        with pytest.raises(StageError, match="the training data had"):
            preprocessing.transform(frame)
        return
    inputs = preprocessing.transform(frame)
    assert inputs["numeric"].shape == (len(values), 14)
    assert np.isfinite(inputs["numeric"]).all()
    assert ((inputs["categorical"] >= 0) & (inputs["categorical"] < 4)).all()
