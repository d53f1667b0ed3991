"""Rows of a real PostgreSQL."""

from __future__ import annotations

import threading
from datetime import UTC, date, datetime

import pytest
from sqlalchemy.engine import make_url

from runwright_components.collect.sql.database import Place
from runwright_components.collect.sql.postgresql import PostgreSql
from runwright_components.contract.outcome import Reason, StageError
from runwright_components.contract.progress import Event
from tests.databases.postgres import PASSWORD
from tests.unit.collect.sql.conftest import VARIABLE, Reader

TYPES = """SELECT 32767::int2 AS small, 9223372036854775807 AS big, 1.5::float4 AS short, 1e300::float8 AS long,
true AS truth, 'ß 😀'::varchar AS words, '\\x00ff'::bytea AS bytes, date '0001-01-01' AS first,
date '9999-12-31' AS last, timestamp '1900-01-01 00:00:00.000001' AS moment, timestamptz '2020-01-01 02:00+02' AS zoned,
12345678901234567890123456789012345678901.25::numeric AS wide, 12.50::numeric(10, 2) AS money,
'{"a": [1]}'::jsonb AS json, array[1, NULL, 3] AS numbers, array[0.1]::numeric[] AS decimals,
'2 days'::interval AS span, time '12:00' AS clock, '00000000-0000-0000-0000-000000000001'::uuid AS id,
inet '10.0.0.1' AS host, '12.5'::money AS price, NULL AS nothing"""


def test_values_keep_every_digit_and_dates_their_years(postgresql: Reader) -> None:
    (row,) = postgresql.rows(query=TYPES)
    assert row == {
        "small": 32767,
        "big": 2**63 - 1,
        "short": 1.5,
        "long": 1e300,
        "truth": True,
        "words": "ß 😀",
        "bytes": b"\x00\xff",
        "first": date(1, 1, 1),
        "last": date(9999, 12, 31),
        "moment": datetime(1900, 1, 1, 0, 0, 0, 1),
        "zoned": datetime(2020, 1, 1, tzinfo=UTC),
        "wide": "12345678901234567890123456789012345678901.25",
        "money": "12.50",
        "json": '{"a": [1]}',
        "numbers": [1, None, 3],
        "decimals": ["0.1"],
        "span": "2 days",
        "clock": "12:00:00",
        "id": "00000000-0000-0000-0000-000000000001",
        "host": "10.0.0.1/32",
        "price": "$12.50",
        "nothing": None,
    }


def test_a_table_is_read_whole_and_its_name_as_it_is_written(postgresql: Reader) -> None:
    postgresql.statements(
        'CREATE SCHEMA "My Shop"', 'CREATE TABLE "My Shop"."Orders" AS SELECT 1 AS "ID", 2 AS "größe"'
    )
    assert postgresql.rows(table="My Shop.Orders") == [{"ID": 1, "größe": 2}]
    postgresql.statements('DROP SCHEMA "My Shop" CASCADE')


def test_the_manifest_names_what_is_read_and_not_where(postgresql: Reader) -> None:
    manifest = postgresql.collect(query="SELECT 1 AS a")
    text = manifest.model_dump_json() + str(postgresql.workplace.events)
    assert "127.0.0.1" not in text
    assert PASSWORD not in text
    assert manifest.sources[0].rows == 1


@pytest.mark.parametrize("column", ["id", "day", "price", "moment"])
def test_parts_give_all_rows_once(postgresql: Reader, column: str) -> None:
    postgresql.statements(
        "CREATE TABLE orders AS SELECT i AS id, date '1969-12-01' + i AS day, i / 4.0 AS price,"
        " timestamptz '1969-12-01' + i * interval '1 hour' AS moment FROM generate_series(1, 1000) AS i",
        "INSERT INTO orders VALUES (NULL, NULL, NULL, NULL)",
    )
    manifest = postgresql.collect(table="orders", partition={"column": column, "parts": 3})
    ids = [row["id"] for row in postgresql.workplace.rows(manifest)]
    assert manifest.sources[0].files == 3
    assert sorted(ids, key=lambda one: one or 0) == [None, *range(1, 1001)]


