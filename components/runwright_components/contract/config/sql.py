"""What is read of a SQL database."""

from __future__ import annotations

from typing import Literal

from runwright_components.contract.config.base import Config

SqlDialect = Literal["postgresql", "mysql", "sqlite", "duckdb"]


class SqlPartitionConfig(Config):
    column: str
    parts: int


class SqlConfig(Config):
    """A query or a table. A server's address is never here: `contract.databases` says which variable has it."""

    dialect: SqlDialect
    query: str | None = None
    table: str | None = None
    path: str | None = None  # sqlite and duckdb: the file, relative to `CollectConfig.base`
    partition: SqlPartitionConfig | None = None
    watermark: str | None = None
