"""`spec.train.checkpoint`: when the state of training is saved, and which checkpoints stay."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from runwright_api.part import Part


class CheckpointPolicy(Part):
    """When the state of training is saved, so that a killed training continues bit-exactly."""

    every_steps: Annotated[int | None, Field(ge=1, le=2**31 - 1)] = None
    """Steps between checkpoints. Default: once an epoch, where that is worth its time."""
    every_minutes: Annotated[int, Field(ge=1, le=10_080)] = 10
    """At the latest so many minutes after the checkpoint before, whatever everySteps says. Default: 10."""
    keep: Annotated[int, Field(ge=1, le=100)] = 2
    """The newest checkpoints that are kept. Default: 2."""
    keep_every: Annotated[int | None, Field(ge=1, le=2**31 - 1)] = None
    """Besides, the first checkpoint in each span of so many steps is kept until training ends. Default: none."""
