"""`prepare.windows`: each row's past by entity and time, the same in a table and in a request with its history."""

import random
import statistics
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from runwright_components.contract.artifacts import PREPROCESSING, RAW_TEST, PreparedManifest
from runwright_components.contract.outcome import StageError
from runwright_components.features.tabular_state import ISO_FORMATS
from runwright_components.features.windows import Windows
from runwright_components.serve.histories import Histories
from runwright_components.serve.request_error import Limits, RequestError

PrepareTable = Callable[..., tuple[Path, PreparedManifest]]
ROWS = 150
FUNCTIONS = ["mean", "min", "max", "std", "count"]
RULES = {
    "by": ["shop", "kind"],
    "order": "day",
    "columns": ["amount"],
    "lags": [1, 3],
    "rolling": [{"window": 4, "functions": FUNCTIONS}],
}
WINDOWS = Windows.model_validate(
    {
        **RULES,
        "order": {"name": "day", "type": "datetime", "text": True, "formats": ["%d.%m.%Y", *ISO_FORMATS]},
        "columns": [{"name": "amount", "type": "numeric", "text": True, "notation": {"decimal": ","}}],
        "words": {"fold_case": True},
    }
)
SETTINGS: dict[str, Any] = {
    "task": "regression", "target": "amount", "duplicates": "keep", "windows": RULES,
    "split": {"strategy": "time", "by": "day"},
}  # fmt: skip


def table() -> pl.DataFrame:
    """Sales in no order, several on one day, a shop missing; numbers and dates in their notations."""
    chance = random.Random(0)
    days = [date(2024, 1, 1) + timedelta(days=chance.randrange(60)) for _ in range(ROWS)]
    amounts = [f"{chance.randrange(10_000) / 100:.2f}".replace(".", ",") for _ in range(ROWS)]
    return pl.DataFrame(
        {
            "shop": [None if i == 5 else chance.choice(["North", "north ", "South"]) for i in range(ROWS)],
            "kind": [chance.choice([1, 2]) for _ in range(ROWS)],
            "day": [f"{day:%d.%m.%Y}" for day in days],
            "amount": amounts,
            "size": [float(chance.randrange(5)) for _ in range(ROWS)],
        }
    )


def past(rows: pl.DataFrame, number: int) -> list[float]:
    """The earlier amounts of a row's entity, the newest first, by plain Python."""

    def entity(row: dict[str, Any]) -> tuple[Any, Any]:
        return (row["shop"] and row["shop"].strip().lower(), row["kind"])

    def day(row: dict[str, Any]) -> list[int]:
        return [int(part) for part in reversed(row["day"].split("."))]

    listed = rows.to_dicts()
    own = listed[number]
    if own["shop"] is None:
        return []
    before = [row for row in listed if entity(row) == entity(own) and day(row) < day(own)]
    before.sort(key=day)
    return [float(row["amount"].replace(",", ".")) for row in reversed(before)]


def test_every_row_has_its_past_and_nothing_else(prepare_table: PrepareTable) -> None:
    folder, manifest = prepare_table(table(), **SETTINGS)
    windows = Windows.beside(folder / PREPROCESSING)
    assert windows is not None
    assert windows.names == ("amount_lag_1", "amount_lag_3", *(f"amount_{name}_4" for name in FUNCTIONS))
    assert set(windows.names) < {field.name for field in manifest.signature.inputs}
    made = windows.of(table())
    for number, row in enumerate(made.iter_rows(named=True)):
        earlier = past(table(), number)
        last = earlier[:4]
        expected = {
            "amount_lag_1": earlier[0] if earlier else None,
            "amount_lag_3": earlier[2] if len(earlier) > 2 else None,
            "amount_mean_4": statistics.fmean(last) if last else None,
            "amount_min_4": min(last, default=None),
            "amount_max_4": max(last, default=None),
            "amount_std_4": statistics.stdev(last) if len(last) > 1 else None,
            "amount_count_4": None if table()["shop"][number] is None else float(len(last)),
        }
        assert row == {name: pytest.approx(value) if value is not None else None for name, value in expected.items()}
    test = pl.read_parquet(folder / RAW_TEST)
    assert test.select(windows.names).equals(made[test["row_id"]])


