"""Rows of SQLite and DuckDB files."""

from __future__ import annotations

import sqlite3
from datetime import date
from pathlib import Path

import duckdb
import pytest

from runwright_components.contract.outcome import Reason, StageError
from runwright_components.contract.progress import Event
from tests.unit.collect.conftest import Workplace
from tests.unit.collect.sql.conftest import Reader


@pytest.fixture
def sqlite(workplace: Workplace) -> Reader:
    path = workplace.sources / "shop.db"

    def run(*statements: str) -> None:
        with sqlite3.connect(path) as connection:
            for statement in statements:
                connection.execute(statement)
        connection.close()

    run("CREATE TABLE t (id INTEGER PRIMARY KEY, word)", "INSERT INTO t (word) VALUES ('a'), (NULL), ('c')")
    return Reader(workplace, {"dialect": "sqlite", "path": "shop.db"}, run)


@pytest.fixture
def duck(workplace: Workplace) -> Reader:
    path = workplace.sources / "shop.duckdb"

    def run(*statements: str) -> None:
        with duckdb.connect(str(path)) as connection:
            for statement in statements:
                connection.execute(statement)

    run("CREATE TABLE t AS SELECT range AS id FROM range(10)")
    return Reader(workplace, {"dialect": "duckdb", "path": "shop.duckdb"}, run)


# ---------------------------------------------------------------- SQLite


def test_a_column_of_sqlite_has_the_type_of_all_its_values(sqlite: Reader) -> None:
    """Also where thousands of rows tell nothing of it, or something else."""
    numbers = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3000)"
    late = "CASE WHEN i = 3000 THEN 'late' END AS late"
    mixed = "CASE WHEN i = 3000 THEN 'x' ELSE i END AS mixed, CASE WHEN i = 3000 THEN 0.5 ELSE i END AS number"
    sqlite.statements(f"CREATE TABLE many AS {numbers} SELECT {late}, {mixed}, NULL AS empty, x'00ff' AS bytes FROM n")
    rows = sqlite.rows(table="many")
    assert rows[0] == {"late": None, "mixed": "1", "number": 1.0, "empty": None, "bytes": b"\x00\xff"}
    assert rows[-1] == {"late": "late", "mixed": "x", "number": 0.5, "empty": None, "bytes": b"\x00\xff"}


def test_whole_numbers_among_fractions_are_rounded(sqlite: Reader) -> None:
    sqlite.statements("CREATE TABLE n (x)", "INSERT INTO n VALUES (0.5), (9007199254740993), (NULL), (1)")
    assert [row["x"] for row in sqlite.rows(table="n")] == [0.5, 9007199254740992.0, None, 1.0]


def test_a_sqlite_file_is_unchanged_until_it_is_written(sqlite: Reader) -> None:
    before = sqlite.fingerprint(table="t")
    assert sqlite.rows(table="t", max_rows=2) == [{"id": 1, "word": "a"}, {"id": 2, "word": None}]
    assert sqlite.fingerprint(table="t") == before
    sqlite.statements("CREATE TABLE other (a)")
    assert sqlite.fingerprint(table="t") != before


def test_a_watermark_of_a_file_looks_at_the_table_alone(sqlite: Reader) -> None:
    before = sqlite.fingerprint(table="t", watermark="id")
    sqlite.statements("CREATE TABLE other (a)")
    assert sqlite.fingerprint(table="t", watermark="id") == before
    sqlite.statements("INSERT INTO t (word) VALUES ('d')")
    assert sqlite.fingerprint(table="t", watermark="id") != before


def test_a_watermark_that_is_no_column_is_told(sqlite: Reader) -> None:
    with pytest.raises(StageError) as caught:
        sqlite.fingerprint(table="t", watermark="nope")
    assert "no such column: nope" in caught.value.message


