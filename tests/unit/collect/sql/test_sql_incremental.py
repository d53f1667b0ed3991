"""Rows beyond a cursor alone are read, from real databases, and all rows are those of a full read."""

from __future__ import annotations

import re
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import adbc_driver_postgresql.dbapi
import duckdb
import polars as pl
import pytest

from runwright_components.collect import collect
from runwright_components.collect.read_before import Mark
from runwright_components.collect.sql.cursor import mark_of, up_to
from runwright_components.collect.sql.database import RowsError
from runwright_components.contract.config import CollectConfig, Source
from runwright_components.contract.config.sql import SqlDialect
from runwright_components.contract.outcome import Reason, StageError
from runwright_components.contract.progress import Event, Progress
from tests.unit.collect.conftest import Workplace
from tests.unit.collect.sql.conftest import Reader

COLUMNS = "id, word, day, moment, price"
ROWS = (
    "(1, 'a', '2026-01-01', '2026-01-01 10:00:00.000001', 1.5)",
    "(2, 'b\\', '2026-01-02', '2026-01-02 10:00:00.000001', 10.25)",
)
NEW = (
    "(3, 'c''; --', '2026-01-03', '2026-01-02 10:00:00.000002', 10.26)",
    "(4, 'ß😀', '2026-01-04', '2026-01-04 10:00:00', 100)",
)


class Revisions:
    """Reads a database again and again, each time on from the time before."""

    def __init__(self, workplace: Workplace, cursor: str, **sql: Any) -> None:
        source = {"name": "shop", "uri": "sql://shop", "sql": sql, "incremental": {"cursor": cursor}}
        self.config = CollectConfig(sources=(Source.model_validate(source),), base=str(workplace.sources))
        self.root = workplace.out.parent
        self.number = 0
        self.former: Path | None = None

    def collect(self, former: Path | None) -> pl.DataFrame:
        self.number += 1
        self.events: list[Event] = []
        out = self.root / f"raw-{self.number}"
        manifest = collect(self.config, out=out, progress=Progress("collect", self.events.append), former=former)
        self.former, self.digest = out, manifest.digest
        return pl.read_parquet(out / "data" / "*.parquet")

    def next(self) -> str:
        """The next revision, which must have the rows of a full read; what it said."""
        former = self.former
        full = self.collect(None)
        read = self.collect(former)
        assert read.equals(full, null_equal=True)
        return " ".join(event.message for event in self.events if event.kind in ("note", "warning"))


def insert(rows: tuple[str, ...]) -> str:
    return f"INSERT INTO orders ({COLUMNS}) VALUES {', '.join(rows)}"


def goes_on(revisions: Revisions, run: Callable[..., None]) -> None:
    assert revisions.next() == ""
    digest = revisions.digest
    assert revisions.next() == "shop: 0 rows are new, 2 were read before"
    assert revisions.digest == digest, "nothing new is nothing new for the stages that follow"
    run(insert(NEW))
    assert revisions.next() == "shop: 2 rows are new, 2 were read before"
    assert revisions.next() == "shop: 0 rows are new, 4 were read before"


@pytest.mark.parametrize("cursor", ["word", "day", "moment", "price"])
def test_postgresql(postgresql: Reader, cursor: str) -> None:
    postgresql.statements(
        'CREATE TABLE orders (id int8, word text COLLATE "C", day date, moment timestamptz, price numeric(9, 3))',
        insert(ROWS),
    )
    revisions = Revisions(postgresql.workplace, cursor, dialect="postgresql", table="orders")
    goes_on(revisions, postgresql.statements)


@pytest.mark.parametrize("cursor", ["word", "moment", "price"])
def test_mysql(mysql: Reader, cursor: str) -> None:
    mysql.statements(
        "CREATE TABLE orders (id bigint, word varchar(20) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin, day date,"
        " moment timestamp(6), price decimal(9, 3))",
        insert(tuple(row.replace("\\", "\\\\") for row in ROWS)),
    )
    goes_on(Revisions(mysql.workplace, cursor, dialect="mysql", table="orders"), mysql.statements)


@pytest.mark.parametrize("cursor", ["word", "moment", "price"])
def test_duckdb(workplace: Workplace, cursor: str) -> None:
    def run(*statements: str) -> None:
        with duckdb.connect(str(workplace.sources / "shop.db")) as connection:
            for statement in statements:
                connection.execute(statement)

    columns = "id bigint, word varchar, day date, moment timestamptz, price decimal(9, 3)"
    run("SET TimeZone = 'Asia/Tokyo'", f"CREATE TABLE orders ({columns})", insert(ROWS))
    goes_on(Revisions(workplace, cursor, dialect="duckdb", table="orders", path="shop.db"), run)


@pytest.mark.parametrize("cursor", ["id", "word"])
def test_sqlite(workplace: Workplace, cursor: str) -> None:
    def run(*statements: str) -> None:
        with sqlite3.connect(workplace.sources / "shop.db") as connection:
            for statement in statements:
                connection.execute(statement)
        connection.close()

    run("CREATE TABLE orders (id integer, word text, day text, moment text, price real)", insert(ROWS))
    goes_on(Revisions(workplace, cursor, dialect="sqlite", table="orders", path="shop.db"), run)


