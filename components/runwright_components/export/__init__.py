"""Prepared splits for other programs."""

from runwright_components.export.stage import Form, export

__all__ = ["Form", "export"]
