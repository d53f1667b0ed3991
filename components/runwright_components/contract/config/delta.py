"""A table of Delta Lake."""

from __future__ import annotations

from runwright_components.contract.config.base import Config


class DeltaConfig(Config):
    version: int | None = None  # None: the newest
