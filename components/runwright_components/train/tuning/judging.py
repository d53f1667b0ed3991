"""A trial's result: the metric of its model, as it would be served, on the validation split."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runwright_components.contract.artifacts import HISTORY, History, ModelManifest
from runwright_components.contract.outcome import Reason, StageError

ROWS_AT_ONCE = 1024


def judge(model: Path, prepared: Path, metric: str) -> float:
    """The metric of the model in `model`; `loss` is the validation loss of its best epoch.

    Raises StageError (InvalidConfig) for a metric that these rows cannot define.
    """
    if metric == "loss":
        history = History.read(model, HISTORY)
        return next(epoch.validation_loss for epoch in history.epochs if epoch.epoch == history.best_epoch)
    found = _metrics(model, prepared)
    if metric not in found:
        raise StageError(
            Reason.INVALID_CONFIG,
            f"{metric} is not defined on the validation split; it has {', '.join(sorted(found))}",
            where="tune.objective.metric",
            cure="choose one of these, or loss",
        )
    return found[metric]


def _metrics(model: Path, prepared: Path) -> dict[str, float]:
    from runwright_components.evaluate import classification, regression
    from runwright_components.features import load_split
    from runwright_components.serve.predictor import Predictor

    split = load_split(prepared, "validation")
    if not len(split):  # as in training, which has then validated on these
        split = load_split(prepared, "train")
    predictor = Predictor(model, verify=False)
    inputs = {name: _as_served(name, values) for name, values in split.inputs.items()}
    parts = [
        predictor.run({name: values[start : start + ROWS_AT_ONCE] for name, values in inputs.items()})
        for start in range(0, len(split), ROWS_AT_ONCE)
    ]
    raw = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    answers = predictor.preprocessing.outputs(raw)
    if answers.probabilities is not None:
        return classification.metrics(answers.probabilities, split.target.astype(np.int64), bins=10)
    if answers.values is None or ModelManifest.read(model).task != "regression":
        return {}
    return regression.metrics(answers.values, predictor.preprocessing.target_state.unscale(split.target))


def _as_served(name: str, values: NDArray[Any]) -> NDArray[Any]:
    return values.astype(np.float32) / 255 if name == "pixels" else values
