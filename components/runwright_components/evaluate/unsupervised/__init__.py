"""Judging models that learned without a target: by their inputs alone, and by a label where one is named."""

from runwright_components.evaluate.unsupervised.stage import judge

__all__ = ["judge"]
