"""The Predictor: what it accepts, what it refuses and with which words, and that all ways to a prediction agree."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runwright_components.contract.artifacts import PREPROCESSING, STATE
from runwright_components.contract.outcome import Reason, StageError
from runwright_components.features.pii import MASKING, Masking
from runwright_components.serve.predictor import Limits, Predictor, RequestError

Row = dict[str, Any]


@pytest.fixture(scope="module")
def predictor(penguins: Path) -> Predictor:
    return Predictor(penguins)


def test_it_predicts_its_own_example(predictor: Predictor) -> None:
    answer = predictor.predict_rows([predictor.signature.example])
    assert answer.labels is not None
    assert answer.probabilities is not None
    assert answer.probabilities.shape == (1, 3)
    assert answer.probabilities.sum() == pytest.approx(1.0)
    assert predictor.signature.labels[int(answer.probabilities.argmax())] == answer.labels[0]


def test_a_regression_gives_values_in_the_unit_of_the_target(built: Path) -> None:
    predictor = Predictor(built / "weights")
    answer = predictor.predict_rows([predictor.signature.example])
    assert answer.values is not None
    assert answer.labels is None
    assert answer.values.dtype == np.float64
    assert 0 < answer.values[0] < 20_000


def row(**changes: Any) -> Row:
    example = {"mass": "3,5 kg", "bill": 39.1, "island": "Biscoe", "year": 2007, "tagged": "yes", "seen": "2007-11-11"}
    return {**example, **changes}


def without(name: str) -> Row:
    return {key: value for key, value in row().items() if key != name}


@pytest.mark.parametrize(
    ("bad", "kind", "message"),
    [
        (row(bill=[1]), "type", "instances[1].bill: expected a number, got a list"),
        (row(bill={"a": 1}), "type", "instances[1].bill: expected a number, got an object"),
        (row(bill=True), "type", "instances[1].bill: expected a number, got true"),
        (row(bill="39.1"), "type", "instances[1].bill: expected a number, got a string (send it without quotes)"),
        (row(bill=None), "null", "instances[1].bill: expected a number, got null"),
        (row(bill=float("nan")), "value", "instances[1].bill: nan is not a finite number"),
        (row(bill=float("-inf")), "value", "instances[1].bill: -inf is not a finite number"),
        (row(bill=10**400), "value", "instances[1].bill: the integer is too large"),
        (row(mass="heavy"), "value", 'instances[1].mass: "heavy" does not read as a number'),
        (row(mass="inf"), "value", 'instances[1].mass: "inf" does not read as a number'),
        (row(island=3), "type", "instances[1].island: expected a string, got a number (write it in quotes)"),
        (row(island=["x"]), "type", "instances[1].island: expected a string, got a list"),
        (row(year={}), "type", "instances[1].year: expected a string, got an object"),
        (row(tagged="perhaps"), "value", 'instances[1].tagged: "perhaps" does not read as true or false'),
        (row(tagged=7), "type", "instances[1].tagged: expected true or false, got a number"),
        (row(seen="yesterday"), "value", 'instances[1].seen: "yesterday" does not read as a date'),
        (row(seen=20071111), "type", "instances[1].seen: expected a date as a string, got a number"),
        (without("island"), "missing", 'instances[1]: missing field "island" (send null where the value'),
        ({**without("island"), "Island": "x"}, "missing", 'missing field "island" (is "Island" meant as "island"?)'),
        ({"mass": 1}, "missing", 'missing fields "bill", "island", "year", "tagged", "seen"'),
        (row(iland="x"), "unknown", 'instances[1]: unknown field "iland" (did you mean "island"?)'),
        (row(zzz=1), "unknown", 'instances[1]: unknown field "zzz" (the fields are mass, bill,'),
        ("text", "type", "instances[1]: expected an object with a value for each field, got a string"),
        (None, "type", "instances[1]: expected an object with a value for each field, got null"),
    ],
)
def test_a_bad_row_is_refused_with_its_place(predictor: Predictor, bad: Any, kind: str, message: str) -> None:
    with pytest.raises(RequestError) as error:
        predictor.predict_rows([row(), bad])
    assert message in str(error.value)
    assert error.value.kind == kind
    with pytest.raises(RequestError) as again:
        predictor.frame([row(), bad])
    assert str(again.value) == str(error.value)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([], "instances: the batch is empty (send at least one row)"),
        ({"mass": 1}, "instances: expected a list of rows, got an object"),
        ("rows", "instances: expected a list of rows, got a string"),
    ],
)
def test_what_is_no_batch_is_refused(predictor: Predictor, rows: Any, message: str) -> None:
    with pytest.raises(RequestError) as error:
        predictor.predict_rows(rows)
    assert message in str(error.value)


def test_limits_hold(penguins: Path) -> None:
    predictor = Predictor(penguins, limits=Limits(rows=2, text=100))
    with pytest.raises(RequestError, match="3 rows are more than the 2"):
        predictor.predict_rows([row()] * 3)
    for name in ("island", "mass"):
        with pytest.raises(RequestError, match="the string has 101 characters, more than 100"):
            predictor.predict_rows([row(**{name: "x" * 101})])


@pytest.mark.parametrize(
    "same",
    [
        row(mass=3.5),
        row(mass=" 3,5 KG ".lower()),
        row(island="  BISCOE "),
        row(year="2007"),
        row(year=2007.0),
        row(tagged=True),
        row(tagged="ON"),
        row(tagged=1),
        row(seen="2007-11-11T00:00:00Z"),
        row(id=17),
        row(species="Adelie"),
    ],
)
def test_other_spellings_of_a_row_give_the_same_bits(predictor: Predictor, same: Row) -> None:
    expected = predictor.predict_rows([row()]).probabilities
    assert np.array_equal(predictor.predict_rows([same]).probabilities, expected)


def test_missing_words_are_null(predictor: Predictor) -> None:
    for name, word in (("mass", "?"), ("mass", ""), ("island", "N/A"), ("tagged", "na"), ("seen", "")):
        null = predictor.predict_rows([row(**{name: None})]).probabilities
        assert np.array_equal(predictor.predict_rows([row(**{name: word})]).probabilities, null), name


def test_the_frame_is_not_changed_by_the_order_of_the_fields(predictor: Predictor) -> None:
    turned = dict(reversed(row().items()))
    assert predictor.frame([turned]).equals(predictor.frame([row()]))


cells = {
    "mass": st.one_of(st.none(), st.floats(-1e6, 1e6), st.integers(-(2**63), 2**70), st.sampled_from(["3,5 kg", "?"])),
    "bill": st.one_of(st.floats(allow_nan=False, allow_infinity=False), st.integers(-(10**9), 10**9)),
    "island": st.one_of(st.none(), st.sampled_from(["Biscoe", " dream", "TORGERSEN", "Mars"]), st.text(max_size=8)),
    "year": st.one_of(st.none(), st.sampled_from([2007, 2008.0, "2008", 1, True])),
    "tagged": st.sampled_from([None, True, False, "yes", "no", 0, 1.0, "n/a"]),
    "seen": st.one_of(st.none(), st.datetimes(datetime(1000, 1, 1)).map(lambda time: time.isoformat())),
}


@given(st.lists(st.fixed_dictionaries(cells), min_size=1, max_size=5))
@settings(max_examples=60, deadline=None)
def test_rows_columns_and_frames_give_the_same_bits(predictor: Predictor, rows: list[Row]) -> None:
    fast = predictor.predict_rows(rows).probabilities
    frame = predictor.frame(rows)
    assert fast is not None
    assert np.array_equal(predictor.predict(frame).probabilities, fast)
    columns = {name: [one[name] for one in rows] for name in rows[0]}
    assert np.array_equal(predictor.predict_columns(columns).probabilities, fast)
    tensors = predictor.preprocessing.transform(frame)
    encoder = predictor._encoder
    assert encoder is not None
    for name, value in encoder.tensors(predictor._validator.rows(rows)).items():
        assert value.dtype == tensors[name].dtype
        assert np.array_equal(value, tensors[name]), name


def test_raw_rows_of_a_csv_give_what_a_request_gives(predictor: Predictor) -> None:
    raw = pl.DataFrame(
        {
            "mass": ["3,5 kg", "", "4"],
            "bill": [39.1, 40.0, 41.0],
            "island": ["Biscoe", "?", "Mars"],
            "year": [2007, 2008, None],
            "tagged": ["yes", "off", ""],
            "seen": ["2007-11-11", "2008-01-02 10:30:00", ""],
        }
    )
    assert np.array_equal(predictor.predict(raw).probabilities, predictor.predict_rows(raw.to_dicts()).probabilities)


def test_a_large_frame_is_predicted_in_slices(predictor: Predictor) -> None:
    rows = [row(bill=float(number % 30 + 30)) for number in range(9000)]
    answer = Predictor(predictor.folder, limits=Limits(rows=10**6)).predict_rows(rows)
    assert answer.probabilities is not None
    np.testing.assert_allclose(answer.probabilities[:30], answer.probabilities[8970:], atol=1e-6)
    assert np.array_equal(predictor.predict(predictor.frame(rows)).probabilities, answer.probabilities)


def test_numbers_that_mean_missing_take_the_way_of_the_frame(tmp_path: Path, penguins: Path) -> None:
    shutil.copytree(penguins, tmp_path / "model")
    state = tmp_path / "model" / "preprocessing" / "state.json"
    content = json.loads(state.read_bytes())
    content["words"]["missing"] = ["", "-999"]
    state.write_text(json.dumps(content))
    predictor = Predictor(tmp_path / "model", verify=False)
    null = predictor.predict_rows([row(mass=None)]).probabilities
    for spelling in (-999, -999.0, "-999"):
        assert np.array_equal(predictor.predict_rows([row(mass=spelling)]).probabilities, null)


def test_images_are_refused_with_their_place(built: Path, image: Callable[..., str]) -> None:
    predictor = Predictor(built / "colours", limits=Limits(pixels=10_000))
    good = image((1, 2, 3))
    cut = image((1, 2, 3), (64, 64))[:120]
    cases: list[tuple[Any, str]] = [
        ("***", "instances[1].image: the string is not base64 (send the base64 of a whole PNG or JPEG file)"),
        ("aGVsbG8=", "instances[1].image: the bytes are not a PNG or JPEG image"),
        (cut, "instances[1].image: "),
        (image((0, 0, 0), (200, 200)), "instances[1].image: the image has 200 x 200 pixels, more than 10,000"),
        (5, "instances[1].image: expected base64 of an image, got a number"),
        (None, "instances[1].image: expected base64 of an image, got null"),
    ]
    for bad, message in cases:
        with pytest.raises(RequestError) as error:
            predictor.predict_rows([{"image": good}, {"image": bad}])
        assert message in str(error.value)
    assert len(predictor.predict_rows([{"image": good}, {"image": good, "path": "a.png"}])) == 2


def test_an_altered_file_is_refused(tmp_path: Path, penguins: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(penguins, folder)
    (folder / "preprocessing" / "state.json").write_bytes(b"{}" + (folder / "model.onnx").read_bytes()[:10])
    with pytest.raises(StageError) as error:
        Predictor(folder)
    assert error.value.reason is Reason.DIGEST_MISMATCH
    assert "preprocessing/state.json was altered" in str(error.value)
    assert "from the registry" in str(error.value)


def test_an_altered_manifest_is_refused(tmp_path: Path, penguins: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(penguins, folder)
    (folder / "weights.safetensors").unlink()
    manifest = json.loads((folder / "manifest.json").read_bytes())
    del manifest["files"]["weights.safetensors"]
    (folder / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(StageError) as error:
        Predictor(folder)
    assert error.value.reason is Reason.DIGEST_MISMATCH


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "no model here"), (b"[1", "not JSON"), (b"3", "not JSON of a package"), (b"{}", "not a ModelManifest")],
)
def test_a_folder_without_a_model_is_refused(tmp_path: Path, content: bytes | None, message: str) -> None:
    if content is not None:
        (tmp_path / "manifest.json").write_bytes(content)
    with pytest.raises(StageError, match=message) as error:
        Predictor(tmp_path)
    assert error.value.cure


def test_a_broken_graph_is_refused(tmp_path: Path, penguins: Path) -> None:
    shutil.copytree(penguins, tmp_path / "model")
    (tmp_path / "model" / "model.onnx").write_bytes(b"not a graph")
    with pytest.raises(StageError, match="ONNX Runtime cannot load the model"):
        Predictor(tmp_path / "model", verify=False)


def test_it_needs_neither_torch_nor_kserve(penguins: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from runwright_components.serve.predictor import Predictor;"
        "p = Predictor(Path(sys.argv[1])); p.predict_rows([p.signature.example]);"
        "print(sorted({'torch', 'kserve', 'PIL', 'tokenizers', 'fastapi', 'pandas'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code, str(penguins)], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_request_is_masked_as_the_training_data_were(tmp_path: Path, penguins: Path) -> None:
    model = shutil.copytree(penguins, tmp_path / "masked")
    state = model / PREPROCESSING / STATE
    state.write_text(state.read_text().replace('"torgersen"', '"<email>"'))
    unmasked = Predictor(model, verify=False)
    Masking(action="mask", columns={"island": ("email",)}).write(model / PREPROCESSING, MASKING)
    masked = Predictor(model, verify=False)
    example = masked.signature.example
    rows = [{**example, "island": island} for island in ("ann@example.com", "Dream")]
    expected = unmasked.predict_rows([{**example, "island": island} for island in ("<email>", "Dream")])
    other = unmasked.predict_rows(rows)
    columns = {name: [row[name] for row in rows] for name in example}
    for answer in (masked.predict_rows(rows), masked.predict_columns(columns), masked.predict(masked.frame(rows))):
        np.testing.assert_array_equal(answer.probabilities, expected.probabilities)
    assert (other.probabilities[0] != expected.probabilities[0]).any()
