"""Databases to read from: real servers and files, and the collect stage run on them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import adbc_driver_postgresql.dbapi
import pymysql
import pytest
from sqlalchemy.engine import make_url

from runwright_components.collect import collect, fingerprint
from runwright_components.contract.artifacts import RawManifest
from runwright_components.contract.config import CollectConfig, Source
from runwright_components.contract.outcome import StageError
from runwright_components.contract.progress import Event, Progress
from tests.databases.mariadb import mariadb
from tests.databases.postgres import postgres
from tests.unit.collect.conftest import Workplace

VARIABLE = "RUNWRIGHT_SQL_URI_SHOP"


@dataclass
class Reader:
    """Collects a source of the name `shop`; `statements` runs what prepares the data."""

    workplace: Workplace
    options: dict[str, Any]
    statements: Callable[..., None]
    address: str = ""

    def config(self, max_rows: int | None = None, **sql: Any) -> CollectConfig:
        source = Source.model_validate({"name": "shop", "uri": "sql://somewhere", "sql": {**self.options, **sql}})
        return CollectConfig(sources=(source,), base=str(self.workplace.sources), max_rows=max_rows)

    def collect(self, *, on_event: Callable[[Event], None] | None = None, **sql: Any) -> RawManifest:
        sink = on_event or self.workplace.events.append
        return collect(self.config(**sql), out=self.workplace.out, progress=Progress("collect", sink, interval=0))

    def rows(self, **sql: Any) -> list[dict[str, Any]]:
        manifest = self.collect(**sql)
        rows = self.workplace.rows(manifest)
        self.workplace.out = self.workplace.out.with_name(f"{self.workplace.out.name}-")
        return rows

    def refusal(self, **sql: Any) -> StageError:
        """The error of collecting, after seeing that it left nothing behind."""
        with pytest.raises(StageError) as caught:
            self.collect(**sql)
        assert not self.workplace.out.exists()
        kept = list(self.workplace.out.parent.iterdir()) if self.workplace.out.parent.exists() else []
        assert not [path for path in kept if path.name.startswith(".")]
        assert caught.value.cure, "every refusal says how to mend it"
        return caught.value

    def fingerprint(self, **sql: Any) -> str:
        return fingerprint(self.config(**sql))


@pytest.fixture(scope="session")
def postgres_address() -> Iterator[str]:
    with postgres() as address:
        yield address


@pytest.fixture(scope="session")
def mariadb_address() -> Iterator[str]:
    with mariadb() as address:
        yield address


@pytest.fixture
def postgresql(workplace: Workplace, postgres_address: str, monkeypatch: pytest.MonkeyPatch) -> Reader:
    """A PostgreSQL whose tables are those that the test makes."""

    def run(*statements: str) -> None:
        with adbc_driver_postgresql.dbapi.connect(postgres_address, autocommit=True) as connection:
            for statement in statements:
                connection.execute(statement).close()

    run("DROP SCHEMA public CASCADE", "CREATE SCHEMA public")
    monkeypatch.setenv(VARIABLE, postgres_address)
    return Reader(workplace, {"dialect": "postgresql"}, run, postgres_address)


@pytest.fixture
def mysql(workplace: Workplace, mariadb_address: str, monkeypatch: pytest.MonkeyPatch) -> Reader:
    """A MariaDB whose tables are those that the test makes."""
    url = make_url(mariadb_address)
    options = {"host": url.host, "port": url.port, "user": url.username, "password": url.password}

    def run(*statements: str) -> None:
        with pymysql.connect(**options, autocommit=True) as connection, connection.cursor() as cursor:
            for statement in ("USE shop", *statements):
                cursor.execute(statement)

    with pymysql.connect(**options) as connection, connection.cursor() as cursor:
        cursor.execute("DROP DATABASE shop")
        cursor.execute("CREATE DATABASE shop")
    monkeypatch.setenv(VARIABLE, mariadb_address)
    return Reader(workplace, {"dialect": "mysql"}, run, mariadb_address)
