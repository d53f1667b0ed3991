"""Make a registered version the one that serves."""

from runwright_components.deploy.stage import deploy

__all__ = ["deploy"]
