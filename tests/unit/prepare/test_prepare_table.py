"""A messy table from raw rows to encoded splits."""

import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from runwright_components.contract.artifacts import QUALITY, RAW_TEST, PreparedManifest
from runwright_components.contract.config import SPLITS
from runwright_components.features import Preprocessing, load_split
from runwright_components.features.tabular import TabularPreprocessing
from runwright_components.prepare.quality import ColumnQuality, Quality

PrepareTable = Callable[..., tuple[Path, PreparedManifest]]
ROWS = 400


def messy(rows: int = ROWS, seed: int = 0) -> pl.DataFrame:
    random = np.random.default_rng(seed)
    days = zip(random.integers(1, 13, rows), random.integers(1, 28, rows), strict=True)
    return pl.DataFrame(
        {
            "id": [str(i) for i in range(rows)],
            "price": [f"${x:,.2f}" if i % 10 else "NA" for i, x in enumerate(random.normal(5000, 2000, rows))],
            "weight": [f"{x:.1f} kg".replace(".", ",") for x in random.normal(70, 10, rows)],
            "when": [[f"2020-{m:02d}-{d:02d}", f"{d:02d}/{m:02d}/2020"][i % 2] for i, (m, d) in enumerate(days)],
            "ok": [["Yes", "no", ""][i] for i in random.integers(0, 3, rows)],
            "color": [
                ["Red", "Red", " red", "BLUE", "blue", "BLUE", "green", "?"][i] for i in random.integers(0, 8, rows)
            ],
            "note": [f"some words about row {i}" for i in range(rows)],
            "const": ["a"] * rows,
            "x": random.normal(size=rows),
            "y": [["Yes!", "yes! ", "No."][i] for i in random.integers(0, 3, rows)],
        }
    )


def column(folder: Path, name: str) -> ColumnQuality:
    return next(found for found in Quality.read(folder, QUALITY).columns if found.name == name)


def state_bytes(folder: Path) -> bytes:
    return (folder / "preprocessing" / "state.json").read_bytes()


def test_the_splits_are_what_the_preprocessing_makes_of_the_raw_rows(prepare_table: PrepareTable) -> None:
    folder, manifest = prepare_table(messy(), split={"strategy": "stratified"})
    raw = pl.read_parquet(folder / RAW_TEST)
    preprocessing, test = Preprocessing.load(folder / "preprocessing"), load_split(folder, "test")
    inputs = preprocessing.transform(raw)
    assert set(inputs) == {"numeric", "categorical"} == {tensor.name for tensor in manifest.signature.tensors}
    for name, array in inputs.items():
        assert array.dtype == test.inputs[name].dtype
        np.testing.assert_array_equal(array, test.inputs[name])
    np.testing.assert_array_equal(preprocessing.target(raw), test.target)
    np.testing.assert_array_equal(raw["row_id"].to_numpy(), test.row_id)
    assert raw.columns == ["row_id", *messy().columns]


def test_every_row_is_in_one_split_and_the_manifest_counts_them(prepare_table: PrepareTable) -> None:
    folder, manifest = prepare_table(messy())
    splits = {name: load_split(folder, name) for name in SPLITS}
    assert (
        {name: len(split) for name, split in splits.items()}
        == manifest.rows
        == {"train": 280, "validation": 60, "test": 60}
    )
    everything = np.concatenate([split.row_id for split in splits.values()])
    assert len(np.unique(everything)) == ROWS
    assert manifest.class_counts == tuple(np.bincount(splits["train"].target))
    assert manifest.categories == (5,)


def test_values_are_read_in_their_notation(prepare_table: PrepareTable) -> None:
    folder, manifest = prepare_table(messy())
    types = {field.name: field.type for field in manifest.signature.inputs}
    assert types == {
        "price": "numeric",
        "weight": "numeric",
        "when": "datetime",
        "ok": "boolean",
        "color": "categorical",
        "x": "numeric",
    }
    assert manifest.signature.ignored == ("id", "note", "const", "y")
    price = column(folder, "price")
    assert price.before.missing == 40
    assert price.before.mean == pytest.approx(5000, rel=0.1)
    assert {repair.kind for repair in price.repairs} == {"missing", "unit"}
    assert column(folder, "when").before.first == "2020-01-01T00:00:00"
    assert column(folder, "when").before.missing == 0
    assert {top.value for top in column(folder, "color").after.top} == {"BLUE", "Red", "green"}  # type: ignore[union-attr]
    assert "identifier" in column(folder, "id").reason
    assert "free text" in column(folder, "note").reason
    assert "one value" in column(folder, "const").reason