def test_all_parts_see_the_same_state(postgresql: Reader) -> None:
    """Rows that come in between the first part's snapshot and the last connection are in no part."""
    postgresql.statements("CREATE TABLE t AS SELECT i AS id FROM generate_series(1, 10) AS i")
    first = PostgreSql(Place(address=make_url(postgresql.address)))
    assert first.rows("SELECT count(*) AS n FROM t").first() == (10,)
    postgresql.statements("INSERT INTO t VALUES (11)")
    second = first.twin()
    assert second.rows("SELECT count(*) AS n FROM t").first() == (10,)
    first.close()
    second.close()


def test_a_limit_reads_no_more_and_keeps_the_order(postgresql: Reader) -> None:
    query = "SELECT i AS id FROM generate_series(1, 100000) AS i ORDER BY i DESC"
    rows = postgresql.rows(query=query, max_rows=3, partition={"column": "id", "parts": 4})
    assert rows == [{"id": 100000}, {"id": 99999}, {"id": 99998}]


def test_a_watermark_tells_change(postgresql: Reader) -> None:
    postgresql.statements("CREATE TABLE t AS SELECT i AS id FROM generate_series(1, 3) AS i")
    before = postgresql.fingerprint(table="t", watermark="id")
    assert postgresql.fingerprint(table="t", watermark="id") == before
    postgresql.statements("DELETE FROM t WHERE id = 2")
    fewer = postgresql.fingerprint(table="t", watermark="id")
    postgresql.statements("DELETE FROM t WHERE id = 1", "INSERT INTO t VALUES (4)")
    assert len({before, fewer, postgresql.fingerprint(table="t", watermark="id")}) == 3


def test_without_a_watermark_a_server_counts_as_changed(postgresql: Reader) -> None:
    assert postgresql.fingerprint(query="SELECT 1 AS a") != postgresql.fingerprint(query="SELECT 1 AS a")


# ---------------------------------------------------------------- what goes wrong


@pytest.mark.parametrize(
    ("sql", "reason", "told", "cure"),
    [
        ({"table": "Nope"}, Reason.SOURCE_NOT_FOUND, 'relation "Nope" does not exist', "upper and lower case"),
        ({"query": "SELECT nope"}, Reason.INVALID_CONFIG, 'column "nope" does not exist', "own client"),
        ({"query": "SELECT 1 / 0 AS a"}, Reason.INVALID_CONFIG, "division by zero", "own client"),
        ({"query": "SELECT 1 AS a, 2 AS a"}, Reason.INVALID_CONFIG, 'several columns of one name: "a"', " AS other"),
        ({"query": "SELECT 1 AS a WHERE false"}, Reason.DATA_INVALID, "the result has no rows", "conditions"),
        ({"query": "SELECT"}, Reason.INVALID_CONFIG, "it gives no columns", "own client"),
        ({"query": "SELECT date 'infinity' AS d"}, Reason.DATA_INVALID, "'d' holds a date of infinity", "NULLIF"),
        ({"query": "SELECT timestamp '-infinity' AS d"}, Reason.DATA_INVALID, "a date of infinity", "NULLIF"),
        (
            {"query": "WITH gone AS (DELETE FROM t RETURNING id) SELECT * FROM gone"},
            Reason.INVALID_CONFIG,
            "the statement would write, and a source is only read",
            "changes nothing",
        ),
        (
            {"table": "t", "partition": {"column": "word", "parts": 2}},
            Reason.INVALID_CONFIG,
            "column 'word' holds neither finite numbers nor dates (text)",
            "numbers or dates",
        ),
        (
            {"table": "t", "partition": {"column": "no", "parts": 2}},
            Reason.INVALID_CONFIG,
            '"no" does not exist',
            "own",
        ),
    ],
)
def test_it_is_told_with_place_and_cure(
    postgresql: Reader, sql: dict[str, object], reason: Reason, told: str, cure: str
) -> None:
    postgresql.statements("CREATE TABLE t AS SELECT 1 AS id, 'a' AS word")
    error = postgresql.refusal(**sql)
    assert (error.reason, error.where) == (reason, "shop, sql.partition.column" if "(text)" in told else "shop")
    assert told in error.message
    assert cure in error.cure
    assert postgresql.rows(query="SELECT count(*) AS n FROM t") == [{"n": 1}]


