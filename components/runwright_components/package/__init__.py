"""The package stage: a judged model becomes one folder that can be served, moved and verified."""

from runwright_components.package.stage import package

__all__ = ["package"]