def test_the_most_frequent_spelling_is_the_label(prepare_table: PrepareTable) -> None:
    frame = pl.DataFrame(
        {"x": range(100, 200, 2), "y": ["cat"] * 20 + [" CAT"] * 5 + ["Dog"] * 20 + ["dog "] * 5}
    ).sample(fraction=1, shuffle=True, seed=1)
    _, manifest = prepare_table(frame)
    assert manifest.signature.labels == ("cat", "Dog")


def test_numbers_are_standardized_on_the_training_split(prepare_table: PrepareTable) -> None:
    folder, _ = prepare_table(messy())
    train = pl.read_parquet(folder / "train.parquet")
    for name in ("n:price", "n:weight", "n:x", "n:when.days"):
        assert train[name].mean() == pytest.approx(0, abs=1e-6)
        assert train[name].std(ddof=0) == pytest.approx(1, abs=1e-6)
    assert set(train["n:price?"].unique()) == {0.0, 1.0}


def test_identical_input_gives_identical_bytes(prepare_table: PrepareTable) -> None:
    def digests(folder: Path) -> dict[str, str]:
        files = (path for path in folder.rglob("*") if path.is_file())
        return {
            path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files if path.name != "manifest.json"
        }

    first, manifest = prepare_table(messy(), "first")
    second, again = prepare_table(messy(), "second", parts=3)
    assert digests(first) == digests(second)
    assert manifest.digest == again.digest


def test_test_rows_never_change_the_state(prepare_table: PrepareTable) -> None:
    """Other values in the test and validation rows leave the fitted state as it is, byte for byte."""
    frame = messy()
    settings = {"outliers": {"rule": "iqr", "factor": 1.5}, "duplicates": "keep", "categorical": {"min_count": 2}}
    folder, _ = prepare_table(frame, "first", **settings)
    train = load_split(folder, "train").row_id
    rows = pl.int_range(pl.len()).is_in(train.tolist())
    other = messy(seed=99).with_columns(
        pl.col("color") + "ish",
        pl.col("x") * 1e6,
        price=pl.lit("$999,999.00"),
        when=pl.lit("1999-12-31"),
        ok=pl.lit("Yes"),
    )
    mixed = frame.with_columns(
        pl.when(rows).then(pl.col(name)).otherwise(other[name]).alias(name)
        for name in frame.columns
        if name not in ("y", "id")
    )
    changed, _ = prepare_table(mixed, "second", **settings)
    np.testing.assert_array_equal(load_split(changed, "train").row_id, train)
    assert state_bytes(changed) == state_bytes(folder)


def test_duplicates_go_before_the_split_whatever_their_spelling(prepare_table: PrepareTable) -> None:
    frame = messy()
    again = frame.head(30).with_columns(pl.col("color").str.to_uppercase(), pl.col("y").str.strip_chars())
    folder, manifest = prepare_table(pl.concat([frame, again]))
    assert sum(manifest.rows.values()) == ROWS
    duplicates = Quality.read(folder, QUALITY).duplicates
    assert (duplicates.found, duplicates.dropped, len(duplicates.sample)) == (30, 30, 5)
    kept, manifest = prepare_table(pl.concat([frame, again]), "kept", duplicates="keep")
    assert sum(manifest.rows.values()) == ROWS + 30
    assert "may lie in two splits" in Quality.read(kept, QUALITY).warnings[0]


def test_rows_that_differ_in_an_identifier_alone_are_no_duplicates(prepare_table: PrepareTable) -> None:
    frame = pl.DataFrame({"id": range(60), "x": [1.0, 2.0, 3.0] * 20, "y": ["a", "b", "a"] * 20})
    _, manifest = prepare_table(frame, "with")
    assert sum(manifest.rows.values()) == 60
    columns = [{"name": "id", "type": "ignore"}]
    many = pl.concat([frame] * 3).with_columns(x=pl.col("x") + pl.int_range(180) % 30)
    _, manifest = prepare_table(many, "without", columns=columns)
    assert sum(manifest.rows.values()) == many.select("x", "y").n_unique()


