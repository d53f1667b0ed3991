"""Missing numbers told from other numbers: against scikit-learn, in batch and alone, and in the order of the rows."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from sklearn.experimental import enable_iterative_imputer  # noqa: F401
from sklearn.impute import IterativeImputer, KNNImputer
from sklearn.linear_model import Ridge

from runwright_components.contract.artifacts import QUALITY, RAW_TEST, PreparedManifest
from runwright_components.contract.config import MissingRules
from runwright_components.contract.outcome import Reason, StageError
from runwright_components.features import Preprocessing, load_split
from runwright_components.features.imputation import Chain, Nearest, NearestState, Standard
from runwright_components.features.tabular import NEIGHBOURS, TabularPreprocessing
from runwright_components.prepare.fit_imputation import Order, fill_in_order, fit_chain
from runwright_components.prepare.quality import Quality

PrepareTable = Callable[..., tuple[Path, PreparedManifest]]
NAMES = ("a", "b", "c", "d")


def related(rows: int = 300, seed: int = 0, gaps: float = 0.15) -> np.ndarray[Any, Any]:
    """Columns that tell of each other [rows, 4], with gaps."""
    random = np.random.default_rng(seed)
    base = random.normal(size=(rows, 2))
    values = np.column_stack([base, base @ [[1.0], [2.0]], base[:, :1] * 3 + random.normal(0, 0.1, (rows, 1))])
    values[random.random(values.shape) < gaps] = np.nan
    return values


def standard(values: np.ndarray[Any, Any]) -> tuple[Standard, np.ndarray[Any, Any]]:
    center, spread = np.nanmean(values, axis=0), np.nanstd(values, axis=0)
    state = Standard(inputs=NAMES, filled=NAMES, center=tuple(center.tolist()), spread=tuple(spread.tolist()))
    return state, ((values - center) / spread).T


def table(rows: int = 300) -> pl.DataFrame:
    values = related(rows)
    return pl.DataFrame(values, schema=list(NAMES)).fill_nan(None).with_columns(y=pl.Series(["n", "p"] * (rows // 2)))


def test_the_nearest_rows_fill_as_in_scikit_learn() -> None:
    train, other = related(200), related(80, seed=1, gaps=0.4)
    state, reference = standard(train)
    center, spread = np.array(state.center), np.array(state.spread)
    theirs = KNNImputer(n_neighbors=5).fit(reference.T).transform((other - center) / spread) * spread + center
    known = np.isfinite(other.T)
    # Rows without any value have no distance; scikit-learn gives them the mean, here what stood there stays.
    ours = np.where(known, other.T, center[:, None])
    Nearest(NearestState(**dict(state), neighbours=5), reference, list(NAMES)).fill(ours, known)
    np.testing.assert_allclose(ours.T, theirs, rtol=0, atol=1e-9)


def test_chained_regressions_fill_as_in_scikit_learn() -> None:
    train, other = related(200), related(80, seed=1, gaps=0.4)
    state, scaled = standard(train)
    center, spread = np.array(state.center), np.array(state.spread)
    theirs = IterativeImputer(
        Ridge(alpha=1.0), max_iter=3, tol=0, min_value=np.nanmin(scaled, axis=1), max_value=np.nanmax(scaled, axis=1)
    )
    with pytest.warns(UserWarning, match="stopping criterion"):
        theirs.fit(scaled.T)
    fitted = fit_chain(scaled, state, MissingRules(rounds=3))
    assert len(fitted.steps) == 3 * len(NAMES)
    known = np.isfinite(other.T)
    ours = np.where(known, other.T, 0.0)
    Chain(fitted, list(NAMES)).fill(ours, known)
    wanted = theirs.transform((other - center) / spread) * spread + center
    np.testing.assert_allclose(ours.T, wanted, rtol=0, atol=1e-6)


@pytest.mark.parametrize("strategy", ["nearest", "iterative"])
def test_a_served_row_is_filled_as_the_batch_is(prepare_table: PrepareTable, strategy: str) -> None:
    frame = table()
    folder, _ = prepare_table(frame, missing={"numeric": strategy, "sample": 100})
    preprocessing, test = Preprocessing.load(folder / "preprocessing"), load_split(folder, "test")
    raw = pl.read_parquet(folder / RAW_TEST)
    np.testing.assert_array_equal(preprocessing.transform(raw)["numeric"], test.inputs["numeric"])
    for row in range(len(raw)):
        alone = preprocessing.transform(raw.slice(row, 1))["numeric"]
        assert alone.tobytes() == test.inputs["numeric"][row : row + 1].tobytes()
    assert (folder / "preprocessing" / NEIGHBOURS).exists() == (strategy == "nearest")
    report = next(column for column in Quality.read(folder, QUALITY).columns if column.name == "c")
    assert report.imputation is not None
    assert report.imputation.strategy == strategy
    assert report.imputation.value is None
    assert report.imputation.indicator
    assert report.after is not None
    assert report.after.missing == 0


def test_what_other_columns_tell_is_nearer_than_the_median(prepare_table: PrepareTable) -> None:
    whole = related(gaps=0.0)
    holes = related()

    def error(strategy: str) -> float:
        frame = pl.DataFrame(holes, schema=list(NAMES)).fill_nan(None).with_columns(y=pl.Series(["n", "p"] * 150))
        folder, _ = prepare_table(frame, strategy, missing={"numeric": strategy, "indicator": False})
        state = TabularPreprocessing.read(folder / "preprocessing").state
        test = load_split(folder, "test")
        offset = np.array([item.offset for item in state.numeric])
        scale = np.array([item.scale for item in state.numeric])
        filled = test.inputs["numeric"] * scale + offset
        gaps = np.isnan(holes[test.row_id])
        return float(np.abs(filled - whole[test.row_id])[gaps].mean())

    median = error("median")
    assert error("nearest") < 0.7 * median
    assert error("iterative") < 0.7 * median


def test_one_column_may_be_filled_in_another_way(prepare_table: PrepareTable) -> None:
    folder, _ = prepare_table(table(), columns=[{"name": "a", "missing": "iterative"}])
    state = TabularPreprocessing.read(folder / "preprocessing").state
    assert state.chain is not None
    assert state.chain.filled == ("a",)
    assert state.chain.inputs == NAMES
    assert state.nearest is None


@pytest.mark.parametrize(
    ("strategy", "wanted", "served"),
    [
        ("forward", [np.nan, 2, 2, 2, 5, 5], 5),
        ("backward", [2, 2, 5, 5, 5, np.nan], 5),
        ("interpolate", [2, 2, 3, 4, 5, 5], 5),
    ],
)
def test_gaps_are_filled_in_the_order_of_the_rows(strategy: str, wanted: list[float], served: float) -> None:
    # In the table the rows stand backwards.
    values = np.array([np.nan, 5, np.nan, np.nan, 2, np.nan])
    order = Order(rows=np.arange(6)[::-1], times=np.arange(6.0))
    known = np.isfinite(values)
    gaps = fill_in_order(strategy, values, known, order)
    assert gaps is not None
    filled = np.where(known, values, gaps.of(np.arange(6)))
    np.testing.assert_array_equal(filled[::-1], wanted)
    assert order.last(values, known) == served


def test_only_the_training_split_is_filled_in_its_order(prepare_table: PrepareTable) -> None:
    rows = 60
    values = [None if i % 3 == 1 else float(i) for i in range(rows)]
    frame = pl.DataFrame({"t": range(rows), "x": values, "z": np.sin(np.arange(rows)), "y": ["n", "p"] * (rows // 2)})
    folder, manifest = prepare_table(
        frame, split={"strategy": "time", "by": "t"}, missing={"numeric": "forward", "indicator": False}
    )
    item = TabularPreprocessing.read(folder / "preprocessing").state.numeric[0]
    train, test = load_split(folder, "train"), load_split(folder, "test")
    filled = train.inputs["numeric"][:, 0] * item.scale + item.offset
    np.testing.assert_allclose(filled, [float(i - (i % 3 == 1)) for i in train.row_id], atol=1e-4)
    assert item.fill == float(max(i for i in train.row_id if i % 3 != 1))
    served = test.inputs["numeric"][:, 0] * item.scale + item.offset
    np.testing.assert_allclose(served, [item.fill if i % 3 == 1 else i for i in test.row_id], atol=1e-4)
    assert "t" in manifest.signature.ignored


def test_order_by_orders_rows_that_are_split_at_random(prepare_table: PrepareTable) -> None:
    frame = table().with_columns(day=pl.date_range(pl.date(2020, 1, 1), pl.date(2020, 10, 26), "1d"))
    folder, manifest = prepare_table(frame, missing={"numeric": "interpolate", "order_by": "day"})
    assert np.isfinite(load_split(folder, "train").inputs["numeric"]).all()
    assert "day" in manifest.signature.ignored
    reports = {column.name: column for column in Quality.read(folder, QUALITY).columns}
    assert reports["day"].reason == "orders the rows"


@pytest.mark.parametrize(
    ("config", "where", "words"),
    [
        ({"columns": [{"name": "w", "missing": "nearest"}]}, "column w", "is for numbers, column 'w' is categorical"),
        ({"missing": {"order_by": "when"}}, "prepare.missing.orderBy", "no column 'when' to order the rows by"),
    ],
)
def test_what_cannot_be_filled_is_refused(
    prepare_table: PrepareTable, config: dict[str, Any], where: str, words: str
) -> None:
    frame = table().with_columns(w=pl.Series(["u", "v", None] * 100))
    with pytest.raises(StageError, match=words) as caught:
        prepare_table(frame, **config)
    assert caught.value.reason == Reason.INVALID_CONFIG
    assert caught.value.where == where


def test_damaged_neighbours_are_told(prepare_table: PrepareTable) -> None:
    folder, _ = prepare_table(table(), missing={"numeric": "nearest"})
    (folder / "preprocessing" / NEIGHBOURS).write_bytes(b"x")
    with pytest.raises(StageError, match=r"neighbours.npy cannot be read"):
        Preprocessing.load(folder / "preprocessing")
