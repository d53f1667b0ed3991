"""How log lines are cut into columns."""

from __future__ import annotations

from typing import Literal

from runwright_components.contract.config.base import Config

LogLayout = Literal["combined", "common", "nginx", "syslog", "json"]


class LogConfig(Config):
    """Exactly one of `layout`, `pattern` (a regular expression with named groups) and `grok` is given."""

    layout: LogLayout | None = None
    pattern: str | None = None
    grok: str | None = None
    max_unmatched: float = 0.1  # share of lines that may not match