@pytest.mark.parametrize(("action", "largest"), [("clip", 12.0), ("missing", 9.0), ("drop", 9.0)])
def test_outliers(prepare_table: PrepareTable, action: str, largest: float) -> None:
    frame = pl.DataFrame({"x": [float(i % 10) for i in range(200)], "z": range(200), "y": ["a", "b"] * 100})
    settings = {"numeric": {"scale": "none"}, "columns": [{"name": "z", "type": "numeric", "outliers": "none"}]}
    plain, _ = prepare_table(frame, "plain", **settings)
    victim = int(load_split(plain, "train").row_id[0])
    wild = frame.with_columns(x=pl.when(pl.int_range(pl.len()) == victim).then(1000.0).otherwise("x"))
    folder, manifest = prepare_table(
        wild, "wild", outliers={"rule": "iqr", "factor": 1.0, "action": action}, **settings
    )
    report = Quality.read(folder, QUALITY)
    outliers = column(folder, "x").outliers
    assert outliers is not None
    assert pl.read_parquet(folder / "train.parquet")["n:x"].max() == pytest.approx(largest, abs=1)
    if action == "drop":
        assert manifest.rows["train"] == 139
        assert [(item.column, item.samples) for item in report.dropped] == [("x", (victim,))]
    else:
        assert (outliers.found, outliers.samples) == (1, (1000.0,))


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        ({"numeric": "median", "indicator": False}, 4.0),
        ({"numeric": "mean", "indicator": False}, 4.5),
        ({"numeric": "constant", "fill_numeric": -1.0, "indicator": False}, -1.0),
    ],
)
def test_missing_numbers_are_filled(prepare_table: PrepareTable, rules: dict[str, object], expected: float) -> None:
    values: list[float | None] = [0.0, 1.0, 4.0, 4.0, 9.0, 9.0, 4.0, None, float("nan"), float("inf")] * 30
    frame = pl.DataFrame({"x": values, "z": range(300), "y": ["a", "b", "c"] * 100})
    folder, _ = prepare_table(
        frame, missing=rules, numeric={"scale": "none"}, columns=[{"name": "z", "type": "numeric"}]
    )
    everything = pl.concat([pl.read_parquet(folder / f"{name}.parquet") for name in SPLITS]).sort("row_id")
    gaps = everything["n:x"].gather([7, 8, 9]).to_list()
    assert gaps == pytest.approx([expected] * 3, abs=0.3)
    assert "n:x?" not in everything.columns
    infinite = next(repair for repair in column(folder, "x").repairs if repair.kind == "infinite")
    assert infinite.rows == 60


def test_rows_with_a_missing_value_can_be_dropped(prepare_table: PrepareTable) -> None:
    frame = messy()
    folder, manifest = prepare_table(frame, columns=[{"name": "price", "missing": "drop"}])
    assert sum(manifest.rows.values()) == ROWS - 40
    dropped = Quality.read(folder, QUALITY).dropped
    assert [(item.column, item.rows) for item in dropped] == [("price", 40)]


def test_categories_have_codes_for_unseen_and_missing(prepare_table: PrepareTable) -> None:
    folder, _ = prepare_table(messy())
    preprocessing = Preprocessing.load(folder / "preprocessing")
    row = messy().head(1)
    colors = ["RED ", "blue", "Green", "violet", None, "?"]
    rows = pl.concat([row.with_columns(color=pl.lit(color, dtype=pl.String)) for color in colors])
    assert preprocessing.transform(rows)["categorical"][:, 0].tolist() == [3, 1, 2, 0, 4, 4]


def test_rare_categories_are_coded_like_unseen_ones(prepare_table: PrepareTable) -> None:
    frame = pl.DataFrame({"c": (["a"] * 10 + ["b"] * 9 + ["c"]) * 10, "x": range(200), "y": ["u", "v"] * 100})
    folder, manifest = prepare_table(frame, categorical={"min_count": 20}, duplicates="keep")
    assert manifest.categories == (3,)
    assert "rare" in column(folder, "c").reason


