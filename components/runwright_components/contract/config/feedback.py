"""Logged predictions, and the labels that came later."""

from __future__ import annotations

from runwright_components.contract.config.base import Config


class FeedbackConfig(Config):
    labels: str  # name of the source that has them
    key: str  # its column with the prediction's id
    label: str
    time: str | None = None  # its column that says since when a label is known
    within_seconds: int | None = None