@pytest.mark.parametrize(
    ("sql", "reason", "told"),
    [
        ({"table": "nope"}, Reason.SOURCE_NOT_FOUND, "no such table: nope"),
        ({"query": "SELECT * FROM t ORDER BY"}, Reason.INVALID_CONFIG, "incomplete input"),
        ({"query": "SELECT id AS a, word AS a FROM t"}, Reason.INVALID_CONFIG, 'several columns of one name: "a"'),
        ({"query": "SELECT 1 AS a WHERE 0"}, Reason.DATA_INVALID, "the result has no rows"),
        (
            {"query": "SELECT x'00' AS a UNION ALL SELECT 'b'"},
            Reason.DATA_INVALID,
            "column 'a' holds BLOBs beside values of type text",
        ),
        ({"query": "SELECT CAST(x'ff' AS TEXT) AS a"}, Reason.DATA_INVALID, "Could not decode to UTF-8"),
        ({"query": "WITH a AS (SELECT 1) DELETE FROM t"}, Reason.INVALID_CONFIG, "readonly database"),
        ({"table": "t", "path": "text.db"}, Reason.DATA_UNREADABLE, "file is not a database"),
        ({"table": "t", "path": "ship.db"}, Reason.SOURCE_NOT_FOUND, "ship.db does not exist"),
    ],
)
def test_it_is_told_with_a_cure(sqlite: Reader, sql: dict[str, object], reason: Reason, told: str) -> None:
    sqlite.workplace.write({"text.db": "a text, long enough to be no database" * 10})
    error = sqlite.refusal(**sql)
    assert error.reason is reason
    assert told in error.message
    assert sqlite.rows(query="SELECT count(*) AS n FROM t") == [{"n": 3}]


def test_a_request_to_stop_leaves_nothing(sqlite: Reader) -> None:
    def stop(event: Event) -> None:
        if event.kind == "progress":
            raise StageError(Reason.CANCELLED, "asked to stop", cure="start it again")

    assert sqlite.refusal(table="t", on_event=stop).reason is Reason.CANCELLED


# ---------------------------------------------------------------- DuckDB


def test_duckdb_values_keep_every_digit(duck: Reader) -> None:
    query = """SELECT 170141183460469231731687303715884105727::HUGEINT AS huge, 12.50::DECIMAL(10, 2) AS money,
    date '9999-12-31' AS last, timestamp '1900-01-01' AS moment, [1, NULL] AS list, {'a': 1} AS struct,
    '00000000-0000-0000-0000-000000000001'::UUID AS id, time '12:00' AS clock, 'x'::ENUM('x') AS kind,
    '\\xFF'::BLOB AS bytes, interval 2 days AS span, 18446744073709551615::UBIGINT AS big"""
    (row,) = duck.rows(query=query)
    moment = row.pop("moment")
    assert (moment.year, moment.tzinfo) == (1900, None)
    assert row == {
        "huge": "170141183460469231731687303715884105727",
        "money": "12.50",
        "last": date(9999, 12, 31),
        "list": [1, None],
        "struct": {"a": 1},
        "id": "00000000-0000-0000-0000-000000000001",
        "clock": "12:00:00",
        "kind": "x",
        "bytes": b"\xff",
        "span": "2 days",
        "big": 2**64 - 1,
    }


def test_a_duckdb_table_with_limit_and_signs(duck: Reader) -> None:
    before = duck.fingerprint(table="t")
    assert [row["id"] for row in duck.rows(query="SELECT id FROM t ORDER BY id DESC", max_rows=2)] == [9, 8]
    assert duck.fingerprint(table="t") == before
    assert duck.fingerprint(table="t", watermark="id") != before


@pytest.mark.parametrize(
    ("sql", "reason", "told"),
    [
        ({"table": "nope"}, Reason.SOURCE_NOT_FOUND, "Table with name nope does not exist"),
        ({"query": "SELECT nope FROM t"}, Reason.INVALID_CONFIG, 'Referenced column "nope" not found'),
        ({"query": "SELECT 1 AS a, 2 AS a"}, Reason.INVALID_CONFIG, 'several columns of one name: "a"'),
        ({"query": "SELECT 1 AS a WHERE false"}, Reason.DATA_INVALID, "the result has no rows"),
        ({"query": "SELECT date 'infinity' AS d"}, Reason.DATA_INVALID, "a date of infinity"),
        ({"query": "SELECT CAST('x' AS INT) AS a"}, Reason.DATA_INVALID, "Could not convert string 'x'"),
        (
            {"query": "SELECT * FROM read_csv('/etc/passwd')"},
            Reason.INVALID_CONFIG,
            "file system operations are disabled",
        ),
        ({"table": "t", "path": "text.db"}, Reason.DATA_UNREADABLE, "not a valid DuckDB database file"),
    ],
)
def test_duckdb_tells_with_a_cure(duck: Reader, sql: dict[str, object], reason: Reason, told: str) -> None:
    duck.workplace.write({"text.db": "a text, long enough to be no database" * 10})
    error = duck.refusal(**sql)
    assert error.reason is reason
    assert told in error.message


def test_paths_are_relative_to_the_yaml(sqlite: Reader, tmp_path: Path) -> None:
    folder = sqlite.workplace.sources / "deep"
    folder.mkdir()
    (sqlite.workplace.sources / "shop.db").rename(folder / "a b?.db")
    assert len(sqlite.rows(table="t", path="deep/a b?.db")) == 3