@pytest.mark.parametrize(
    ("change", "reason", "told"),
    [
        ((PASSWORD, "an-other-word"), Reason.SOURCE_DENIED, "password authentication failed"),
        (("/postgres", "/nowhere"), Reason.SOURCE_NOT_FOUND, 'database "nowhere" does not exist'),
        (("/postgres", "/postgres?sslmode=require"), Reason.INVALID_CONFIG, "does not support SSL"),
        (("/postgres", "/postgres?oops=an-other-word"), Reason.INVALID_CONFIG, 'invalid URI query parameter: "oops"'),
        (("postgresql://", "oracle://"), Reason.INVALID_CONFIG, "it does not begin with postgresql://"),
        (("127.0.0.1:", "127.0.0.1:x"), Reason.INVALID_CONFIG, "it cannot be read as one"),
    ],
)
def test_an_address_that_does_not_do_is_not_shown(
    postgresql: Reader, monkeypatch: pytest.MonkeyPatch, change: tuple[str, str], reason: Reason, told: str
) -> None:
    monkeypatch.setenv(VARIABLE, postgresql.address.replace(*change))
    error = postgresql.refusal(query="SELECT 1 AS a")
    assert error.reason is reason
    assert told in error.message
    assert VARIABLE in error.to_json()
    assert PASSWORD not in error.to_json()
    assert "an-other-word" not in error.to_json()


def test_a_server_that_is_away_may_be_tried_again(postgresql: Reader, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, f"postgresql://me:{PASSWORD}@127.0.0.1:1/x")
    error = postgresql.refusal(table="t")
    assert (error.reason, error.exit_code) == (Reason.SOURCE_UNAVAILABLE, 20)
    assert "Connection refused" in error.message
    assert VARIABLE in error.cure


def test_without_an_address_the_variable_is_named(postgresql: Reader, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE)
    error = postgresql.refusal(table="t")
    assert error.message == f"the environment variable {VARIABLE} is not set"
    assert "secretRef" in error.cure


def test_a_right_that_lacks_is_told(postgresql: Reader, monkeypatch: pytest.MonkeyPatch) -> None:
    postgresql.statements(
        "CREATE TABLE t AS SELECT 1 AS id", "DROP ROLE IF EXISTS guest", "CREATE ROLE guest LOGIN PASSWORD 'g%st@:/'"
    )
    monkeypatch.setenv(VARIABLE, postgresql.address.replace(f"study:{PASSWORD}", "guest:g%25st%40%3A%2F"))
    error = postgresql.refusal(table="public.t")
    assert error.reason is Reason.SOURCE_DENIED
    assert "permission denied" in error.message


def test_a_server_that_goes_away_while_it_is_read(postgresql: Reader, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runwright_components.collect.sql.postgresql.BATCH_BYTES", 1 << 16)
    others = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'COPY%'"

    def end(event: Event) -> None:
        if event.kind == "progress":
            postgresql.statements(f"SELECT count(*) FROM ({others}) AS ended")

    error = postgresql.refusal(query="SELECT i AS id FROM generate_series(1, 500000) AS i", on_event=end)
    assert error.reason is Reason.SOURCE_UNAVAILABLE
    assert "the connection" in error.message


def test_a_request_to_stop_ends_a_statement_that_runs(postgresql: Reader) -> None:
    """All parts end at once, though the server would go on for minutes, and nothing is left behind."""

    def stop(event: Event) -> None:
        if event.kind == "progress":
            raise StageError(Reason.CANCELLED, "asked to stop", cure="start it again")

    postgresql.statements("CREATE TABLE t AS SELECT i AS id FROM generate_series(1, 100) AS i")
    endless = "WITH RECURSIVE n(i) AS (SELECT id UNION ALL SELECT i FROM n) SELECT max(i) FROM n"
    query = f"SELECT id, CASE WHEN id > 50 THEN ({endless}) END AS never FROM t"
    before = threading.active_count()
    error = postgresql.refusal(query=query, partition={"column": "id", "parts": 2}, on_event=stop)
    assert error.reason is Reason.CANCELLED
    assert threading.active_count() == before
    busy = "SELECT count(*) AS n FROM pg_stat_activity WHERE state = 'active' AND query LIKE '%SELECT max(i) FROM n%'"
    assert postgresql.rows(query=f"{busy} AND pid <> pg_backend_pid()") == [{"n": 0}]
