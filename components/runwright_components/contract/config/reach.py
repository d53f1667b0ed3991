"""Which addresses HTTP sources may reach."""

from __future__ import annotations

from runwright_components.contract.config.base import Config


class ReachConfig(Config):
    """`private`: whether addresses that are not public may be reached, as on one's own machine; else those in
    `allowed` alone, which holds networks, addresses, hosts, and domains (*.example.com)."""

    private: bool = True
    allowed: tuple[str, ...] = ()
