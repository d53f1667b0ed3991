"""How columns become inputs: fitted on the training split, and alike in the batch and for a request."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.preprocessing import PolynomialFeatures, PowerTransformer, TargetEncoder

from runwright_components.contract.artifacts import QUALITY, RAW_TEST, PreparedManifest
from runwright_components.contract.config import CategoricalRules, PrepareConfig, TfidfRules
from runwright_components.contract.outcome import StageError
from runwright_components.features import Preprocessing, load_split
from runwright_components.features.derived import BinnedInput, Product, Products
from runwright_components.features.power import yeo_johnson
from runwright_components.features.tabular import TabularPreprocessing
from runwright_components.features.tabular_state import CategoricalInput
from runwright_components.features.tfidf import TextEncoder
from runwright_components.prepare import fit_encodings, fit_text
from runwright_components.prepare.fit_power import exponent
from runwright_components.prepare.quality import ColumnQuality, Quality
from runwright_components.serve.cells import Cell
from runwright_components.serve.encoding import TableEncoder
from runwright_components.serve.reading import WordReader
from runwright_components.serve.validation import Validator

PrepareTable = Callable[..., tuple[Path, PreparedManifest]]
Numbers = np.ndarray[Any, np.dtype[np.float64]]
ROWS = 240
SIZES = ("small", "medium", "large")


@pytest.fixture(scope="module")
def frame() -> pl.DataFrame:
    """x and size tell of y; income is skewed; one value in ten is missing."""
    random = np.random.default_rng(0)
    size = random.integers(0, 3, ROWS)
    x = random.normal(size=ROWS)
    words = np.array(["bad awful slow", "fine", "good great fast"])
    return pl.DataFrame(
        {
            "x": [None if i % 10 == 3 else value for i, value in enumerate(x.tolist())],
            "income": np.exp(random.normal(8, 1.5, ROWS)),
            "noise": random.normal(size=ROWS),
            "size": [None if i % 11 == 5 else SIZES[code] for i, code in enumerate(size)],
            "city": [f"C{code}" for code in random.integers(0, 30, ROWS)],
            "when": [f"2020-{1 + i % 12:02d}-{1 + i % 28:02d} {i % 24:02d}:30" for i in range(ROWS)],
            "review": [None if i % 13 == 7 else f"{words[code]} item {i}" for i, code in enumerate(size)],
            "y": [["no", "yes"][int(value + code > 1)] for value, code in zip(x, size, strict=True)],
        }
    )


def columns(**rules: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"name": name, **rule} for name, rule in rules.items()]


KINDS: dict[str, dict[str, Any]] = {
    "power": {"numeric": {"scale": "power"}},
    "bins": {"numeric": {"bins": {"count": 5}}},
    "bins as 0 and 1": {"numeric": {"bins": {"count": 4, "edges": "uniform", "encode": "onehot", "columns": ["x"]}}},
    "products": {"numeric": {"polynomial": {"degree": 3, "columns": ["x", "noise"]}}},
    "target": {"categorical": {"encode": "target"}},
    "ordinal": {"columns": columns(size={"encode": "ordinal", "order": ["Small", "medium", "large"]})},
    "by frequency": {"categorical": {"encode": "ordinal"}},
    "hashing": {"categorical": {"encode": "hashing", "buckets": 8}},
    "dates": {"dates": {"parts": ["day", "weekend", "month"], "cyclic": False}},
    "words": {"columns": columns(review={"type": "text"}), "tfidf": {"dimensions": 3}},
    "many words": {"columns": columns(review={"type": "text"}), "tfidf": {"dimensions": 0, "words": 2}},
    "selected": {"select": {"keep": 2}},
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_request_gets_what_the_batch_got(kind: str, frame: pl.DataFrame, prepare_table: PrepareTable) -> None:
    folder, manifest = prepare_table(frame, **KINDS[kind])
    test, raw = load_split(folder, "test"), pl.read_parquet(folder / RAW_TEST)
    preprocessing = Preprocessing.load(folder / "preprocessing")
    assert isinstance(preprocessing, TabularPreprocessing)
    assert {tensor.name for tensor in manifest.signature.tensors} == set(test.inputs)
    validator = Validator(manifest.signature, WordReader(preprocessing).read)
    encoder = TableEncoder(preprocessing)
    names = [field.name for field in manifest.signature.inputs]
    several = preprocessing.transform(raw)
    for name, batch in test.inputs.items():
        np.testing.assert_array_equal(several[name], batch)
    for place, row in enumerate(raw.select(names).head(12).to_dicts()):
        cells: dict[str, list[Cell]] = validator.rows([row])
        for name, served in encoder.tensors(cells).items():
            np.testing.assert_array_equal(served[0], test.inputs[name][place], err_msg=name)


def column(folder: Path, name: str) -> ColumnQuality:
    return next(found for found in Quality.read(folder, QUALITY).columns if found.name == name)


def inputs(folder: Path, split: Any = "train") -> dict[str, Numbers]:
    state = preprocessing_of(folder).state
    return dict(zip(state.numeric_names, load_split(folder, split).inputs["numeric"].T, strict=True))


def preprocessing_of(folder: Path) -> TabularPreprocessing:
    found = Preprocessing.load(folder / "preprocessing")
    assert isinstance(found, TabularPreprocessing)
    return found


# ---------------------------------------------------------------- numbers


@pytest.mark.parametrize("spread", [0.3, 1.0, 2.5])
def test_the_power_is_that_of_the_likeliest_normal_distribution(spread: float) -> None:
    random = np.random.default_rng(1)
    for values in (np.exp(random.normal(0, spread, 500)), -random.gamma(2, spread, 500), random.normal(3, spread, 500)):
        theirs = PowerTransformer(standardize=False).fit(values.reshape(-1, 1))
        ours = exponent(values)
        assert ours == pytest.approx(theirs.lambdas_[0], abs=1e-5)
        expected = theirs.transform(values.reshape(-1, 1))[:, 0]
        np.testing.assert_allclose(yeo_johnson(values, theirs.lambdas_[0]), expected, rtol=1e-12)


def test_powers_are_standardized_over_the_training_split(frame: pl.DataFrame, prepare_table: PrepareTable) -> None:
    folder, _ = prepare_table(frame, numeric={"scale": "power"})
    train = frame["income"].to_numpy()[load_split(folder, "train").row_id]
    expected = PowerTransformer().fit_transform(train.reshape(-1, 1))[:, 0]
    np.testing.assert_allclose(inputs(folder)["income"], expected, atol=1e-5)


@pytest.mark.parametrize("power", [0.0, 2.0, 1.0, -1.5])
def test_the_power_of_zero_is_zero_and_one_changes_nothing(power: float) -> None:
    values = np.array([-3.0, -1e-9, 0.0, 1e-9, 3.0])
    read = yeo_johnson(values, power)
    assert read[2] == 0
    assert (np.diff(read) > 0).all()
    if power == 1.0:
        np.testing.assert_allclose(read, values)


def test_intervals_hold_as_many_rows_and_gaps_are_one_more(frame: pl.DataFrame, prepare_table: PrepareTable) -> None:
    folder, manifest = prepare_table(frame, numeric={"bins": {"count": 4, "columns": ["x", "noise"]}})
    state = preprocessing_of(folder).state
    assert [(item.name, len(item.edges)) for item in state.binned] == [("x", 3), ("noise", 3)]
    codes = load_split(folder, "train").inputs["categorical"]
    place = [item.name for item in state.coded].index("noise")
    counts = np.bincount(codes[:, place])
    assert counts[0] == 0
    assert counts[1:].max() - counts[1:].min() <= 1
    x = [item.name for item in state.coded].index("x")
    gaps = frame["x"].is_null().to_numpy()[load_split(folder, "train").row_id]
    assert set(codes[gaps, x]) == {5}
    assert manifest.categories[x] == 6
    assert column(folder, "noise").inputs == ("c:noise",)


def test_an_interval_begins_at_its_edge() -> None:
    item = BinnedInput(name="a", column="a", edges=(0.0, 1.0), missing=2)
    assert item.codes(np.array([-1, 0, 0.5, 1, 9, np.nan])).tolist() == [1, 2, 2, 3, 3, 2]
    assert item.onehot_names == ("a=<0", "a=0..1", "a=>=1")


def test_products_are_those_of_the_scaled_numbers(frame: pl.DataFrame, prepare_table: PrepareTable) -> None:
    folder, _ = prepare_table(frame, numeric={"polynomial": {"degree": 3, "columns": ["income", "noise"]}})
    found = inputs(folder)
    made = np.stack([values for name, values in found.items() if "*" in name], axis=1)
    factors = np.stack([found["income"], found["noise"]], axis=1)
    expected = PolynomialFeatures(3, include_bias=False).fit_transform(factors)[:, 2:]
    np.testing.assert_allclose(made, expected, rtol=1e-5)


def test_a_product_beyond_all_bounds_stays_finite() -> None:
    huge = np.array([[1e30, 0.0]], dtype=np.float32)
    made = Products([Product(name="p", factors=("a", "a", "a"))], ["a"]).encode(huge)
    assert made[0].tolist() == [float(np.finfo(np.float32).max), 0.0]


# ---------------------------------------------------------------- categories


def test_means_of_the_target_are_those_of_scikit_learn() -> None:
    random = np.random.default_rng(2)
    codes = random.integers(1, 6, 300).astype(np.int32)
    item = CategoricalInput(name="c", column="c", keys=tuple("abcde"), looked_up=True)
    folds = fit_encodings.Folds((np.arange(300) % 5).astype(np.uint8), 5)
    for target, kind in ((random.normal(codes, 1.0), "continuous"), (random.integers(0, 3, 300), "multiclass")):
        several = kind == "multiclass"
        columns = ((0, "a"), (1, "b"), (2, "c")) if several else ()
        seen = fit_encodings.Outcomes(target, columns, 3 if several else 0)
        encoded = fit_encodings.by_target(item, codes, seen, folds, CategoricalRules(smoothing=7))
        theirs = TargetEncoder(target_type=kind, smooth=7.0).fit(codes.reshape(-1, 1), target)
        for ours, expected in zip(encoded.inputs, theirs.encodings_, strict=True):
            np.testing.assert_allclose(ours.values[1:], expected)
            assert ours.values[0] == pytest.approx(
                (target == int(ours.name[-1], 36) - 10).mean() if several else target.mean()
            )


def test_a_training_row_never_sees_its_own_target(prepare_table: PrepareTable) -> None:
    random = np.random.default_rng(3)
    rows = 300
    table = pl.DataFrame(
        {"one": [f"K{i % 60}" for i in range(rows)], "y": random.normal(size=rows), "z": random.normal(size=rows)}
    )
    config = {"task": "regression", "categorical": {"encode": "target", "smoothing": 0}}
    folder, _ = prepare_table(table, **config)
    first = load_split(folder, "train")
    place = preprocessing_of(folder).state.numeric_names.index("one")
    # Change one training row's target: its own input stays as it is, up to the target's scale.
    changed = table["y"].to_list()
    row = int(first.row_id[0])
    changed[row] += 100.0
    again, _ = prepare_table(table.with_columns(y=pl.Series(changed)), "b", **config)
    target, target_again = preprocessing_of(folder).target_state, preprocessing_of(again).target_state
    before = target.unscale(first.inputs["numeric"][:1, place])
    after = target_again.unscale(load_split(again, "train").inputs["numeric"][:1, place])
    np.testing.assert_allclose(before, after, atol=1e-4)


def test_several_classes_make_an_input_each(frame: pl.DataFrame, prepare_table: PrepareTable) -> None:
    folder, _ = prepare_table(frame, target="size", columns=columns(city={"encode": "target"}))
    names = preprocessing_of(folder).state.numeric_names
    assert {f"city:{label}" for label in SIZES} <= set(names)
    total = sum(inputs(folder, "test")[f"city:{label}"] for label in SIZES)
    np.testing.assert_allclose(total, 1.0, atol=1e-6)


def test_the_order_given_is_kept(frame: pl.DataFrame, prepare_table: PrepareTable) -> None:
    folder, _ = prepare_table(frame, **KINDS["ordinal"])
    sizes = frame["size"].to_numpy()[load_split(folder, "train").row_id]
    values = inputs(folder)["size"]
    small, medium, large = (values[sizes == name][0] for name in SIZES)
    assert small < medium < large
    assert large - medium == pytest.approx(medium - small)
    assert set(values[frame["size"].is_null().to_numpy()[load_split(folder, "train").row_id]]) == {0.0}


def test_a_category_hashes_to_one_bucket_for_ever(frame: pl.DataFrame, prepare_table: PrepareTable) -> None:
    folder, manifest = prepare_table(frame, categorical={"encode": "hashing", "buckets": 8})
    preprocessing = preprocessing_of(folder)
    codes = preprocessing.codes_of("city", pl.Series(["C1", " c1 ", "never seen", None]))
    assert codes[0] == codes[1] == 7
    assert 1 <= codes[2] <= 8
    assert manifest.categories == (10, 9)
    assert preprocessing.codes_of("size", pl.Series([None], dtype=pl.String)).tolist() == [9]


# ---------------------------------------------------------------- dates and words


def test_the_parts_of_dates_are_chosen(frame: pl.DataFrame, prepare_table: PrepareTable) -> None:
    folder, _ = prepare_table(frame, dates={"parts": ["day", "weekend", "hour"]})
    names = [name for name in preprocessing_of(folder).state.numeric_names if name.startswith("when.")]
    assert names == ["when.day_sin", "when.day_cos", "when.weekend", "when.hour_sin", "when.hour_cos"]
    days = frame["when"].str.slice(8, 2).cast(pl.Int32).to_numpy()[load_split(folder, "train").row_id]
    expected = [math.sin(2 * math.pi * (day - 1) / 31) for day in days]
    np.testing.assert_allclose(inputs(folder)["when.day_sin"], expected, atol=1e-6)


def test_words_weigh_what_they_weigh_for_scikit_learn() -> None:
    texts = ["Good, good day", "bad day", "a good-bad night", "nothing", "day night day"]
    item = fit_text.fit("t", texts, [1, 1, 1, 1, 2], TfidfRules(min_count=1, dimensions=0, words=2))
    assert item is not None
    theirs = TfidfVectorizer(token_pattern=r"\w+", ngram_range=(1, 2)).fit([*texts, texts[-1]])
    assert list(item.terms) == theirs.get_feature_names_out().tolist()
    expected = theirs.transform(texts).toarray()
    np.testing.assert_allclose(TextEncoder(item).encode(texts).T, expected, atol=1e-6)
    assert not TextEncoder(item).encode([None, "unheard of"]).any()


def test_components_are_singular_vectors() -> None:
    random = np.random.default_rng(4)
    texts = [" ".join(random.choice(list("abcdefghijkl"), 5)) for _ in range(60)]
    whole = fit_text.fit("t", texts, [1] * 60, TfidfRules(min_count=1, dimensions=0))
    reduced = fit_text.fit("t", texts, [1] * 60, TfidfRules(min_count=1, dimensions=3))
    assert whole is not None
    assert reduced is not None
    vectors = np.linalg.svd(TextEncoder(whole).encode(texts).T.astype(np.float64))[2][:3].T
    ours = np.array(reduced.components)
    ours /= np.linalg.norm(ours, axis=0)
    np.testing.assert_allclose(np.abs((ours * vectors).sum(axis=0)), 1.0, atol=1e-6)
    assert np.square(TextEncoder(reduced).encode(texts)).mean() == pytest.approx(1.0, abs=1e-5)


# ---------------------------------------------------------------- choice and errors


def test_the_columns_that_tell_most_are_kept_and_the_report_says_so(
    frame: pl.DataFrame, prepare_table: PrepareTable
) -> None:
    folder, manifest = prepare_table(frame, select={"keep": 2})
    assert {field.name for field in manifest.signature.inputs} == {"x", "size"}
    dropped = column(folder, "noise")
    assert dropped.role == "ignored"
    assert "mutual information with the target" in dropped.reason
    assert "not among the best 2" in dropped.reason


@pytest.mark.parametrize(
    ("settings", "where", "words"),
    [
        ({"numeric": {"bins": {"columns": ["nois"]}}}, "bins.columns[0]", "did you mean 'noise'"),
        ({"numeric": {"polynomial": {"columns": ["size"]}}}, "polynomial.columns[0]", "no numeric input"),
        ({"columns": columns(size={"encode": "ordinal", "order": ["small"]})}, "columns.order", "lacks 'large'"),
    ],
    ids=["bins", "polynomial", "order"],
)
def test_bad_features_say_where(
    frame: pl.DataFrame, prepare_table: PrepareTable, settings: dict[str, Any], where: str, words: str
) -> None:
    with pytest.raises(StageError, match=words) as caught:
        prepare_table(frame, **settings)
    assert where in (caught.value.where or "")
    assert caught.value.cure


def test_too_many_products_are_refused(prepare_table: PrepareTable) -> None:
    random = np.random.default_rng(5)
    wide = pl.DataFrame({f"f{i}": random.normal(size=60) for i in range(40)} | {"y": ["a", "b"] * 30})
    with pytest.raises(StageError, match="820 products, more than 500") as caught:
        prepare_table(wide, numeric={"polynomial": {}})
    assert "interactionsOnly" in caught.value.cure


def test_a_configuration_of_an_older_pipeline_means_what_it_meant() -> None:
    config = PrepareConfig(modality="tabular", task="classification", target="y")
    assert (config.dates, config.tfidf, config.select, config.numeric.bins) == (None, None, None, None)
