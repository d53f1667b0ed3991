"""What a model must fit: the sizes of its inputs and outputs."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runwright_components.contract.artifacts import PREPROCESSING, STATE, PreparedManifest, Signature
from runwright_components.contract.config import Modality, TaskKind
from runwright_components.contract.outcome import Reason, StageError

_OUTPUTS: dict[TaskKind, str] = {
    "regression": "value",
    "anomaly": "score",
    "forecasting": "forecast",
    "clustering": "distances",
    "embedding": "embedding",
}
"""Output tensors that are no logits."""


@dataclass(frozen=True)
class Shape:
    """Sizes of a model's inputs and outputs.

    `image` is (channels, height, width); `mean` and `std` are per channel, for pixels in [0, 1]. `classes` is 1 for
    regression. `max_tokens` bounds the length of a text, `pad` is the token that fills shorter ones.
    `context` and `horizon` are the steps of a series that are seen and that are forecast.
    """

    task: TaskKind
    modality: Modality
    classes: int
    numeric: int = 0
    categories: tuple[int, ...] = ()
    vocabulary: int = 0
    max_tokens: int = 0
    pad: int = 0
    image: tuple[int, int, int] = (0, 0, 0)
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    context: int = 0
    horizon: int = 0

    @property
    def output(self) -> str:
        """Name of the output tensor."""
        return _OUTPUTS.get(self.task, "logits")


def shape_of(prepared: Path) -> Shape:
    """The shape that the prepared data in `prepared` asks for. Raises StageError when the manifest is unfit."""
    manifest = PreparedManifest.read(prepared)
    return make_shape(
        manifest.signature,
        categories=manifest.categories,
        vocabulary=manifest.vocabulary,
        state=read_state(prepared),
        where=str(prepared),
    )


def read_state(folder: Path) -> dict[str, Any]:
    """The fitted preprocessing of an artifact, as JSON."""
    path = folder / PREPROCESSING / STATE
    try:
        state = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise StageError(
            Reason.DATA_UNREADABLE,
            f"{STATE} cannot be read: {error}",
            where=str(path.parent),
            cure="the folder is incomplete or altered; run prepare again",
        ) from error
    return dict(state)


def make_shape(
    signature: Signature,
    *,
    categories: tuple[int, ...],
    vocabulary: int | None,
    state: dict[str, Any],
    where: str = "",
) -> Shape:
    """Derive the shape from a signature's tensors and the constants of the fitted preprocessing."""
    tensors = {tensor.name: tensor.shape for tensor in signature.tensors}
    classes = len(signature.labels) if signature.task == "classification" else 1
    if signature.task == "classification" and classes < 2:
        raise StageError(
            Reason.DATA_INVALID,
            f"the target {signature.target!r} has {classes} class in the training data; a classifier needs two",
            where=where,
            cure="choose another target, or collect rows of another class",
        )
    numeric = tensors.get("numeric", (None, 0))[1] or 0
    image = tuple(size or 0 for size in tensors.get("pixels", (None, 0, 0, 0))[1:])
    text, constants = state.get("text", {}), state.get("image", {})
    language, series = state.get("generation", {}), state.get("series", {})
    return Shape(
        task=signature.task,
        modality=signature.modality,
        classes=classes,
        numeric=numeric,
        categories=categories,
        vocabulary=vocabulary or 0,
        max_tokens=int(text.get("max_tokens", language.get("context", 0))),
        pad=int(text.get("pad", 0)),
        image=(image[0], image[1], image[2]),
        mean=tuple(constants.get("mean", ())),
        std=tuple(constants.get("std", ())),
        context=int(series.get("context", 0)),
        horizon=int(series.get("horizon", 0)),
    )
