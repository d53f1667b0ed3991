"""Proof that the ONNX graph says what the model's own weights say."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from runwright_components.contract.artifacts import ONNX, OUTPUTS, RAW_TEST, ModelManifest
from runwright_components.contract.outcome import Reason, StageError
from runwright_components.contract.progress import Progress
from runwright_components.serve.predictor import Predictor
from runwright_components.train.boosting import BOOSTERS, native

IDS = "input_ids"
_ROWS = 4096  # of the test split, at most
_BATCH = 256
_DOCUMENTS = 16  # each has an output for every token of the vocabulary at every place


def check_parity(model: Path, prepared: Path, tolerance: float, progress: Progress) -> float:
    """The largest absolute difference of the outputs (logits, or standardized values) over rows of the test split.

    Both sides get the same tensors, from the raw rows through the packaged preprocessing. Raises StageError
    (ParityFailed) with the figures when the difference is beyond `tolerance`, or an output is not a number.
    """
    predictor = Predictor(model, verify=False)
    whose, answer = _own_weights(model)
    texts = predictor.generator is not None
    rows = pl.scan_parquet(prepared / RAW_TEST).head(_DOCUMENTS if texts else _ROWS).collect()
    batch = 1 if texts else _BATCH
    if rows.is_empty():
        raise StageError(
            Reason.DATA_INVALID,
            "the test split has no rows to compare on",
            where=str(prepared / RAW_TEST),
            cure="give the split a test share above 0, or more data",
        )
    largest, where = 0.0, 0
    for start in range(0, len(rows), batch):
        inputs = predictor.preprocessing.transform(rows[start : start + batch])
        served = _served(predictor, inputs)
        trained = answer(inputs)
        difference = np.abs(served.reshape(len(trained), -1) - trained.reshape(len(trained), -1)).max(axis=1)
        # A NaN compares as no difference, so it must be looked for.
        worst = int(np.where(np.isnan(difference), np.inf, difference).argmax())
        if not difference[worst] <= largest:
            largest, where = float(difference[worst]), start + worst
        progress.update(min(start + batch, len(rows)), len(rows), unit="rows", message=f"comparing {whose} with ONNX")
    if not largest <= tolerance:
        raise StageError(
            Reason.PARITY_FAILED,
            f"the outputs of {whose} and ONNX Runtime differ by {largest:.3g} at test row {where} of {len(rows)}; "
            f"{tolerance:g} is allowed",
            where=str(model / ONNX),
            cure="raise package.parityTolerance if that is little for this model, else report its configuration",
        )
    return largest


def _own_weights(model: Path) -> tuple[str, Callable[[Mapping[str, NDArray[Any]]], NDArray[Any]]]:
    """What computes the model from its own weights rather than the graph, and its outputs for the graph's inputs."""
    name = ModelManifest.read(model).model.name
    if name in BOOSTERS:
        return name, native(model)
    if name == "policy":
        from runwright_components.train.reinforcement.policy import native as acting

        return "torch", acting(model)
    import torch

    from runwright_components.models import load_model
    from runwright_components.models.unsupervised import served

    module = served(load_model(model))

    def answer(inputs: Mapping[str, NDArray[Any]]) -> NDArray[Any]:
        with torch.inference_mode():
            outputs: NDArray[Any] = module(**{key: torch.from_numpy(value) for key, value in inputs.items()}).numpy()
        return outputs

    return "torch", answer


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


def _served(predictor: Predictor, inputs: dict[str, NDArray[Any]]) -> NDArray[Any]:
    """The graph's output; of a language model in two parts, the second with the keys and values of the first, as text
    is generated."""
    if predictor.generator is None:
        *_, output = predictor.run(inputs).values()  # a policy gives its actions first, then what they come from
        return output
    ids = inputs[IDS]
    half = ids.shape[1] // 2
    first = predictor.run({IDS: ids[:, :half], **predictor.generator.empty_past(len(ids))})
    past = {name.replace("present.", "past_key_values."): value for name, value in first.items() if name != "logits"}
    second = predictor.run({IDS: ids[:, half:], **past})
    return np.concatenate([first["logits"], second["logits"]], axis=1)
