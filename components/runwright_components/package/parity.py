"""Proof that the ONNX graph says what the torch weights say."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl

from runwright_components.contract.artifacts import ONNX, OUTPUTS, RAW_TEST
from runwright_components.contract.outcome import Reason, StageError
from runwright_components.contract.progress import Progress
from runwright_components.serve.predictor import Predictor

_ROWS = 4096  # of the test split, at most
_BATCH = 256


def check_parity(model: Path, prepared: Path, tolerance: float, progress: Progress) -> float:
    """The largest absolute difference of the outputs (logits, or standardized values) over rows of the test split.

    Both sides get the same tensors, from the raw rows through the packaged preprocessing. Raises StageError
    (ParityFailed) with the figures when the difference is beyond `tolerance`, or an output is not a number.
    """
    import torch

    from runwright_components.models import load_model

    predictor = Predictor(model, verify=False)
    module = load_model(model)
    rows = pl.scan_parquet(prepared / RAW_TEST).head(_ROWS).collect()
    if rows.is_empty():
        raise StageError(
            Reason.DATA_INVALID,
            "the test split has no rows to compare on",
            where=str(prepared / RAW_TEST),
            cure="give the split a test share above 0, or more data",
        )
    largest, where = 0.0, 0
    for start in range(0, len(rows), _BATCH):
        inputs = predictor.preprocessing.transform(rows[start : start + _BATCH])
        (served,) = predictor.run(inputs).values()
        with torch.inference_mode():
            trained = module(**{name: torch.from_numpy(value) for name, value in inputs.items()}).numpy()
        difference = np.abs(served.reshape(len(trained), -1) - trained.reshape(len(trained), -1)).max(axis=1)
        # A NaN compares as no difference, so it must be looked for.
        worst = int(np.where(np.isnan(difference), np.inf, difference).argmax())
        if not difference[worst] <= largest:
            largest, where = float(difference[worst]), start + worst
        progress.update(min(start + _BATCH, len(rows)), len(rows), unit="rows", message="comparing torch with ONNX")
    if not largest <= tolerance:
        raise StageError(
            Reason.PARITY_FAILED,
            f"the outputs of torch and ONNX Runtime differ by {largest:.3g} at test row {where} of {len(rows)}; "
            f"{tolerance:g} is allowed",
            where=str(model / ONNX),
            cure="raise package.parityTolerance if that is little for this model, else report its configuration",
        )
    return largest


def check_own_outputs(model: Path, prepared: Path, tolerance: float, progress: Progress) -> float | None:
    """The same for a model that the user's own code exported: nobody else can build it, so the graph is
    compared with the outputs that the code left. None when it left none. Raises StageError (ParityFailed)."""
    from runwright_components.train.code.parity import difference

    largest = difference(model, prepared)
    if largest is None:
        progress.note(f"the code left no {OUTPUTS}, so there is nothing to compare the graph with")
    elif not largest <= tolerance:
        raise StageError(
            Reason.PARITY_FAILED,
            f"the graph and what the code left in {OUTPUTS} differ by {largest:.3g}; {tolerance:g} is allowed",
            where=str(model / ONNX),
            cure="export the model in evaluation mode and in float32, or raise package.parityTolerance",
        )
    return largest
