"""The fitted preprocessing, applied by the same code in training, evaluation, batch and online inference."""

from runwright_components.features.predictions import Predictions, softmax
from runwright_components.features.preprocessing import Preprocessing
from runwright_components.features.split_io import Split, load_split

__all__ = ["Predictions", "Preprocessing", "Split", "load_split", "softmax"]
