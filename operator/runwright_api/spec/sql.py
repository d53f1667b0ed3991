"""`spec.data.sources[].sql`: rows of a SQL database."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from runwright_api.part import Part, Rule, unless
from runwright_api.spec.shared import SecretRef
from runwright_api.text import ColumnName, FilePath, Lines, Text

Dialect = Literal["postgresql", "mysql", "sqlite", "duckdb", "mssql", "snowflake", "bigquery"]
FILES: tuple[Dialect, ...] = ("sqlite", "duckdb")
"""The dialects whose databases are files."""
_IN_A_FILE = "self.dialect in [" + ", ".join(f"'{dialect}'" for dialect in FILES) + "]"


class SqlPartition(Part):
    """Several readers side by side, each of its own range of a column."""

    column: ColumnName
    """Column of numbers or dates that the rows are shared out by. An index on it pays."""
    parts: Annotated[int, Field(ge=2, le=32)]
    """How many ranges, each read over a connection of its own."""


class SqlSource(Part):
    """A table of a SQL database, or the result of a query."""

    dialect: Dialect
    """Kind of the database. mysql is MariaDB, too. mssql, snowflake and bigquery are not available yet."""
    query: Annotated[Lines | None, Field(min_length=1)] = None
    """The SELECT (or WITH ... SELECT) whose rows are read."""
    table: Text | None = None
    """The table or view that is read whole, in place of a query: TABLE or SCHEMA.TABLE, as the database writes it."""
    path: FilePath | None = None
    """File of a sqlite or duckdb database, relative to the YAML file."""
    secret_ref: SecretRef | None = None
    """Secret whose key `uri` holds a server's address and credentials; on a laptop RUNWRIGHT_SQL_URI_NAME has them."""
    partition: SqlPartition | None = None
    """Read in parallel. postgresql and mysql only."""
    watermark: ColumnName | None = None
    """Column that only grows: while its maximum and the number of rows stay, the data count as unchanged."""

    rules = (
        Rule(
            message="a query or a table says what is read",
            broken=lambda sql: unless((sql.query is None) != (sql.table is None), "query"),
            cel="has(self.query) != has(self.table)",
            cure="give one of query and table",
        ),
        Rule(
            message="sqlite and duckdb have a path, and no other dialect has one",
            broken=lambda sql: unless((sql.path is not None) == (sql.dialect in FILES), "path"),
            cel=f"has(self.path) == ({_IN_A_FILE})",
            cure="give the file's path; a server's address comes from the Secret, on a laptop from"
            " RUNWRIGHT_SQL_URI_NAME",
        ),
        Rule(
            message="a database in a file has no secretRef",
            broken=lambda sql: unless(sql.path is None or sql.secret_ref is None, "secretRef"),
            cel="!has(self.path) || !has(self.secretRef)",
            cure="remove it",
        ),
        Rule(
            message="a database in a file is not read in parts",
            broken=lambda sql: unless(sql.path is None or sql.partition is None, "partition"),
            cel="!has(self.path) || !has(self.partition)",
            cure="remove it; duckdb reads with all cores by itself",
        ),
    )
