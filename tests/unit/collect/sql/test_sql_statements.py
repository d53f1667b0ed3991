"""The statements that go to databases: one SELECT, names as they are written, and parts that share all rows out."""

from __future__ import annotations

import math
import sqlite3
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest

from runwright_components.collect.sql.statements import bounds, parts, quoted, select, watermark, within
from runwright_components.contract.config.sql import SqlConfig, SqlDialect
from runwright_components.contract.outcome import Reason, StageError


def given(query: str, dialect: SqlDialect = "postgresql") -> str:
    return select(SqlConfig(dialect=dialect, query=query), "shop")


@pytest.mark.parametrize(
    ("dialect", "query"),
    [
        ("postgresql", "SELECT 1"),
        ("postgresql", "(select 1) union all (select 2)"),
        ("postgresql", "WITH a AS (SELECT 1) SELECT * FROM a"),
        ("postgresql", "-- what is sold;\nSELECT ';' AS a, \"b;\" FROM t /* ; into */"),
        ("postgresql", "SELECT $x$ ; INTO $x$, E'it\\'s; into', 'it''s; into'"),
        ("mysql", "SELECT 'it\\'s; into' # ; INTO\n, `into;`, \"a;\" FROM t"),
        ("sqlite", "SELECT [into;] FROM t"),
        ("duckdb", "SELECT 'a;b'"),
    ],
)
def test_one_select_passes_as_it_is(dialect: SqlDialect, query: str) -> None:
    assert given(query, dialect) == query


def test_semicolons_at_the_end_are_taken_away() -> None:
    assert given("SELECT 1 ;; \n") == "SELECT 1"


@pytest.mark.parametrize(
    ("dialect", "query", "told"),
    [
        ("postgresql", "DELETE FROM t", "it begins with DELETE"),
        ("postgresql", "/* a SELECT */ drop table t", "it begins with DROP"),
        ("postgresql", "COPY t TO PROGRAM 'cat'", "it begins with COPY"),
        ("postgresql", "SELECT 1; DROP TABLE t", "there are several, parted by ';'"),
        ("postgresql", "SELECT 1) AS x; DROP TABLE t; SELECT * FROM (SELECT 2", "there are several, parted by ';'"),
        ("postgresql", "SELECT * INTO copy FROM t", "INTO writes"),
        ("postgresql", " -- nothing", "it is empty"),
        ("mysql", "SELECT 1 INTO OUTFILE '/tmp/x'", "INTO writes"),
        ("mysql", "SELECT 5--1 INTO OUTFILE '/tmp/x'", "INTO writes"),
        ("mysql", "SELECT 1 /*!50000 INTO OUTFILE '/tmp/x' */", "a comment that MySQL runs"),
        ("mysql", "SELECT 1 /*M! INTO OUTFILE '/tmp/x' */", "a comment that MySQL runs"),
        ("sqlite", "ATTACH 'other.db' AS other", "it begins with ATTACH"),
        ("duckdb", "COPY t TO 'x.csv'", "it begins with COPY"),
    ],
)
def test_what_is_not_one_select_is_refused_before_it_is_sent(dialect: SqlDialect, query: str, told: str) -> None:
    with pytest.raises(StageError) as caught:
        given(query, dialect)
    assert caught.value.reason is Reason.INVALID_CONFIG
    assert told in caught.value.message
    assert caught.value.where == "shop, sql.query"
    assert "WITH ... SELECT" in caught.value.cure


def test_names_are_quoted() -> None:
    assert quoted(["shop", 'odd"name'], "postgresql") == '"shop"."odd""name"'
    assert quoted(["odd`name"], "mysql") == "`odd``name`"
    assert select(SqlConfig(dialect="mysql", table="shop.orders"), "a") == "SELECT * FROM `shop`.`orders`"


def test_a_comment_at_the_end_swallows_nothing() -> None:
    assert within("SELECT 1 -- one", condition="a < 1").splitlines()[-1] == ") AS source_rows WHERE a < 1"


def test_bounds_and_watermark_are_one_row() -> None:
    assert bounds("SELECT 1", "a", "postgresql").startswith('SELECT min("a") AS low, max("a") AS high FROM')
    assert "CAST(max(`a`) AS char) AS high, count(*)" in watermark("SELECT 1", "a", "mysql")


@pytest.mark.parametrize(
    ("low", "high", "number"), [(0, 9, 3), (-5, 5, 4), (3, 3, 4), (0, 1, 7), (0.0, 1.0, 3), ("0.5", "8.25", 3)]
)
def test_each_row_is_in_exactly_one_part(low: Any, high: Any, number: int) -> None:
    database = sqlite3.connect(":memory:")
    database.execute("CREATE TABLE t (a)")
    values = [None, None, *range(-20, 21), *(0.5 + x for x in range(-20, 20))]
    database.executemany("INSERT INTO t VALUES (?)", [(value,) for value in values])
    found: list[Any] = []
    selects = parts("SELECT * FROM t", "a", low, high, number, "sqlite")
    assert len(selects) <= number
    for one in selects:
        found += [value for (value,) in database.execute(one)]
    assert sorted(found, key=str) == sorted(values, key=str)


def test_parts_of_integers_beyond_floats_are_exact() -> None:
    low = 2**62
    first, second = parts("SELECT 1", "a", low, low + 3, 2, "postgresql")
    assert f'"a" < {low + 1} OR' in first
    assert f'"a" >= {low + 1}' in second


def test_parts_of_dates_and_times() -> None:
    _, second = parts("SELECT 1", "d", date(2020, 1, 1), date(2020, 1, 5), 2, "mysql")
    assert second.endswith("`d` >= DATE '2020-01-03'")
    low, high = datetime(2020, 1, 1, tzinfo=UTC), datetime(2020, 1, 2, tzinfo=UTC)
    assert parts("SELECT 1", "d", low, high, 2, "postgresql")[1].endswith("TIMESTAMPTZ '2020-01-01 12:00:00+00'")
    assert parts("SELECT 1", "d", low, high, 2, "mysql")[1].endswith("TIMESTAMP '2020-01-01 12:00:00'")


def test_a_column_without_values_is_one_part() -> None:
    assert parts("SELECT 1", "a", None, None, 4, "postgresql") == ["SELECT 1"]


@pytest.mark.parametrize("value", [True, "word", math.nan, math.inf, Decimal("NaN"), b"x"])
def test_other_values_are_no_bounds(value: Any) -> None:
    with pytest.raises(ValueError):
        parts("SELECT 1", "a", value, value, 2, "postgresql")