def test_one_hot(prepare_table: PrepareTable) -> None:
    folder, manifest = prepare_table(messy(), categorical={"encode": "onehot"})
    assert manifest.categories == ()
    assert [tensor.name for tensor in manifest.signature.tensors] == ["numeric"]
    train = pl.read_parquet(folder / "train.parquet")
    hot = train.select("n:color=blue", "n:color=green", "n:color=red", "n:color=?")
    assert hot.sum_horizontal().unique().to_list() == [1.0]
    test = load_split(folder, "test")
    inputs = Preprocessing.load(folder / "preprocessing").transform(pl.read_parquet(folder / RAW_TEST))
    np.testing.assert_array_equal(inputs["numeric"], test.inputs["numeric"])


def test_regression_standardizes_the_target_and_gives_it_back(prepare_table: PrepareTable) -> None:
    random = np.random.default_rng(0)
    frame = pl.DataFrame({"x": random.normal(size=200), "y": [f"{v:,.2f} EUR" for v in random.normal(5000, 900, 200)]})
    folder, manifest = prepare_table(frame, task="regression")
    train = load_split(folder, "train")
    assert train.target.dtype == np.float32
    assert train.target.mean() == pytest.approx(0, abs=1e-6)
    preprocessing = Preprocessing.load(folder / "preprocessing")
    assert isinstance(preprocessing, TabularPreprocessing)
    predictions = preprocessing.outputs({"value": train.target})
    expected = frame["y"].str.replace(" EUR", "").str.replace(",", "").cast(pl.Float64).gather(train.row_id.tolist())
    np.testing.assert_allclose(predictions.values, expected.to_numpy(), rtol=1e-5)
    assert manifest.class_counts == ()
    split = Quality.read(folder, QUALITY).splits[0]
    assert split.target is not None
    assert split.target.mean == pytest.approx(5000, rel=0.1)


def test_typed_columns_need_no_reading(prepare_table: PrepareTable) -> None:
    random = np.random.default_rng(0)
    frame = pl.DataFrame(
        {
            "i": random.integers(0, 100, 200),
            "f": pl.Series(random.normal(size=200)).cast(pl.Float32),
            "b": random.random(200) < 0.5,
            "d": pl.Series(random.integers(0, 20_000, 200)).cast(pl.Int32).cast(pl.Date),
            "t": pl.Series(random.integers(0, 10**15, 200)).cast(pl.Datetime("us", "Europe/Berlin")),
            "c": pl.Series(["a", "b"] * 100, dtype=pl.Categorical),
            "none": pl.Series([None] * 200, dtype=pl.Null),
            "list": [[1, 2]] * 200,
            "y": random.integers(0, 2, 200),
        }
    )
    folder, manifest = prepare_table(frame)
    types = {field.name: (field.type, field.text) for field in manifest.signature.inputs}
    assert types == {
        "i": ("numeric", False),
        "f": ("numeric", False),
        "b": ("boolean", False),
        "d": ("datetime", False),
        "t": ("datetime", False),
        "c": ("categorical", True),
    }
    assert manifest.signature.labels == ("0", "1")
    inputs = Preprocessing.load(folder / "preprocessing").transform(pl.read_parquet(folder / RAW_TEST))
    np.testing.assert_array_equal(inputs["numeric"], load_split(folder, "test").inputs["numeric"])
    assert "n:t.hour_sin" in pl.read_parquet(folder / "train.parquet").columns
    assert "n:d.hour_sin" not in pl.read_parquet(folder / "train.parquet").columns


@pytest.mark.parametrize(("strategy", "by"), [("group", "who"), ("time", "when")])
def test_group_and_time_splits(prepare_table: PrepareTable, strategy: str, by: str) -> None:
    frame = messy().with_columns(who=pl.int_range(pl.len()) // 7)
    folder, manifest = prepare_table(frame, split={"strategy": strategy, "by": by})
    assert by in manifest.signature.ignored
    parts = {name: frame.gather(load_split(folder, name).row_id.tolist()) for name in SPLITS}
    if strategy == "group":
        groups = [set(part["who"]) for part in parts.values()]
        assert not groups[0] & groups[1]
        assert not groups[2] & (groups[0] | groups[1])
    else:
        iso, slashed = (
            pl.col("when").str.to_date("%Y-%m-%d", strict=False),
            pl.col("when").str.to_date("%d/%m/%Y", strict=False),
        )
        times = {name: part.select(pl.coalesce(iso, slashed)).to_series() for name, part in parts.items()}
        assert times["train"].max() < times["validation"].min()  # type: ignore[operator]
        assert times["validation"].max() < times["test"].min()  # type: ignore[operator]
