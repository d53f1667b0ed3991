"""Rows of a real MariaDB."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest

from runwright_components.contract.outcome import Reason, StageError
from runwright_components.contract.progress import Event
from tests.databases.mariadb import PASSWORD
from tests.unit.collect.sql.conftest import VARIABLE, Reader

TYPES = """CREATE TABLE t (big BIGINT UNSIGNED, small TINYINT, wide DECIMAL(65, 2), first DATE, moment DATETIME(6),
zoned TIMESTAMP NULL, clock TIME, bits BIT(3), bytes BLOB, words TEXT CHARACTER SET utf8mb4, fixed VARBINARY(4),
json JSON, kind ENUM('x', 'y'), short FLOAT, `long` DOUBLE, truth BOOLEAN)"""
VALUES = """INSERT INTO t VALUES (18446744073709551615, -5, 12345678901234567890123456789012345678901.25, '9999-12-31',
'1000-01-01 00:00:00.000001', '2020-01-01 00:00:00', '-838:59:59', b'101', x'00ff', 'ß 😀', x'0102', '{"a": 1}', 'y',
0.5, 1e300, true)"""


def test_values_keep_every_digit_and_dates_their_years(mysql: Reader) -> None:
    nothing = ", ".join(["NULL"] * 16)
    mysql.statements(TYPES, "SET time_zone = '+00:00'", VALUES, f"INSERT INTO t VALUES ({nothing})")
    row, empty = mysql.rows(query="SELECT * FROM t ORDER BY big DESC")
    assert row == {
        "big": 2**64 - 1,
        "small": -5,
        "wide": "12345678901234567890123456789012345678901.25",
        "first": date(9999, 12, 31),
        "moment": datetime(1000, 1, 1, 0, 0, 0, 1),
        "zoned": datetime(2020, 1, 1, tzinfo=UTC),
        "clock": "-838:59:59",
        "bits": 5,
        "bytes": b"\x00\xff",
        "words": "ß 😀",
        "fixed": b"\x01\x02",
        "json": '{"a": 1}',
        "kind": "y",
        "short": 0.5,
        "long": 1e300,
        "truth": 1,
    }
    assert set(empty.values()) == {None}


def test_parts_limits_and_watermarks(mysql: Reader) -> None:
    mysql.statements(
        "CREATE TABLE orders AS SELECT seq AS id, DATE '1960-01-01' + INTERVAL seq DAY AS day FROM seq_1_to_5000"
    )
    for column in ("id", "day"):
        rows = mysql.rows(table="shop.orders", partition={"column": column, "parts": 3})
        assert sorted(row["id"] for row in rows) == list(range(1, 5001))
    latest = mysql.rows(query="SELECT id FROM orders WHERE day LIKE '19%' ORDER BY id DESC -- the latest", max_rows=2)
    assert latest == [{"id": 5000}, {"id": 4999}]
    before = mysql.fingerprint(table="orders", watermark="day")
    assert mysql.fingerprint(table="orders", watermark="day") == before
    mysql.statements("INSERT INTO orders VALUES (5001, '2024-01-01')")
    assert mysql.fingerprint(table="orders", watermark="day") != before


@pytest.mark.parametrize(
    ("sql", "reason", "told"),
    [
        ({"table": "nope"}, Reason.SOURCE_NOT_FOUND, "Table 'shop.nope' doesn't exist"),
        ({"query": "SELECT nope"}, Reason.INVALID_CONFIG, "Unknown column 'nope'"),
        ({"query": "SELECT 1 AS a, 2 AS a"}, Reason.INVALID_CONFIG, 'several columns of one name: "a"'),
        (
            {"query": "SELECT 1 AS a, 2 AS a", "partition": {"column": "a", "parts": 2}},
            Reason.INVALID_CONFIG,
            "several columns of one name: Duplicate column name 'a'",
        ),
        ({"query": "SELECT 1 AS a FROM seq_1_to_2 WHERE seq > 2"}, Reason.DATA_INVALID, "the result has no rows"),
        ({"table": "zero"}, Reason.DATA_INVALID, "column 'day': Failed to parse string: '0000-00-00'"),
        ({"query": "SELECT next value FOR numbers AS n"}, Reason.INVALID_CONFIG, "the statement would write"),
        (
            {"table": "zero", "partition": {"column": "word", "parts": 2}},
            Reason.INVALID_CONFIG,
            "column 'word' holds neither finite numbers nor dates (text)",
        ),
    ],
)
def test_it_is_told_with_a_cure(mysql: Reader, sql: dict[str, object], reason: Reason, told: str) -> None:
    mysql.statements(
        "SET sql_mode = ''",
        "CREATE TABLE zero (day DATE, word TEXT)",
        "INSERT INTO zero VALUES ('0000-00-00', 'a')",
        "CREATE SEQUENCE numbers",
    )
    error = mysql.refusal(**sql)
    assert error.reason is reason
    assert told in error.message


@pytest.mark.parametrize(
    ("change", "reason", "told"),
    [
        ((PASSWORD, "an-other-word"), Reason.SOURCE_DENIED, "Access denied for user"),
        (("/shop", "/shop?oops=an-other-word"), Reason.INVALID_CONFIG, "an option of it is not known"),
        (("/shop", "/shop?ssl_ca=/nowhere"), Reason.INVALID_CONFIG, "the database's address does not do"),
        (("@127.0.0.1:", "@127.0.0.1:1"), Reason.SOURCE_UNAVAILABLE, "Can't connect"),
    ],
)
def test_an_address_that_does_not_do_is_not_shown(
    mysql: Reader, monkeypatch: pytest.MonkeyPatch, change: tuple[str, str], reason: Reason, told: str
) -> None:
    monkeypatch.setenv(VARIABLE, mysql.address.replace(*change))
    error = mysql.refusal(query="SELECT 1 AS a")
    assert error.reason is reason
    assert told in error.message
    assert PASSWORD not in error.to_json()
    assert "an-other-word" not in error.to_json()


def test_a_server_that_goes_away_while_it_is_read(mysql: Reader) -> None:
    others = "SELECT id FROM information_schema.processlist WHERE info LIKE '%seq_1_to_%' AND id <> connection_id()"

    def end(event: Event) -> None:
        if event.kind == "progress":
            mysql.statements(f"BEGIN NOT ATOMIC FOR one IN ({others}) DO KILL one.id; END FOR; END")

    error = mysql.refusal(query="SELECT seq AS id, REPEAT('x', 1000) AS x FROM seq_1_to_50000", on_event=end)
    assert error.reason is Reason.SOURCE_UNAVAILABLE
    assert "Lost connection" in error.message


def test_a_request_to_stop_ends_a_statement_that_runs(mysql: Reader) -> None:
    def stop(event: Event) -> None:
        if event.kind == "progress":
            raise StageError(Reason.CANCELLED, "asked to stop", cure="start it again")

    mysql.statements("CREATE TABLE t AS SELECT seq AS id FROM seq_1_to_100")
    query = "SELECT id, IF(id > 50, SLEEP(600), 0) AS nap FROM t"
    error = mysql.refusal(query=query, partition={"column": "id", "parts": 2}, on_event=stop)
    assert error.reason is Reason.CANCELLED
    running = "SELECT count(*) AS n FROM information_schema.processlist WHERE info LIKE '%SLEEP(600)%'"
    assert mysql.rows(query=f"{running} AND id <> connection_id()") == [{"n": 0}]
