"""How the collect stage keeps columns of a source that the expectations of prepare look into."""

from __future__ import annotations

from runwright_components.contract.config.base import Config


class ReferenceConfig(Config):
    source: str
    columns: tuple[str, ...]
