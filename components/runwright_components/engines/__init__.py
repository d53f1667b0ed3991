"""The engines that prepare a table on several machines."""

from runwright_components.engines.engine import Engine, engine_for

__all__ = ["Engine", "engine_for"]
