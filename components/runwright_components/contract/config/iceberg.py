"""A table of Apache Iceberg."""

from __future__ import annotations

from runwright_components.contract.config.base import Config


class IcebergConfig(Config):
    snapshot: str | None = None  # its number; None: the one of `time`, or the current one
    time: str | None = None  # RFC 3339
    columns: tuple[str, ...] = ()  # none: all
    filter: str | None = None  # in Iceberg's own words
