"""Reading only what is new."""

from __future__ import annotations

from runwright_components.contract.config.base import Config


class IncrementalConfig(Config):
    cursor: str | None = None  # of a database: the column that only grows
