"""Gradient-boosted trees: XGBoost and LightGBM by their own interfaces, with the model's folder of every other family.

Importing this package is light; a library is loaded when its booster is trained or read.
"""

from runwright_components.train.boosting.library import BOOSTERS, native

__all__ = ["BOOSTERS", "native"]