def read_by(postgresql: Reader) -> int:
    """The rows that the server has read of its tables; the figures of a connection come soon after its end."""
    query = "SELECT coalesce(sum(seq_tup_read + idx_tup_fetch), 0)::int8 FROM pg_stat_user_tables"
    found = -1
    while True:
        with (
            adbc_driver_postgresql.dbapi.connect(postgresql.address, autocommit=True) as connection,
            connection.execute(query) as cursor,
        ):
            before, (found,) = found, cursor.fetchone()
        if found == before:
            return found
        time.sleep(0.3)


def test_a_fraction_of_the_rows_leaves_the_server_and_parts_read_them(postgresql: Reader) -> None:
    make = "INSERT INTO orders SELECT i, repeat('x', 20) FROM generate_series({}, {}) AS i"
    postgresql.statements("CREATE TABLE orders (id int8 PRIMARY KEY, word text)", make.format(1, 20000), "ANALYZE")
    partition = {"column": "id", "parts": 2}
    revisions = Revisions(postgresql.workplace, "id", dialect="postgresql", table="orders", partition=partition)
    assert len(revisions.collect(None)) == 20000
    former = revisions.former
    before = read_by(postgresql)
    postgresql.statements(make.format(20001, 20010))
    assert len(revisions.collect(former)) == 20010
    assert read_by(postgresql) - before < 200
    assert "10 rows are new" in str(revisions.events)
    assert revisions.collect(revisions.former)["id"].to_list() == list(range(1, 20011))


def test_what_was_replaced_is_read_again(postgresql: Reader) -> None:
    postgresql.statements("CREATE TABLE orders AS SELECT i AS id FROM generate_series(1, 5) AS i")
    revisions = Revisions(postgresql.workplace, "id", dialect="postgresql", table="orders")
    revisions.next()
    postgresql.statements("DELETE FROM orders WHERE id > 2")
    assert "all is read again: the cursor's greatest value went down" in revisions.next()
    postgresql.statements("ALTER TABLE orders ADD COLUMN word text")
    assert "all is read again: column 'word' is new or gone" in revisions.next()


def test_deleted_rows_are_not_seen(postgresql: Reader) -> None:
    """Documented: what is read on never looks back."""
    postgresql.statements("CREATE TABLE orders AS SELECT i AS id FROM generate_series(1, 5) AS i")
    revisions = Revisions(postgresql.workplace, "id", dialect="postgresql", table="orders")
    revisions.collect(None)
    postgresql.statements("DELETE FROM orders WHERE id = 2")
    assert revisions.collect(revisions.former)["id"].to_list() == [1, 2, 3, 4, 5]


def refusal(revisions: Revisions) -> StageError:
    with pytest.raises(StageError) as caught:
        revisions.collect(revisions.former)
    assert caught.value.cure
    return caught.value


def test_rows_without_a_cursor_are_refused(postgresql: Reader) -> None:
    postgresql.statements("CREATE TABLE orders AS SELECT 1 AS id", "CREATE TABLE none AS SELECT 1 AS id LIMIT 0")
    revisions = Revisions(postgresql.workplace, "id", dialect="postgresql", table="orders")
    revisions.collect(None)
    postgresql.statements("INSERT INTO orders VALUES (NULL)")
    error = refusal(revisions)
    assert error.reason is Reason.DATA_INVALID
    assert "1 row(s) have no value of the cursor 'id'" in error.message
    assert "no rows" in refusal(Revisions(postgresql.workplace, "id", dialect="postgresql", table="none")).message
    assert "when" in refusal(Revisions(postgresql.workplace, "when", dialect="postgresql", table="orders")).message


@pytest.mark.parametrize("column", ["true", "'\\x00'::bytea", "'infinity'::date", "'nan'::float8"])
def test_cursors_that_have_no_order_to_go_on_in(postgresql: Reader, column: str) -> None:
    revisions = Revisions(postgresql.workplace, "id", dialect="postgresql", query=f"SELECT {column} AS id")
    error = refusal(revisions)
    assert error.reason in (Reason.DATA_INVALID, Reason.INVALID_CONFIG)
    assert "id" in error.message or "max(" in error.message


def test_long_decimals_of_mysql_and_zeros_are_no_marks() -> None:
    for value in ("123456789012345678.5", "a\0b"):
        with pytest.raises(RowsError):
            mark_of(value, "id", "mysql")


@pytest.mark.parametrize("dialect", ["postgresql", "mysql", "duckdb", "sqlite"])
def test_no_text_ends_its_literal(dialect: SqlDialect) -> None:
    mark = Mark(kind="text", value="'; DROP TABLE orders; --\\")
    statement = up_to("SELECT 1 AS id", "id", None, mark, dialect)
    assert statement.replace("''", "").count("'") == 2
    assert not re.search(r"[^\\]\\'", statement) or dialect in ("duckdb", "sqlite"), "there, a backslash is none"
