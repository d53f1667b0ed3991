"""Series are read, checked and cut by time; what cannot be forecast is refused with words that help."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from runwright_components.contract.artifacts import QUALITY, PreparedManifest
from runwright_components.contract.config import SPLITS
from runwright_components.contract.outcome import StageError
from runwright_components.features.preprocessing import Preprocessing
from runwright_components.features.series import SeriesPreprocessing
from runwright_components.features.series_windows import OBSERVED, SCALE, VALUES, Windows
from runwright_components.prepare.quality import Quality
from tests.unit.series.conftest import CONTEXT, DAY, HORIZON, Prepare, table


def test_a_window_belongs_to_the_split_of_what_it_foretells(prepared: Path) -> None:
    """160 steps: the first 112 are training, the last 24 the test."""
    manifest = PreparedManifest.read(prepared)
    places = {}
    for name in SPLITS:
        windows = Windows(prepared, name)
        series, first = windows.runs.at(np.arange(len(windows)))
        places[name] = first[series == 1] - 160
        assert manifest.rows[name] == len(windows)
    assert places["train"].tolist() == list(range(CONTEXT, 112 - HORIZON + 1))
    assert places["validation"].tolist() == list(range(112, 136 - HORIZON + 1))
    assert places["test"].tolist() == list(range(136, 160 - HORIZON + 1))


def test_windows_are_cut_from_the_values_of_one_series(prepared: Path) -> None:
    sales = table()["sales"].to_numpy()
    windows = Windows(prepared, "train")
    history, truth = windows.take(np.array([0, len(windows) - 1]))
    assert history[0].tolist() == sales[:CONTEXT].tolist()
    assert truth[0].tolist() == sales[CONTEXT : CONTEXT + HORIZON].tolist()
    assert truth[1].tolist() == sales[160 + 112 - HORIZON : 160 + 112].tolist()
    assert (prepared / VALUES).stat().st_size == 8 * len(sales), "windows take no room of their own"
    assert not (prepared / OBSERVED).exists()


def test_the_test_split_holds_requests_and_their_truth(prepared: Path) -> None:
    asked, truth = pl.read_parquet(prepared / "test.raw.parquet"), pl.read_parquet(prepared / "test.parquet")
    history, ahead = Windows(prepared, "test").take(np.arange(len(asked)))
    assert np.array_equal(asked["sales"].to_numpy(), history)
    assert np.array_equal(truth["target"].to_numpy(), ahead)
    assert str(asked["time"][0]) == "2024-01-17 21:00:00", "the stamp of the last value that is seen"
    learned = table()["sales"].to_numpy()[:112]
    assert truth[SCALE][0] == pytest.approx(np.abs(learned[DAY:] - learned[:-DAY]).mean())


def test_what_is_not_given_is_told_by_the_data(prepared_of: Prepare) -> None:
    folder = prepared_of(table().rename({"time": "when"}), series={"time": "when", "context": None})
    preprocessing = Preprocessing.load(folder / "preprocessing")
    assert isinstance(preprocessing, SeriesPreprocessing)
    state = preprocessing.state
    assert (state.frequency, state.season, state.context) == ("3h", DAY, 2 * DAY)
    assert preprocessing.signature.ignored == ("shop",)


def test_the_order_of_the_rows_does_not_matter(prepared: Path, prepared_of: Prepare) -> None:
    folder = prepared_of(table().sample(fraction=1.0, shuffle=True, seed=1))
    assert (folder / VALUES).read_bytes() == (prepared / VALUES).read_bytes()


def test_gaps_are_filled_and_not_judged(prepared_of: Prepare) -> None:
    rows = table().with_row_index()
    gap = rows.with_columns(pl.when(pl.col("index") == 158).then(None).otherwise(pl.col("sales")).alias("sales"))
    folder = prepared_of(gap.filter(pl.col("index") != 40).drop("index"), series={"gaps": "forward"})
    values = np.fromfile(folder / VALUES)
    assert values[40] == values[39]
    observed = np.fromfile(folder / OBSERVED, dtype=np.uint8)
    assert np.flatnonzero(observed == 0).tolist() == [40, 158]
    last_of_north = pl.read_parquet(folder / "test.parquet")["target"].to_numpy()[20]
    assert np.isnan(last_of_north).tolist() == [False, False, True, False]
    assert any("2 steps" in warning for warning in Quality.read(folder, QUALITY).warnings)


def test_rows_that_repeat_are_dropped(prepared_of: Prepare) -> None:
    folder = prepared_of(pl.concat([table(), table().head(3)]))
    assert Quality.read(folder, QUALITY).duplicates.dropped == 3


def test_typed_stamps_and_numbers_are_read(prepared: Path, prepared_of: Prepare) -> None:
    typed = table().with_columns(pl.col("time").str.to_datetime("%Y-%m-%d %H:%M"))
    assert (prepared_of(typed) / VALUES).read_bytes() == (prepared / VALUES).read_bytes()


def without(rows: pl.DataFrame, number: int) -> pl.DataFrame:
    return rows.filter(pl.int_range(pl.len()) != number)


def at(number: int, value: pl.Expr, others: pl.Expr) -> pl.Expr:
    """A column with another value in one row."""
    return pl.when(pl.int_range(pl.len()) == number).then(value).otherwise(others)


TABLE = table()
REFUSED = [
    ("no time", TABLE.drop("time"), {}, "no column 'time'", "name one of the columns: shop, sales"),
    ("no key", TABLE.drop("shop"), {}, "no column 'shop'", "name one of the columns"),
    ("no dates", TABLE.with_columns(time=pl.lit("soon")), {}, "holds no dates; it begins with 'soon'", "dateFormats"),
    ("codes", TABLE.with_columns(time=pl.int_range(pl.len())), {}, "holds no dates", "name the column"),
    ("words", TABLE.with_columns(sales=pl.lit("many")), {}, "'sales' is not numeric", "name the column of the values"),
    (
        "a word",
        TABLE.with_columns(sales=at(7, pl.lit("x"), pl.col("sales").cast(pl.String))),
        {},
        "1 of 320 values of column 'sales' are not a finite number; the first is 'x' in row 7",
        "mend these rows",
    ),
    (
        "no stamp",
        TABLE.with_columns(time=at(7, pl.lit(None), pl.col("time"))),
        {},
        "the first is None in row 7",
        "mend these rows",
    ),
    ("one series of two", TABLE, {"by": []}, "has two values at 2024-01-01", "name every column that tells"),
    ("a gap", without(TABLE, 9), {}, "north has no value between 2024-01-02 and 2024-01-02T06", "gaps: forward"),
    ("off the step", TABLE, {"frequency": "2h"}, "no whole number of steps of 2h", "give the frequency"),
    ("too fine a step", TABLE, {"frequency": "1s", "gaps": "forward"}, "values stand for", "give the frequency"),
    ("one row a series", TABLE.unique("shop"), {}, "the frequency is not known", "give it, for example 1h"),
    ("short", TABLE.group_by("shop").head(19), {}, "the longest series has 19 steps", "lower context or horizon"),
    ("no test", TABLE.group_by("shop").head(21), {}, "the train split, 70% of the time, has no whole window", "larger"),
    ("long season", TABLE, {"season": 17}, "a season of 17 steps does not fit into a context of 16", "set it to 17"),
    ("nothing", TABLE.with_columns(sales=pl.lit(None, dtype=pl.Float64)), {}, "no row has a value", "name the column"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("rows", "series", "words", "cure"), [case[1:] for case in REFUSED], ids=[case[0] for case in REFUSED]
)
def test_what_cannot_be_forecast_is_refused(
    prepared_of: Prepare, rows: pl.DataFrame, series: dict[str, object], words: str, cure: str
) -> None:
    with pytest.raises(StageError) as caught:
        prepared_of(rows, series=series)
    assert words in caught.value.message
    assert cure in str(caught.value.cure)
