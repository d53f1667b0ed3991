"""`spec.train.model.unfreeze` and `spec.train.ema`: how pretrained layers wake up, and averaged weights."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from runwright_api.part import Part


class Unfreeze(Part):
    """When a frozen encoder begins to learn, too."""

    after: Annotated[int, Field(ge=1, le=100_000)] = 1
    """Epochs in which the head learns alone. Default: 1."""
    every: Annotated[int, Field(ge=0, le=100_000)] = 0
    """Then one more layer, from the top, each so many epochs; 0: all layers at once. Default: 0."""


class Ema(Part):
    """An exponential moving average of the weights, which is what is evaluated and served."""

    decay: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.999
    """Share of the average that a step keeps; it starts lower. Default: 0.999."""
