"""The threshold of an anomaly detector, from the errors of rows like those that it was trained on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from runwright_components.contract.artifacts import PreparedManifest
from runwright_components.contract.config import ModelConfig, SplitName
from runwright_components.features.split_io import load_parts
from runwright_components.models.unsupervised import Scoring

_ROWS = 8192  # at once
ENOUGH = 100  # validation rows that make a quantile worth its noise
_LEAST = 1e-12  # a threshold of 0 would make every row an anomaly that is not rebuilt to the bit


def calibrate(module: nn.Module, config: ModelConfig, prepared: Path) -> None:
    """Set the threshold so that `contamination` of the validation rows in `prepared` lie above it; other modules stay.

    An autoencoder rebuilds rows better that it has seen. The training rows stand in for fewer than 100 validation rows.
    """
    if not isinstance(module, Scoring):
        return
    assert config.unsupervised is not None
    module.to("cpu").eval()
    split: SplitName = "validation" if PreparedManifest.read(prepared).rows["validation"] >= ENOUGH else "train"
    errors = np.concatenate(list(_errors(module, prepared, split)))
    threshold = float(np.quantile(errors, 1.0 - config.unsupervised.contamination))
    module.threshold.fill_(max(threshold, _LEAST))


def _errors(module: Scoring, prepared: Path, split: SplitName) -> Iterator[NDArray[np.float32]]:
    for part in load_parts(prepared, split, _ROWS):
        with torch.inference_mode():
            yield module.error(**{name: torch.from_numpy(values) for name, values in part.inputs.items()}).numpy()