def test_a_request_with_its_history_has_the_bits_of_the_batch() -> None:
    histories, rows = Histories(WINDOWS, Limits()), table().to_dicts()
    made = WINDOWS.of(table()).to_dicts()

    def entity(row: dict[str, Any]) -> tuple[Any, Any]:
        return (row["shop"].strip().lower(), row["kind"])

    requests, expected = [], []
    for number, row in enumerate(rows):
        if row["shop"] is not None:
            others = [each for each in rows if each["shop"] is not None and entity(each) == entity(row)]
            requests.append({"size": row["size"], "day": row["day"], "history": others})
            expected.append({**made[number], "size": row["size"], "day": row["day"]})
    assert histories.fill(requests) == expected


def test_rows_in_quarantine_are_nobodys_past(prepare_table: PrepareTable) -> None:
    rules = [{"column": "size", "range": {"max": 3}, "on_failure": "quarantine"}]
    folder, _ = prepare_table(table(), **SETTINGS, expectations=rules)
    windows = Windows.beside(folder / PREPROCESSING)
    assert windows is not None
    usable = (table()["size"] <= 3).to_numpy()
    expected = windows.of(table(), usable)
    test = pl.read_parquet(folder / RAW_TEST)
    assert test.select(windows.names).equals(expected[test["row_id"]])
    alone = windows.of(table().filter(pl.Series(usable)))
    assert expected.filter(pl.Series(usable)).equals(alone)


def test_a_row_without_a_time_has_all_of_its_history_behind_it() -> None:
    history = [{"day": "2024-02-01", "amount": "2,5"}, {"day": "2024-01-01", "amount": None}]
    [row] = Histories(WINDOWS, Limits()).fill([{"size": 1.0, "history": history}])
    assert (row["amount_lag_1"], row["amount_lag_3"], row["amount_count_4"]) == (2.5, None, 1.0)
    untouched = [{"size": 1.0}]
    assert Histories(WINDOWS, Limits()).fill(untouched) == untouched


WRONG: dict[str, tuple[Any, str]] = {
    "no list": ({"day": "2024-01-01"}, "expected a list of rows"),
    "no rows": ([3], "expected a list of rows"),
    "no time": ([{"amount": "1"}], "has no 'day'"),
    "no number": ([{"day": "2024-01-01", "amount": "many"}], "'many' does not read as numeric"),
    "no date": ([{"day": "soon", "amount": "1"}], "'soon' does not read as datetime"),
    "mixed": ([{"day": "2024-01-01", "amount": "1"}, {"day": "2024-01-01", "amount": 2}], "neither all numbers"),
    "too many": ([{"day": "2024-01-01", "amount": "1"}] * 11, "more than 10"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_history_is_refused_with_its_place(name: str) -> None:
    history, message = WRONG[name]
    with pytest.raises(RequestError, match=message) as caught:
        Histories(WINDOWS, Limits(rows=10)).fill([{"size": 1.0}, {"size": 1.0, "history": history}])
    assert caught.value.where == "instances[1].history"


REFUSED: dict[str, tuple[pl.DataFrame, dict[str, Any], str]] = {
    "no such column": (table(), {"columns": ["price"]}, "no column 'price'"),
    "no numbers": (table().with_columns(word=pl.lit("a b c")), {"columns": ["word"]}, "cannot be read as numeric"),
    "no times": (table().with_columns(day=pl.lit("soon")), {}, "cannot be read as datetime, such as 'soon' in row 0"),
    "a name that is taken": (table().with_columns(amount_lag_1=1.0), {}, "'amount_lag_1' is reserved"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_looked_back_at_is_refused(name: str, prepare_table: PrepareTable) -> None:
    frame, rules, message = REFUSED[name]
    with pytest.raises(StageError) as caught:
        prepare_table(frame, **{**SETTINGS, "windows": {**RULES, **rules}, "target": "size"})
    assert message in caught.value.message
    assert caught.value.cure


def test_large_numbers_leave_no_infinity() -> None:
    huge = {"amount": np.array([1e308, 1.7e308, 1.0])}
    made = WINDOWS.looked_back(np.arange(3.0), np.zeros(3, dtype=np.uint64), np.ones(3, dtype=np.bool_), huge)
    assert made.row(2, named=True)["amount_mean_4"] is None
