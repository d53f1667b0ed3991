"""How the collect stage puts the columns of one source beside the rows of others."""

from __future__ import annotations

from typing import Literal

from runwright_components.contract.config.base import Config


class AsOfConfig(Config):
    left: str
    right: str
    tolerance_seconds: int | None = None
    formats: tuple[str, ...] = ()  # strptime formats of both, tried before ISO 8601


class JoinConfig(Config):
    source: str
    left: tuple[str, ...] = ()  # the key's columns; none: by time alone
    right: tuple[str, ...] = ()
    relation: Literal["manyToOne", "oneToOne"] = "manyToOne"
    asof: AsOfConfig | None = None
